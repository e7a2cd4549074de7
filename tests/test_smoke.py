"""Each piece of the library once, in its shortest use, for every supported version of Keras."""

import keras
import numpy as np
import pytest
from support.tiny import EXECUTIONS, compiled, identical, regression, values

import keras_lr as klr
from keras_lr import schedules

X, Y = regression()
STEPS = 10  # in each epoch
WITH_DECAY = [
    getattr(klr.optimizers, name)
    for name in ("SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop")
]


def fit(model, *callbacks, epochs=3):
    """Fit quietly and return the history."""
    arguments = {"validation_data": (X, Y), "shuffle": False, "verbose": 0}
    return model.fit(X, Y, 20, epochs, callbacks=list(callbacks), **arguments).history


def applied(schedule, epochs=3):
    """Return the learning rate of each epoch's last step."""
    return schedule.values(np.arange(1, epochs + 1) * STEPS - 1)


def test_range_test():
    model = compiled(dropout=0.0)
    before = values(model)
    result = klr.lr_find(model, X, X[:, :1], steps=60, batch_size=100, verbose=0)
    assert 1e-6 < result.suggest() < 10
    assert result.plot().get_xscale() == "log"
    assert identical(before, values(model))


def test_range_test_as_a_callback():
    model = compiled()
    before = values(model)
    finder = klr.LRRangeTest(steps=20, max_lr=0.1)
    fit(model, finder)
    assert len(finder.result.losses) == 20
    assert identical(before, values(model))


def test_sweep():
    result = klr.lr_sweep(compiled(), X, Y, [1e-6, 1e-2], 20, verbose=0)
    assert result.best_lr == 1e-2


def test_tune_lr():
    model = compiled()
    result = klr.tune_lr(model, X, Y, steps=100, verbose=0)
    assert result.learning_rate > 1e-4
    assert len(result.trials) >= 3


def test_tune_adam():
    model = compiled(lambda: klr.Adam(lr=1e-3))
    arguments = {"validation_data": (X, Y), "n_trials": 2, "repeats": 1, "lr": (1e-3, 1e-1)}
    result = klr.tune_adam(model, X, Y, steps=10, verbose=0, **arguments)
    assert 1e-3 <= result.lr <= 1e-1


def test_restarts_and_their_ensemble():
    model = compiled(dropout=0.0)
    restarts = klr.CosineWarmRestarts(0.05, first_cycle_epochs=1, cycle_mult=1, snapshots=2)
    fit(model, restarts)
    members = [member.predict(X, verbose=0) for member in restarts.snapshots]
    together = restarts.ensemble().predict(X, verbose=0)
    np.testing.assert_allclose(together, np.mean(members, axis=0), rtol=1e-4, atol=1e-6)
    assert np.isfinite(restarts.average(X).predict(X, verbose=0)).all()


def test_one_cycle():
    history = fit(compiled(), klr.OneCycle(0.1))
    assert max(history["learning_rate"]) <= 0.1
    assert history["learning_rate"][-1] < 0.01
    assert history["momentum"][0] < 0.95


def test_plateau_with_rescue():
    class Ruin(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                weights = self.model.get_weights()
                self.model.set_weights([np.full_like(weights[0], np.nan), *weights[1:]])

    model = compiled()
    plateau = klr.ReduceOnPlateauPlus("val_loss", max_rescues=1, factor=0.5)
    history = fit(model, Ruin(), plateau)
    assert [event.action for event in plateau.events] == ["rescue"]
    assert np.isfinite(history["val_loss"][-1])
    assert all(np.isfinite(value).all() for value in model.get_weights())


@pytest.mark.parametrize("several", EXECUTIONS)
def test_a_schedule_in_the_graph_and_driven(several):
    cosine = schedules.Cosine(0.1, 0.001, steps=3 * STEPS - 5).warmup(5)
    inside = compiled(lambda: keras.optimizers.SGD(cosine), steps_per_execution=several)
    history = fit(inside, klr.LRScheduler())
    np.testing.assert_allclose(history["learning_rate"], applied(cosine), rtol=1e-5)
    driven = compiled(lambda: keras.optimizers.SGD(0.5), steps_per_execution=several)
    history = fit(driven, klr.LRScheduler(cosine))
    np.testing.assert_allclose(history["learning_rate"], applied(cosine), rtol=1e-5)
    for left, right in zip(inside.get_weights(), driven.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", WITH_DECAY)
def test_optimizers_with_lr_and_decay(optimizer):
    model = compiled(lambda: optimizer(lr=0.01, decay=0.1))
    history = fit(model, klr.LRScheduler())
    expected = applied(schedules.InverseTime(0.01, 0.1))
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-5)


def test_save_and_load(tmp_path):
    schedule = schedules.Cosine(0.1, 0.0, steps=60).warmup(5)
    model = compiled(lambda: keras.optimizers.Adam(schedule), dropout=0.0)
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for each in (model, loaded):
        fit(each)
    assert identical(model.get_weights(), loaded.get_weights())
