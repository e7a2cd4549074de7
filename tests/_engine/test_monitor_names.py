"""A metric that a fit is known not to log is refused before anything is trained."""

import keras
import numpy as np
import pytest
from support.tiny import JIT

import keras_lr as klr
from keras_lr._engine.monitor import is_reported, reported_names

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
DATA = {"x": X, "y": X[:, :1], "batch_size": 16, "verbose": 0}
VALIDATED = DATA | {"validation_data": (X, X[:, :1])}


def trained(cls=keras.Model, metrics=("mae",)):
    """Return a model whose metrics have their names: it has made a step."""
    inputs = keras.Input((4,))
    model = cls(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=list(metrics), jit_compile=JIT)
    model.train_on_batch(X[:16], X[:16, :1])
    return model


class Writes(keras.callbacks.Callback):
    """Logs a metric of the user's own."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_f1"] = 0.5


class OwnMetrics(keras.Model):
    """Reports what it likes."""

    def get_metrics_result(self):
        return super().get_metrics_result() | {"f1": keras.ops.convert_to_tensor(0.5)}


class Pair(keras.metrics.Metric):
    """A metric of two values."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        return {"f1": keras.ops.convert_to_tensor(0.5)}


WATCHING = {
    "ReduceOnPlateauPlus": lambda name: klr.ReduceOnPlateauPlus(name, mode="max"),
    "Cooldown": lambda name: klr.Cooldown(epochs=1, monitor=name, patience=1, mode="max"),
    "WeightAverage": lambda name: klr.WeightAverage((0.9, 0.99), monitor=name, mode="max"),
}
every_callback = pytest.mark.parametrize("owner", WATCHING)


def refused(model, owner, name, data, *more):
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=f"^{owner}: monitor must be (a scalar )?in the logs"
    ) as refusal:
        model.fit(**data, epochs=2, callbacks=[WATCHING[owner](name), *more])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return str(refusal.value)


@every_callback
def test_validation_that_a_fit_does_not_make_is_missed_before_the_first_step(owner):
    told = refused(trained(), owner, "val_loss", DATA, keras.callbacks.TerminateOnNaN())
    assert "validation data" in told
    assert "'mae'" in told


@every_callback
def test_a_misspelt_metric_is_found_before_the_first_step(owner):
    told = refused(trained(), owner, "val_mea", VALIDATED)
    assert "'loss', 'mae', 'val_loss', 'val_mae'" in told


@every_callback
def test_what_may_come_from_the_users_own_code_is_waited_for(owner):
    data = VALIDATED | {"epochs": 2}
    callback = WATCHING[owner]
    if owner != "WeightAverage":  # which evaluates each average itself
        trained().fit(**data, callbacks=[Writes(), callback("val_f1")])
    trained(OwnMetrics).fit(**data, callbacks=[callback("val_f1")])
    history = trained(metrics=[Pair()]).fit(**data, callbacks=[callback("val_f1")])
    assert history.history["val_f1"] == [0.5, 0.5]


def test_names_are_those_in_the_logs():
    inputs = keras.Input((4,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("left", "right")}
    model = keras.Model(inputs, outputs)
    each = dict.fromkeys(outputs, "mse")
    model.compile("sgd", each, metrics={name: ["mae", "mae"] for name in outputs})
    assert reported_names(model, "test") is None
    targets = dict.fromkeys(outputs, X[:, :1])
    history = model.fit(X, targets, verbose=0, validation_data=(X, targets))
    names = reported_names(model, "test")
    assert all(is_reported(name.removeprefix("val_"), names) for name in history.history)
    assert not is_reported("accuracy", names)


@pytest.mark.parametrize("tune", [True, 0.01])
def test_fit_finds_a_misspelt_metric_before_it_trains(tune):
    model = trained()
    before = model.get_weights()
    message = r"^fit: monitor must be a metric of validation.*'val_loss', 'val_mae'"
    with pytest.raises(ValueError, match=message):
        klr.fit(model, **VALIDATED, epochs=60, monitor="val_mea", tune=tune)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fit_finds_it_after_the_trials_of_a_model_that_has_made_no_step():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=["mae"], jit_compile=JIT)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"^fit: monitor must be a metric of validation"):
        klr.fit(model, **VALIDATED, epochs=60, monitor="val_mea")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fit_refuses_a_metric_without_validation_data():
    with pytest.raises(ValueError, match=r"^fit: weights can be chosen only by validation data"):
        klr.fit(trained(), **DATA, epochs=60, monitor="val_mae")


@pytest.mark.parametrize("search", [klr.lr_find, klr.lr_sweep, klr.tune_lr])
def test_a_search_names_what_can_be_watched(search):
    more = {"lr_sweep": {"learning_rates": [0.01, 0.1], "steps": 5}, "tune_lr": {"epochs": 60}}
    message = r"monitor='los', logs=\['loss', 'mae'\]. Pass one of these"
    with pytest.raises(ValueError, match=message):
        search(trained(), **DATA, monitor="los", **more.get(search.__name__, {}))


def test_fit_speaks_in_its_own_name_where_only_validation_can_tell():
    with pytest.raises(ValueError, match=r"^fit: .*monitor='val_mea'"):
        klr.fit(
            trained(OwnMetrics), **VALIDATED, epochs=2, monitor="val_mea", mode="min", tune=0.01
        )
