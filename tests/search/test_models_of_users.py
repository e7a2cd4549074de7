"""Every search takes whatever `fit` trains: own training steps, no call, no compiled loss."""

import warnings

import keras
import numpy as np
import pytest
from support.models_of_users import MODELS, X, vae
from support.tiny import compiled, identical, regression, values

from keras_lr import LRRangeTest, lr_find, lr_sweep, tune_lr
from keras_lr._engine.evaluation import LossFunction

SEARCHES = {
    "lr_find": lambda model, data, **more: (
        lr_find(model, **data, batch_size=20, steps=8, max_lr=0.1, verbose=0, **more).losses
    ),
    "lr_sweep": lambda model, data, **more: (
        lr_sweep(
            model, **data, learning_rates=[1e-3, 1e-2], batch_size=20, steps=6, verbose=0, **more
        ).losses
    ),
    "tune_lr": lambda model, data, **more: (
        tune_lr(model, **data, batch_size=20, steps=200, max_cost=40, verbose=0, **more).trials
    ),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", MODELS)
def test_what_fit_trains_can_be_searched(name, search):
    model, data, monitor = MODELS[name]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="tune_lr: the model")
        first = SEARCHES[search](model, data, monitor=monitor)
        before = values(model)
        again = SEARCHES[search](model, data, monitor=monitor)
    assert np.isfinite(np.asarray(first)).all()
    if search != "lr_find":  # which shuffles
        np.testing.assert_array_equal(first, again)
    assert identical(before, values(model))


def test_a_search_builds_a_model_as_fit_would():
    models = []
    for searched in (True, False):
        keras.utils.set_random_seed(3)
        model, data, _ = MODELS["VAE"]()
        keras.utils.set_random_seed(4)
        if searched:
            lr_sweep(model, **data, learning_rates=[0.1], steps=3, verbose=0)
        model.fit(**data, shuffle=False, verbose=0)
        models.append(values(model))
    assert identical(*models)


def test_a_monitor_is_a_name_or_a_function_of_the_logs():
    model, data, _ = MODELS["VAE"]()
    given = {**data, "steps": 4, "shuffle": False, "verbose": 0}
    named = lr_find(model, **given, monitor="rebuilt").losses
    by_function = lr_find(model, **given, monitor=lambda logs: logs["rebuilt"]).losses
    whole = lr_find(model, **given).losses
    np.testing.assert_allclose(named, by_function, rtol=1e-6)
    assert not np.allclose(named, whole)
    sweeps = {"learning_rates": [1e-3, 1e-2], "method": "auto"}
    named = lr_sweep(model, **given, **sweeps, monitor="rebuilt").losses
    by_function = lr_sweep(model, **given, **sweeps, monitor=lambda logs: logs["rebuilt"]).losses
    np.testing.assert_allclose(named, by_function, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:tune_lr. the model")
@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_not_reported_cannot_be_watched(search):
    model, data, _ = MODELS["GAN"]()
    with pytest.raises(ValueError, match=f"^{search}: the model's train_step must report"):
        SEARCHES[search](model, data)
    with pytest.raises(TypeError, match=f"^{search}: monitor must be a name"):
        SEARCHES[search](model, data, monitor=3)


def test_where_there_is_no_loss_but_the_step_s_the_search_says_so_once():
    with pytest.warns(UserWarning, match="tune_lr: the model has no call, so that") as said:
        result = tune_lr(vae(), X, steps=60, max_cost=40, verbose=0)
    assert sum("has no call" in str(each.message) for each in said) == 1
    assert result.untrained > min(trial.score for trial in result.trials)
    with pytest.warns(UserWarning, match="lr_find: the model has no call, so that") as said:
        found = lr_find(vae(), X, steps=5, max_lr=0.1, probe=40, verbose=0)
    assert sum("has no call" in str(each.message) for each in said) == 1
    assert np.isfinite(found.probe_losses).all()
    with pytest.warns(UserWarning, match="lr_find: the model has no call, so that only the"):
        found = lr_find(vae(), X, steps=5, max_lr=0.1, validation_data=X, verbose=0)
    assert found.validation_losses is None


def test_a_probe_by_steps_is_what_the_step_says_at_those_weights():
    model, data, _ = MODELS["in-batch negatives"]()
    batches = [(X[:20], X[:20, ::-1].copy()), (X[20:30], X[20:30, ::-1].copy())]
    expected = []
    for batch in batches:
        twin, _, _ = MODELS["in-batch negatives"]()
        twin.set_weights(model.get_weights())
        # The history has the model's own loss tracker, which this step leaves alone.
        seen = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda index, logs: expected.append(float(logs["loss"]))
        )
        twin.fit(*batch, len(batch[0]), callbacks=[seen], verbose=0)
    with pytest.warns(UserWarning, match="so that the probe's loss"):
        result = tune_lr(model, **data, steps=60, max_cost=40, probe=batches, verbose=0)
    assert result.untrained == pytest.approx((20 * expected[0] + 10 * expected[1]) / 30, rel=1e-5)


def test_without_a_probe_trials_are_scored_by_their_training_loss():
    x, y = regression(samples=128)
    result = tune_lr(compiled(dropout=0.0), x, y, steps=60, max_cost=40, probe=None, verbose=0)
    assert result.untrained != result.trials[0].score
    assert np.isfinite(result.learning_rate)


def test_a_probe_is_compiled_once_for_a_compiled_model(monkeypatch):
    compilations = []
    plain = LossFunction._compile

    def counted(self):
        compilations.append(self)
        return plain(self)

    monkeypatch.setattr(LossFunction, "_compile", counted)
    x, y = regression(samples=128)
    model = compiled()
    for _ in range(2):
        lr_find(model, x, y, steps=3, probe=64, verbose=0)
        tune_lr(model, x, y, steps=60, max_cost=40, start=0.01, verbose=0)
    assert len(compilations) == 1
    model.compile("sgd", "mae")
    lr_find(model, x, y, steps=3, probe=64, verbose=0)
    assert len(compilations) == 2


def stateful():
    layers = [keras.layers.SimpleRNN(4, stateful=True), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((5, 2), batch_size=20), *layers])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(100, 5, 2)).astype("float32")
    return model, {"x": x, "y": x[:, -1, :1]}


@pytest.mark.parametrize("search", SEARCHES)
def test_batches_of_a_fixed_size(search):
    model, data = stateful()
    more = {"probe": "auto"} if search == "lr_find" else {}
    assert np.isfinite(np.asarray(SEARCHES[search](model, data, **more))).all()


class Lengths(keras.utils.PyDataset):
    """Batches of sequences of several lengths."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        x = np.random.default_rng(index).normal(size=(10, 3 + index % 3, 2)).astype("float32")
        return x, x.sum(axis=(1, 2))[:, None]


def test_batches_of_several_lengths():
    layers = [keras.Input((None, 2)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    found = lr_find(model, Lengths(), steps=6, probe=30, validation_data=Lengths(), verbose=0)
    assert np.isfinite(found.probe_losses).all()
    assert tune_lr(model, Lengths(), steps=60, max_cost=40, verbose=0).untrained > 0


def test_validation_in_a_range_test_takes_the_batch_size_of_the_fit():
    model, data = stateful()  # which takes batches of 20 alone
    finder = LRRangeTest(steps=4, validation_data=(data["x"], data["y"]), validation_every_steps=2)
    model.fit(**data, batch_size=20, epochs=2, callbacks=[finder], verbose=0)
    assert np.isfinite(finder.result.validation_losses[1::2]).all()


def test_a_validation_split_is_that_of_fit():
    x, y = regression(samples=100)
    model = compiled(dropout=0.0)
    given = {"batch_size": 20, "learning_rates": [1e-3], "steps": 4, "shuffle": False}
    split = lr_sweep(model, x, y, **given, validation_split=0.2, verbose=0)
    apart = lr_sweep(model, x[:80], y[:80], **given, validation_data=(x[80:], y[80:]), verbose=0)
    np.testing.assert_array_equal(split.losses, apart.losses)
    assert split.final["val_loss"] == apart.final["val_loss"]
    twin = compiled(dropout=0.0)
    twin.optimizer.learning_rate = 1e-3
    history = twin.fit(x, y, 20, validation_split=0.2, shuffle=False, verbose=0).history
    assert split.final["val_loss"][0] == pytest.approx(history["val_loss"][0], rel=1e-5)


class Preparing(keras.Sequential):
    """Its own `fit` and `evaluate` prepare texts for it, as a KerasHub task does."""

    def prepare(self, x):
        if not isinstance(x, list):
            return x
        return np.array([[len(text), text.count("a")] for text in x], "float32")

    def fit(self, x=None, y=None, **more):
        return super().fit(self.prepare(x), y, **more)

    def evaluate(self, x=None, y=None, **more):
        return super().evaluate(self.prepare(x), y, **more)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_fit_of_the_user_s_own_prepares_the_data(search):
    model = Preparing([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    texts = ["banana", "kiwi", "fig", "papaya"] * 20
    data = {"x": texts, "y": np.array([[text.count("a")] for text in texts], "float32")}
    before = values(model)
    more = {} if search == "tune_lr" else {"validation_data": (texts, data["y"])}
    if search != "lr_sweep":
        more["probe"] = 40
    assert np.isfinite(np.asarray(SEARCHES[search](model, data, **more))).all()
    assert identical(before[:2], values(model)[:2])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="layers of strings")
def test_strings_go_into_a_text_vectorization():
    import tensorflow as tf

    texts = np.array(["good film", "bad film", "a good one", "a bad one"] * 10, object)
    vectorize = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=3)
    vectorize.adapt(texts)
    layers = [keras.layers.Embedding(20, 4), keras.layers.Flatten(), keras.layers.Dense(1)]
    labels = np.array([1.0, 0.0, 1.0, 0.0] * 10, "float32")
    for x in (texts, tf.constant(list(texts))):
        model = keras.Sequential([keras.Input((), dtype="string"), vectorize, *layers])
        model.compile("adam", "mse", jit_compile=False)
        data = {"x": x, "y": labels}
        for search in SEARCHES.values():
            assert np.isfinite(np.asarray(search(model, data))).all()
