"""Best weights and snapshots under optimizers that average: those that evaluation used."""

import keras
import numpy as np
import pytest
from support.drives import data, fit, network
from support.tiny import JIT

from keras_lr import schedules
from keras_lr._engine.averages.in_use import average_in_use, evaluated_values
from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._keras.variables import DIRECT
from keras_lr.callbacks import (
    CosineWarmRestarts,
    LRScheduler,
    ReduceOnPlateauPlus,
    SwapScheduleFreeWeights,
    WeightAverage,
)

X, Y = data()
X2, Y2 = X[::3] + 0.5, -0.2 * Y[::3]  # which training makes worse, sooner or later
SGD = keras.optimizers.SGD
EMA = {"use_ema": True, "ema_momentum": 0.8}
HAS_SCHEDULE_FREE = hasattr(keras.optimizers, "ScheduleFreeAdamW")


def scaled(**arguments):
    return keras.optimizers.LossScaleOptimizer(SGD(**arguments), initial_scale=1.0)


def several(**arguments):
    inner = [SGD(**arguments), keras.optimizers.Adam(0.02)]
    return keras.optimizers.MultiOptimizer(lambda variable: inner[len(variable.shape) % 2])


def schedule_free(learning_rate=0.1, **arguments):
    return keras.optimizers.ScheduleFreeAdamW(learning_rate, **arguments)


def swap_ema():
    return keras.callbacks.SwapEMAWeights()


def swap_ema_on_epoch():
    return keras.callbacks.SwapEMAWeights(swap_on_epoch=True)


def driven():
    return LRScheduler(momentum=schedules.Linear(0.9, 0.6, steps=18))


CASES = {
    "ema": (lambda: SGD(0.1, **EMA), []),
    "ema, swapped": (lambda: SGD(0.1, **EMA), [swap_ema]),
    "ema, swapped by epoch": (lambda: SGD(0.1, **EMA), [swap_ema_on_epoch]),
    "ema of Adam, overwriting": (
        lambda: keras.optimizers.Adam(0.05, **EMA, ema_overwrite_frequency=5),
        [swap_ema],
    ),
    "ema, scaled": (lambda: scaled(learning_rate=0.1, **EMA), [swap_ema]),
}
if hasattr(keras.optimizers, "MultiOptimizer"):
    CASES["ema, one of several"] = (lambda: several(learning_rate=0.1, **EMA), [swap_ema])
CASES["weight average"] = (lambda: SGD(0.1), [lambda: WeightAverage(0.8)])
if HAS_SCHEDULE_FREE:
    CASES["schedule-free"] = (schedule_free, [])
    CASES["schedule-free, swapped"] = (schedule_free, [SwapScheduleFreeWeights])
    CASES["schedule-free, driven"] = (schedule_free, [SwapScheduleFreeWeights, driven])


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_after_fit_evaluate_gives_the_best_monitored_value(case, stops, last):
    optimizer, others = CASES[case]
    model = network(optimizer())
    stop = {"patience": 1, "max_reductions": 1, "stop_after": 2} if stops else {"patience": 100}
    plateau = ReduceOnPlateauPlus(factor=0.9, restore_best_weights=True, **stop)
    others = [other() for other in others]
    callbacks = [*others, plateau] if last else [plateau, *others]
    history = fit(model, (X, Y), *callbacks, epochs=9, validation_data=(X2, Y2))
    seen = history["val_loss"]
    assert min(seen) < seen[-1]  # else there is nothing to go back to
    assert (len(seen) < 9) == stops
    assert model.evaluate(X2, Y2, verbose=0) == pytest.approx(min(seen), rel=1e-6)


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_snapshots_are_what_validation_used(case, last, folder, tmp_path):
    optimizer, others = CASES[case]
    model = network(optimizer())
    where = tmp_path if folder else None
    restarts = CosineWarmRestarts(cycle_mult=1, snapshots=2, snapshot_folder=where)
    others = [other() for other in others]
    callbacks = [*others, restarts] if last else [restarts, *others]
    seen = fit(model, (X, Y), *callbacks, validation_data=(X2, Y2))["val_loss"]
    assert len(restarts.snapshots) == 2
    for copy, expected in zip(restarts.snapshots, seen[-2:], strict=True):
        copy.compile("sgd", "mse", jit_compile=JIT)
        assert copy.evaluate(X2, Y2, verbose=0) == pytest.approx(expected, rel=1e-5)


class GoesBack(keras.callbacks.Callback):
    """Goes back from the end of the third epoch to that of the first."""

    def on_epoch_end(self, epoch, logs=None):
        model, average = self.model, average_in_use(self.model)
        if epoch == 0:
            self.state = WeightCheckpoint.take(model, DIRECT, average)
            self.first = self.look(model, average)
        if epoch == 2:
            self.other = self.look(model, average)
            self.state.restore(model, DIRECT, optimizer=False, average=average)
            self.last = self.look(model, average)

    def look(self, model, average):
        return evaluated_values(model, DIRECT.read, average)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_averages_go_back_with_the_weights_in_mid_fit(case, last):
    optimizer, others = CASES[case]
    model = network(optimizer())
    others, back = [other() for other in others], GoesBack()
    fit(model, (X, Y), *([*others, back] if last else [back, *others]))
    for index, (first, last) in enumerate(zip(back.first, back.last, strict=True)):
        np.testing.assert_allclose(last, first, atol=1e-6)
        assert not np.allclose(back.other[index], first, atol=1e-6)
