"""The subject of a stored study: the same call goes on, any other model or data is refused."""

import sqlite3
import subprocess
import sys

import keras
import numpy as np
import optuna
import pytest
from support.tiny import JIT, identical, regression, values

from keras_lr._engine.trials import Trials
from keras_lr.search.tune_adam.digest import digest
from keras_lr.search.tune_adam.tune import tune_adam

X, Y = regression(samples=48)
VALIDATION = regression(samples=16, seed=1)
QUICK = {"steps": 4, "lr": (1e-3, 1e-1), "n_trials": 1, "repeats": 1, "verbose": 0}


def light(*, seed=3, units=4, activation="tanh", optimizer=None, **compiled):
    """Return a small model; a seed gives the same weights in every process."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(units, activation=activation), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    arguments = {"loss": "mse", "jit_compile": JIT} | compiled
    model.compile(optimizer or keras.optimizers.Adam(), **arguments)
    return model


def tune(storage, model=None, x=X, y=Y, **arguments):
    options = QUICK | {"storage": storage, "validation_data": VALIDATION} | arguments
    return tune_adam(model or light(), x, y, **options)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    storage = f"sqlite:///{tmp_path_factory.mktemp('study') / 'tune.db'}"
    return storage, tune(storage)


def test_the_same_call_takes_what_there_is(stored, monkeypatch):
    storage, first = stored
    with monkeypatch.context() as patch:
        patch.setattr(Trials, "step", None)  # not a step is made
        assert tune(storage) == first


def test_more_trials_of_the_same_task_are_taken_up(tmp_path):
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    first = tune(storage, light(optimizer=keras.optimizers.Adam(0.1)))
    # The learning rate is what is searched: that it has been set since is no other task.
    more = tune(storage, light(optimizer=keras.optimizers.Adam(0.2)), n_trials=2)
    assert more.trials[0] == first.trials[0]
    assert len(more.trials) == 2


def focal(gamma):
    def loss(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** gamma)

    return loss


class Halved(keras.Sequential):
    def compute_loss(self, *arguments, **named):
        return 0.5 * super().compute_loss(*arguments, **named)


def halved():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    model = Halved([keras.Input((8,)), *layers])
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=JIT)
    return model


def frozen():
    model = light()
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=JIT)
    return model


def trained():
    model = light()
    model.fit(X, Y, verbose=0)
    start = light().get_weights()
    model.set_weights(start)  # the same weights, but an optimizer that has moments
    return model


OTHERS = {
    "weights": lambda: {"model": light(seed=4)},
    "weights in one place": lambda: {"model": nudged()},
    "another width": lambda: {"model": light(units=5)},
    "another activation": lambda: {"model": light(activation="relu")},
    "another optimizer": lambda: {"model": light(optimizer=keras.optimizers.SGD())},
    "another setting": lambda: {"model": light(optimizer=keras.optimizers.Adam(beta_2=0.9))},
    "optimizer's state": lambda: {"model": trained()},
    "frozen": lambda: {"model": frozen()},
    "another loss": lambda: {"model": light(loss="mae")},
    "loss weights": lambda: {"model": light(loss_weights=[2.0])},
    "a loss function": lambda: {"model": light(loss=focal(2.0))},
    "a method of the class": lambda: {"model": halved()},
    "x": lambda: {"x": X + 1},
    "one label": lambda: {"y": np.where(np.arange(48)[:, None] == 17, 9.0, Y)},
    "fewer": lambda: {"x": X[:40], "y": Y[:40]},
    "sample weights": lambda: {"sample_weight": np.ones(48)},
    "batch size": lambda: {"batch_size": 8},
    "validation data": lambda: {"validation_data": (VALIDATION[0], VALIDATION[1] + 1)},
}


def nudged():
    model = light()
    weights = model.get_weights()
    weights[0][0, 0] += 1e-6
    model.set_weights(weights)
    return model


@pytest.mark.parametrize("other", OTHERS)
def test_any_other_task_is_refused(stored, other):
    arguments = OTHERS[other]()
    model = arguments.get("model") or light()
    model.optimizer.build(model.trainable_variables)
    before = values(model)
    with pytest.raises(ValueError, match=r"^tune_adam: the study was begun with another model or"):
        tune(stored[0], **arguments | {"model": model})
    assert identical(values(model), before)


def test_what_a_loss_closes_over_is_part_of_it(tmp_path):
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    tune(storage, light(loss=focal(2.0)))
    tune(storage, light(loss=focal(2.0)))
    with pytest.raises(ValueError, match=r"other data: loss\. Received"):
        tune(storage, light(loss=focal(3.0)))


class Batches(keras.utils.PyDataset):
    def __init__(self, x, noise=0.0):
        super().__init__()
        self.x, self.noise = x, noise

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(16 * index, 16 * index + 16)
        x = self.x[part]
        return x + self.noise * np.random.normal(size=x.shape).astype("float32"), Y[part]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_data_that_comes_in_batches(tmp_path, noise):
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    first = tune(storage, x=Batches(X, noise), y=None)
    assert tune(storage, x=Batches(X, noise), y=None).trials == first.trials
    if not noise:  # else no batch comes a second time
        with pytest.raises(ValueError, match="other data: training data"):
            tune(storage, x=Batches(X + 1), y=None)


def test_names_do_not_matter_and_wiring_does():
    def architecture(*, crossed=False, lam=lambda x: 2 * x):
        inputs = [keras.Input((3,)), keras.Input((3,))]
        hidden = [keras.layers.Dense(3)(each) for each in inputs]
        joined = keras.layers.Concatenate()(hidden[::-1] if crossed else hidden)
        return keras.Model(inputs, keras.layers.Lambda(lam)(joined))

    def told(model):
        model.compile("sgd", "mse")
        from keras_lr.search.tune_adam.digest import training_digests

        model.optimizer.build(model.trainable_variables)
        return training_digests(model)["architecture"]

    first = told(architecture())
    assert told(architecture()) == first
    assert told(architecture(crossed=True)) != first
    assert told(architecture(lam=lambda x: 3 * x)) != first


def test_a_digest_is_the_same_in_another_process():
    given = "['mse', {'b': 1.5, 'a': (1, None)}, {'x', 'y', 'z'}, True]"
    code = f"from keras_lr.search.tune_adam.digest import digest; print(digest({given}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split()[-1] == digest(eval(given))


def test_a_study_tells_nothing_of_the_machine(stored):
    import getpass
    import socket

    name, path = stored[0], stored[0].removeprefix("sqlite:///")
    dump = "\n".join(sqlite3.connect(path).iterdump())
    assert "about" in dump
    for private in (socket.gethostname(), path, "/home", "/tmp", f"/{getpass.getuser()}/"):
        assert private not in dump
    assert tune(name).finished


def damaged(kind, folder):
    path = folder / "tune.db"
    if kind == "directory":
        path.mkdir()
    elif kind == "text":
        path.write_text("hello\n" * 1000)
    elif kind == "another database":
        with sqlite3.connect(path) as made:
            made.execute("create table studies(a)")
    elif kind == "no folder":
        path = folder / "none" / "tune.db"
    else:
        optuna.create_study(storage=f"sqlite:///{path}", study_name="tune_adam")
        whole = path.read_bytes()
        kept = {"half": len(whole) // 2, "head": 1000}[kind]
        path.write_bytes(whole[:kept])
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    "kind", ["directory", "text", "another database", "no folder", "half", "head"]
)
def test_a_damaged_storage_is_one_clear_error(kind, tmp_path):
    storage = damaged(kind, tmp_path)
    with pytest.raises(ValueError, match=r"^tune_adam: the storage cannot be used") as told:
        tune(storage)
    assert len(str(told.value)) < 300


def test_a_locked_storage_is_too(tmp_path):
    path = tmp_path / "tune.db"
    storage = f"sqlite:///{path}?timeout=0.1"
    tune(storage)
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ValueError, match=r"cannot be used .*database is locked"):
        tune(storage)
    holder.rollback()
    assert tune(storage).finished


@pytest.mark.parametrize("storage", ["tune.db", "", "nosuch:///x", "redis://localhost:1"])
def test_what_is_no_storage_is_refused(storage):
    with pytest.raises(ValueError, match=r"^tune_adam: the storage cannot be used"):
        tune(storage)


@pytest.mark.parametrize("storage", [3, [], {"a": 1}, object()])
def test_what_is_not_even_a_url_is_refused(storage):
    with pytest.raises(TypeError, match=r"^tune_adam: storage must be a URL or an Optuna storage"):
        tune(storage)


def test_a_study_without_a_note_is_refused(tmp_path):
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    study = optuna.create_study(storage=storage, study_name="tune_adam")
    study.set_user_attr("space", {"lr": [1e-3, 1e-1], "start": 1e-2})
    with pytest.raises(ValueError, match="begun with another model"):
        tune(storage)
