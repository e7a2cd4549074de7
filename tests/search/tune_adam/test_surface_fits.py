"""`tune_adam` by a surface: its runs against twins, what is chosen, searched around, shared."""

import json
import math
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from support.searches import interrupted_after
from support.tiny import JIT, compiled, identical, random_numbers, regression, values

from keras_lr import optimizers
from keras_lr._engine.trials import Trials
from keras_lr.search.data import TrainingData
from keras_lr.search.tune.tune import tune_lr
from keras_lr.search.tune_adam.surface import Surface
from keras_lr.search.tune_adam.tune import tune_adam

X, Y = regression(samples=128)
VALIDATION = regression(samples=64, seed=1)
STEPS = 24
QUICK = {"steps": STEPS, "validation_data": VALIDATION, "verbose": 0}
LR = (1e-3, 1e-1)
FREE = {"number": None, "repeat": None, "loss": None, "steps": None}


def light(optimizer=None):
    """Return a model that compiles quickly, without randomness in training."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(optimizer or keras.optimizers.Adam(), "mse", jit_compile=JIT)
    model.optimizer.build(model.trainable_variables)
    return model


def twin_loss(trial, rates, optimizer, seed=0):
    """Return the validation loss of a fresh model, trained at given learning rates."""
    twin = light(optimizer)
    for batch, rate in zip(TrainingData("test", X, Y).batches(STEPS, seed), rates, strict=True):
        twin.optimizer.learning_rate = float(rate)
        twin.train_on_batch(batch[0], batch[1])
    return twin.evaluate(*VALIDATION, verbose=0)


def rates_of(trial):
    """Return the learning rates that the documentation says a shape has."""
    i = np.arange(STEPS)
    return {
        "constant": np.full(STEPS, trial.lr),
        "linear": trial.lr * np.minimum((i + 1) / 2, (STEPS - i) / (STEPS - 1)),
        "decay": trial.lr / (1 + 9 * i / (STEPS - 1)),
    }[trial.shape]


@pytest.fixture(scope="module")
def tuned():
    return tune_adam(light(), X, Y, **QUICK, lr=LR)


def test_each_run_is_what_its_shape_says():
    shapes = ("constant", "linear", "decay")
    result = tune_adam(light(), X, Y, **QUICK, lr=LR, shapes=shapes, n_trials=3)
    assert [trial.shape for trial in result.trials] == list(shapes)
    for trial in result.trials:
        expected = twin_loss(trial, rates_of(trial), keras.optimizers.Adam())
        assert trial.loss == pytest.approx(expected, rel=2e-4)
        assert trial.final_share == pytest.approx(rates_of(trial)[-1] / trial.lr)
    assert [trial.decay > 0 for trial in result.trials] == [False, False, True]


def test_the_choice_is_the_surface_s_lowest_point(tuned):
    points = [(trial.shape, trial.lr, trial.loss) for trial in tuned.trials]
    surface = Surface(points, tuned.surface.centres)
    assert tuned.surface == surface
    assert tuned.shape == surface.best
    assert (tuned.lr, tuned.loss) == surface.lowest(surface.best)
    assert tuned.as_good == surface.as_good(surface.best)
    assert tuned.within_noise == (len(surface.ties()) > 1)
    assert {tie.shape for tie in tuned.ties} == set(surface.ties())
    near = [t for t in tuned.trials if t.shape == tuned.shape]
    assert tuned.chosen == min(near, key=lambda t: abs(math.log(t.lr / tuned.lr)))
    assert {trial.state for trial in tuned.trials} == {"complete"}
    assert 6 <= len(tuned.trials) <= 10
    assert tuned.cost_steps == STEPS * len(tuned.trials)


@pytest.mark.parametrize("shapes", ["constant", ["linear"], ("constant", "decay")])
def test_what_was_chosen_can_be_trained_with(shapes):
    result = tune_adam(light(), X, Y, **QUICK, lr=LR, shapes=shapes, n_trials=3)
    assert set(result.surface.shapes) == ({shapes} if isinstance(shapes, str) else set(shapes))
    expected = result.schedule.values(range(STEPS))
    applied = []

    class Notes(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            optimizer = self.model.optimizer
            rate = getattr(optimizer, "effective_learning_rate", optimizer.learning_rate)
            applied.append(float(keras.ops.convert_to_numpy(rate)))

    model = light(optimizers.Adam(**result.arguments))
    model.fit(X, Y, batch_size=32, epochs=STEPS // 4, callbacks=[Notes()], verbose=0)
    np.testing.assert_allclose(applied, expected, rtol=1e-4)
    twin = light(keras.optimizers.Adam(result.schedule))
    twin.fit(X, Y, batch_size=32, epochs=1, verbose=0)


def test_the_centres_are_tune_lr_s(capsys):
    options = {"steps": 60, "seed": 2}
    result = tune_adam(light(), X, Y, validation_data=VALIDATION, **options)
    found = tune_lr(light(), X, Y, validation_data=VALIDATION, max_cost=60, **options, verbose=0)
    assert result.surface.centres == pytest.approx(
        {"constant": found.learning_rate, "linear": found.short_run_peak}
    )
    firsts = {trial.shape: trial.lr for trial in result.trials[:2]}
    assert firsts == pytest.approx(result.surface.centres)
    for shape in ("constant", "linear"):
        rates = sorted(trial.lr for trial in result.trials if trial.shape == shape)
        np.testing.assert_allclose(np.diff(np.log10(rates)), 0.5, rtol=1e-6)
    said = capsys.readouterr().out
    assert "tune_adam: at most 660 training steps: 10 trials of 60, 60 for the scale of lr" in said
    assert result.cost_steps == 60 * len(result.trials) + found.cost_steps


def test_a_range_is_kept_to():
    result = tune_adam(light(), X, Y, **QUICK, lr=(0.02, 0.03))
    rates = [trial.lr for trial in result.trials]
    assert 0.02 <= min(rates) <= max(rates) <= 0.03
    assert result.lr_range == (0.02, 0.03)
    step = np.log10(1.5) / 4
    assert rates[0] == rates[1] == pytest.approx(math.sqrt(0.02 * 0.03))
    assert rates[4] == pytest.approx(rates[0] * 10**step)


def test_the_same_call_gives_the_same_result(tuned):
    assert tune_adam(light(), X, Y, **QUICK, lr=LR) == tuned


@pytest.mark.parametrize("others", [{}, {"momentum": True, "weight_decay": True, "n_trials": 3}])
def test_the_model_is_as_before(others):
    model, twin = (compiled(keras.optimizers.Adam) for _ in range(2))
    for each in (model, twin):
        keras.utils.set_random_seed(4)
        each.fit(X, Y, verbose=0)
    before = values(model)
    keras.utils.set_random_seed(5)
    drawn = random_numbers()
    keras.utils.set_random_seed(5)
    tune_adam(model, X, Y, **QUICK, **others)
    assert random_numbers() == drawn
    assert identical(before, values(model))
    keras.utils.set_random_seed(5)
    expected = twin.fit(X, Y, verbose=0).history["loss"]
    keras.utils.set_random_seed(5)
    assert model.fit(X, Y, verbose=0).history["loss"] == expected


def test_weight_decay_and_momentum_are_searched_around_the_surface():
    model = light(keras.optimizers.AdamW(weight_decay=0.02, beta_1=0.8))
    result = tune_adam(
        model, X, Y, **QUICK, lr=LR, weight_decay=True, momentum=(0.7, 0.95), n_trials=12
    )
    surface, first, rest = result.trials[:6], result.trials[6], result.trials[7:12]
    own = {"weight_decay": 0.02, "momentum": 0.8}
    for trial in (*surface, first):  # made with the optimizer's own
        assert {"weight_decay": trial.weight_decay, "momentum": trial.momentum} == own
    for point, trial in zip(result.surface.points, surface, strict=True):
        same = [t for t in result.trials if vars(t) | FREE == vars(trial) | FREE]
        assert point == (trial.shape, trial.lr, pytest.approx(np.mean([t.loss for t in same])))
    once = Surface([(t.shape, t.lr, t.loss) for t in surface], result.surface.centres)
    best = once.best
    assert first.lr == once.lowest(best).lr
    low, high = result.surface.reach(best)
    assert {trial.shape for trial in (first, *rest)} == {best}
    assert all(low <= trial.lr <= high for trial in rest)
    assert len({trial.momentum for trial in rest}) == len(rest)
    assert {trial.repeat for trial in result.trials[12:]} == {1, 2}
    for trial in (first, rest[0], result.trials[-1]):
        adam = keras.optimizers.AdamW(weight_decay=trial.weight_decay, beta_1=trial.momentum)
        steps = rates_of(trial)[: trial.steps]
        if trial.state == "complete":
            loss = twin_loss(trial, steps, adam, seed=trial.repeat)
            assert trial.loss == pytest.approx(loss, rel=5e-4)
    assert set(result.arguments) == {"lr", "decay", "weight_decay", "beta_1"}
    assert (model.optimizer.beta_1, model.optimizer.weight_decay) == (0.8, 0.02)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_so_many_trials_and_no_more(count):
    result = tune_adam(light(), X, Y, **QUICK, lr=LR, n_trials=count)
    assert len(result.trials) == count
    assert math.isfinite(result.lr)


def test_more_trials_than_the_surface_takes_refine_it():
    result = tune_adam(light(), X, Y, **QUICK, lr=(0.02, 0.03), n_trials=13, pruner=None)
    assert len(result.trials) == 13
    assert len(result.surface.points) == 13
    assert len({trial.lr for trial in result.trials}) > 5


def test_repeats_are_means_of_the_surface():
    result = tune_adam(light(), X, Y, **QUICK, lr=LR, n_trials=3, repeats=2, shapes="constant")
    assert [trial.repeat for trial in result.trials] == [0, 0, 0, 1, 1, 1]
    for lr in {trial.lr for trial in result.trials}:
        losses = [trial.loss for trial in result.trials if trial.lr == lr]
        point = next(point for point in result.surface.points if point.lr == lr)
        assert point.loss == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("runs", [1, 4])
def test_ctrl_c_returns_the_surface_so_far(monkeypatch, tuned, runs):
    model = light()
    before = values(model)
    interrupted_after(runs * STEPS + 5, monkeypatch)
    result = tune_adam(model, X, Y, **QUICK, lr=LR)
    assert not result.finished
    assert result.trials == tuned.trials[:runs]
    assert result.lr == result.surface.lowest(result.shape).lr
    assert "interrupted" in repr(result)
    assert identical(before, values(model))


def test_a_storage_is_gone_on_with(monkeypatch, tmp_path, tuned):
    options = {**QUICK, "lr": LR, "storage": f"sqlite:///{tmp_path / 'tune.db'}"}
    with monkeypatch.context() as patch:
        interrupted_after(2 * STEPS + 5, patch)
        tune_adam(light(), X, Y, **options)
    result = tune_adam(light(), X, Y, **options)

    def found(result):
        return sorted((t.shape, t.lr, t.loss, t.repeat) for t in result.trials)

    assert result.finished
    assert found(result) == found(tuned)
    with monkeypatch.context() as patch:
        patch.setattr(Trials, "step", None)  # not a step is made
        assert tune_adam(light(), X, Y, **options) == result
    with pytest.raises(ValueError, match=r"begun with other arguments.* Received: shapes=\['line"):
        tune_adam(light(), X, Y, **options, shapes="linear")
    with pytest.raises(ValueError, match="begun with other arguments"):
        tune_adam(light(), X, Y, **options, sampler="tpe")
    more = tune_adam(light(), X, Y, **options, n_trials=12)
    assert len(more.trials) == 12
    assert set(found(result)) <= set(found(more))


WORKER = """
import sys, keras
from support.tiny import JIT, regression
from keras_lr.search.tune_adam.tune import tune_adam
x, y = regression(samples=64)
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile("adam", "mse", jit_compile=JIT)
options = {"storage": sys.argv[1], "verbose": 0, "lr": (1e-3, 1e-1)}
best = tune_adam(model, x, y, 3, (x, y), batch_size=8, **options)
print(best.lr, best.shape, len(best.trials))
"""


def test_two_processes_share_the_runs_and_agree(tmp_path):
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    here = pathlib.Path(__file__).parent
    paths = os.pathsep.join([str(here.parents[2]), str(here.parents[1])])
    options = {"env": {**os.environ, "PYTHONPATH": paths}, "stdout": subprocess.PIPE, "text": True}
    import optuna

    optuna.create_study(storage=storage, study_name="tune_adam")  # so that the tables are there
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, storage], **options) for _ in "ab"]
    told = [worker.communicate()[0].splitlines()[-1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert told[0] == told[1]
    assert 6 <= int(told[0].split()[-1]) <= 10


def test_the_result_as_data(tuned):
    told = json.loads(json.dumps(tuned.to_dict()))
    assert told["shape"] == tuned.shape
    assert told["surface"]["centres"] == tuned.surface.centres
    assert told["chosen"] in told["trials"]
    assert set(tuned.to_dataframe()["shape"]) == {"constant", "linear"}
    assert repr(tuned).startswith(f"AdamTuneResult(lr={tuned.lr:.3g}, decay=0")
    assert "lr as good from" in repr(tuned)


class OwnStep(keras.Sequential):
    def train_step(self, *arguments):
        raise AssertionError("nothing may be trained")


def test_a_model_that_cannot_be_validated_is_refused_beforehand():
    model = OwnStep([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam())
    with pytest.raises(ValueError, match=r"^tune_adam: runs are judged by validation, but the mo"):
        tune_adam(model, X, Y, **QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shapes": "cosine"}, "shapes must be some of constant, linear, decay"),
        ({"shapes": []}, "shapes must be some of"),
        ({"shapes": 3}, "shapes must be some of"),
        ({"shapes": [["linear"]]}, "shapes must be some of"),
        ({"shapes": ["linear", "linear"]}, "shapes must be some of"),
        ({"shapes": "linear", "sampler": "tpe"}, "shapes are compared by the surface"),
        ({"sampler": "best"}, "sampler must be 'surface'"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"validation_data": (X, Y * math.nan)}, "one of the runs must come to its end"),
    ],
)
def test_bad_input_is_refused_and_the_model_left_alone(arguments, message):
    model = light()
    before = values(model)
    with pytest.raises(ValueError, match=message):
        tune_adam(model, **{"x": X, "y": Y, **QUICK, "lr": LR, **arguments})
    assert identical(before, values(model))
