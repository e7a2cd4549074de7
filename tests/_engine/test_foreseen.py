"""Values that are foreseen for all steps of an execution, which are then made together."""

import keras
import numpy as np
import pytest
from support.tiny import EXECUTIONS, JIT

from keras_lr import schedules
from keras_lr._engine.executions import Executions
from keras_lr._keras import given_values
from keras_lr.callbacks import CosineWarmRestarts, LRScheduler, OneCycle, ReduceOnPlateauPlus

SEVERAL = EXECUTIONS[-1]
FALL = schedules.InverseTime(0.5, decay=0.1)
ONES = np.ones((21, 1), "float32")  # the third execution of eight steps has less


def straight(optimizer=None, jit_compile=JIT, base=keras.Model):
    """Return a model of one weight, which SGD moves by exactly the learning rates applied."""
    inputs = keras.Input((1,))
    model = base(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile(
        optimizer or keras.optimizers.SGD(5.0),
        loss=lambda y, p: p,
        steps_per_execution=SEVERAL,
        jit_compile=jit_compile,
    )
    model.set_weights([np.zeros((1, 1))])
    return model


def fit(model, *callbacks, epochs=2, data=(ONES, ONES), **arguments):
    history = model.fit(
        *data, batch_size=1, epochs=epochs, callbacks=list(callbacks), verbose=0, **arguments
    )
    return -model.get_weights()[0].item(), history.history["learning_rate"]


@pytest.fixture
def together(monkeypatch):
    """Let no step be made alone."""

    def alone(*given):
        raise AssertionError("steps were made one at a time")

    if SEVERAL > 1:
        monkeypatch.setattr(Executions, "_one_by_one", alone)


@pytest.mark.parametrize("jit_compile", [False, JIT])
def test_each_step_has_its_own_rate(together, jit_compile):
    moved, logged = fit(straight(jit_compile=jit_compile), LRScheduler(FALL))
    applied = FALL.values(range(42))
    assert moved == pytest.approx(applied.sum(), rel=1e-6)
    np.testing.assert_array_equal(np.float32(logged), np.float32(applied[[20, 41]]))


def test_beside_a_plateau(together):
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=1e9, cooldown=9)
    moved, _ = fit(straight(), LRScheduler(schedules.Constant(0.5)), plateau, epochs=3)
    scales = 0.5 ** np.cumsum([event.action == "reduce" for event in plateau.events])
    assert len(scales)
    assert moved == pytest.approx(0.5 * 21 * (2 + scales[0]), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # as it is to
def test_with_data_of_unknown_length(together):
    def data():
        yield from ((ONES[:1], ONES[:1]) for _ in range(13))

    model = straight()
    moved, logged = fit(model, LRScheduler(FALL), epochs=1, data=(data(),), shuffle=False)
    assert moved == pytest.approx(FALL.values(range(13)).sum(), rel=1e-6)
    assert logged == [pytest.approx(FALL.values(12), rel=1e-6)]


def test_with_a_train_step_that_updates_twice(together):
    class Twice(keras.Model):
        def train_step(self, *given):
            *state, data = given
            if state:
                _, state[0] = super().train_step(state[0], data)
                return super().train_step(state[0], data)
            super().train_step(data)
            return super().train_step(data)

    moved, _ = fit(straight(base=Twice), LRScheduler(FALL), epochs=1)
    assert moved == pytest.approx(2 * FALL.values(range(21)).sum(), rel=1e-6)


@pytest.mark.parametrize("accumulation", [None, 3])
def test_momentum_and_weight_decay_too(together, accumulation):
    optimizers = [
        keras.optimizers.SGD(
            0.1, momentum=0.5, weight_decay=0.1, gradient_accumulation_steps=accumulation
        )
        for _ in range(2)
    ]
    driver = LRScheduler(
        FALL,
        momentum=schedules.Linear(0.9, 0.1, steps=14),
        weight_decay=schedules.Linear(0.0, 0.2, steps=14),
    )
    models = [straight(optimizer) for optimizer in optimizers]
    models[1].compile(optimizers[1], loss=models[1].loss, jit_compile=JIT)  # one by one
    assert fit(models[0], driver)[0] == pytest.approx(fit(models[1], driver)[0], rel=1e-5)


def test_warm_restarts_make_their_ends_alone(monkeypatch):
    lengths, several = [], Executions._foreseen
    monkeypatch.setattr(
        Executions, "_foreseen", lambda *given: lengths.append(1) or several(*given)
    )
    restarts = CosineWarmRestarts(0.5, first_cycle_steps=20, cycle_mult=1)
    moved, _ = fit(straight(), restarts, epochs=1, data=(np.ones((40, 1)), np.ones((40, 1))))
    applied = schedules.CosineRestarts(0.5, first_cycle_steps=20, cycle_mult=1).values(range(40))
    assert moved == pytest.approx(applied.sum(), rel=1e-6)
    assert len(lengths) == (3 if SEVERAL > 1 else 0)  # of 5; a cycle ends in the third and last


def test_the_step_is_compiled_once_for_a_model(together, monkeypatch):
    made, around = [], given_values.train_function_around
    monkeypatch.setattr(
        given_values,
        "train_function_around",
        lambda *given: made.append(1) or around(*given),
    )
    model = straight()
    for _ in range(3):
        fit(model, LRScheduler(FALL))
    assert len(made) == (1 if SEVERAL > 1 else 0)
    model.compile(keras.optimizers.SGD(0.1), loss=model.loss, steps_per_execution=SEVERAL)
    fit(model, LRScheduler(FALL))
    assert len(made) == (2 if SEVERAL > 1 else 0)


def test_a_train_function_of_ones_own_is_called_step_by_step():
    class Own(keras.Model):
        def make_train_function(self, force=False):
            super().make_train_function(force)
            plain = self.train_function
            self.train_function = lambda *given: plain(*given)

    moved, _ = fit(straight(base=Own), LRScheduler(FALL), epochs=1)
    assert moved == pytest.approx(FALL.values(range(21)).sum(), rel=1e-6)


@pytest.mark.parametrize("make", [lambda: LRScheduler(FALL), lambda: OneCycle(0.5)])
def test_a_fit_that_was_interrupted_leaves_the_optimizer_its_own(make):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = straight(keras.optimizers.SGD(5.0, momentum=0.9))
    with pytest.raises(KeyboardInterrupt):
        fit(model, make(), Stop())
    model.fit(ONES, ONES, verbose=0)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 5.0
    assert model.optimizer.momentum == 0.9
