"""Callbacks follow a model that is compiled anew in the middle of a fit."""

import keras
import numpy as np
import pytest
from support.drives import Spy, data, displacement, fit, network
from support.tiny import JIT

from keras_lr import LRRangeTest, schedules
from keras_lr.callbacks import (
    Cooldown,
    CosineWarmRestarts,
    CyclicLR,
    LRScheduler,
    OneCycle,
    ReduceOnPlateauPlus,
    WeightAverage,
)

ONES = np.ones((48, 1), "float32")
STEPS = 6
FALL = schedules.Linear(0.1, 0.0, steps=4 * STEPS)


def loss(y, prediction):
    return keras.ops.mean(prediction)


def compile_again(model, optimizer):
    model.compile(optimizer, loss=loss, jit_compile=JIT)
    optimizer.build(model.trainable_variables)
    model.make_train_function(force=True)


def only_compile(model, optimizer):
    model.compile(optimizer, loss=loss, jit_compile=JIT)


def only_set(model, optimizer):
    model.optimizer = optimizer


def make_anew(model, optimizer):
    model.make_train_function(force=True)


def drop(model, optimizer):
    model.train_function = None


def eagerly(model, optimizer):
    model.run_eagerly = True
    model.make_train_function(force=True)


def unfrozen(model, optimizer):
    for layer in model.layers:
        layer.trainable = True
    compile_again(model, optimizer)


WAYS = [compile_again, only_compile, only_set, make_anew, drop, eagerly, unfrozen]


class Again(keras.callbacks.Callback):
    """Changes how the model is compiled at one hook, once."""

    def __init__(self, way, hook="on_epoch_begin", at=2, optimizer=None):
        super().__init__()
        self.optimizer = optimizer or keras.optimizers.SGD(7.0)
        self.count = 0

        def act(*arguments, **named):
            self.count += 1
            if self.count == at + 1:
                way(self.model, self.optimizer)

        setattr(self, hook, act)


def moved(model):
    return -model.get_weights()[0].item()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_schedule_goes_on_from_its_place(way, first):
    """With a gradient of 1 the weight moves by the rates applied, whoever applied them."""
    model, spy = displacement(keras.optimizers.SGD(5.0)), Spy()
    again = Again(way)
    callbacks = [again, LRScheduler(FALL)] if first else [LRScheduler(FALL), again]
    history = fit(model, (ONES, ONES), *callbacks, spy, epochs=4)
    expected = FALL.values(range(4 * STEPS)).astype("float64")
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-6)
    np.testing.assert_allclose(moved(model), expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(history["learning_rate"], expected[STEPS - 1 :: STEPS], rtol=1e-6)
    own = 7.0 if model.optimizer is again.optimizer else 5.0
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == own
    assert not {"compile", "make_train_function", "save"} & set(vars(model))


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_epoch_end"])
@pytest.mark.parametrize("way", [compile_again, only_set])
def test_wherever_it_is_compiled(way, hook):
    model = displacement(keras.optimizers.SGD(5.0))
    fit(model, (ONES, ONES), LRScheduler(FALL), Again(way, hook), epochs=4)
    np.testing.assert_allclose(moved(model), FALL.values(range(24)).sum(), rtol=1e-5)


@pytest.mark.parametrize("first", [True, False])
def test_before_the_first_step(first):
    model = displacement(keras.optimizers.SGD(5.0))
    callbacks = [Again(compile_again, at=0), LRScheduler(FALL)]
    fit(model, (ONES, ONES), *(callbacks if first else callbacks[::-1]), epochs=4)
    np.testing.assert_allclose(moved(model), FALL.values(range(24)).sum(), rtol=1e-5)


def test_momentum_is_driven_on_the_new_optimizer_too():
    new = keras.optimizers.SGD(7.0, momentum=0.9)
    model = displacement(keras.optimizers.SGD(5.0, momentum=0.9))
    driver = LRScheduler(lambda step: 0.1, momentum=lambda step: 0.0)
    fit(model, (ONES, ONES), driver, Again(compile_again, optimizer=new), epochs=4)
    np.testing.assert_allclose(moved(model), 24 * 0.1, rtol=1e-5)  # else velocity would add up
    assert new.momentum == 0.9


@pytest.mark.parametrize(
    "make",
    [
        lambda: OneCycle(0.1, momentum=None),
        lambda: CyclicLR(0.0, 0.1, step_size_steps=4),
        lambda: CosineWarmRestarts(0.1, first_cycle_steps=8, cycle_mult=2),
    ],
)
def test_every_driver_gives_what_it_gives_undisturbed(make):
    plain, disturbed = Spy(), Spy()
    for spy, others in ((plain, []), (disturbed, [Again(compile_again)])):
        model = displacement(keras.optimizers.SGD(5.0))
        fit(model, (ONES, ONES), make(), *others, spy, epochs=4)
        np.testing.assert_allclose(moved(model), np.sum(spy.rates), rtol=1e-5)
    np.testing.assert_allclose(disturbed.rates, plain.rates)


def test_what_only_logs_goes_on_with_the_new_optimizer():
    spy, new = Spy(), keras.optimizers.SGD(FALL)
    again = Again(compile_again, optimizer=new)
    fit(displacement(keras.optimizers.SGD(5.0)), (ONES, ONES), again, LRScheduler(), spy, epochs=4)
    expected = [5.0] * 2 * STEPS + list(FALL.values(range(2 * STEPS)))
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-6)


def test_snapshots_are_all_taken_and_restarts_reset_the_new_optimizer():
    model = network(keras.optimizers.Adam(0.01))
    restarts = CosineWarmRestarts(
        0.05, first_cycle_epochs=1, cycle_mult=1, snapshots=4, reset_optimizer=True
    )

    def again(model, optimizer):
        model.compile(optimizer, "mse", jit_compile=JIT)
        optimizer.build(model.trainable_variables)
        model.make_train_function(force=True)

    new = keras.optimizers.Adam(0.02)
    fit(model, data(), restarts, Again(again, optimizer=new), epochs=4)
    assert len(restarts.snapshots) == 4
    assert int(keras.ops.convert_to_numpy(new.iterations)) == STEPS  # reset as epoch 3 began


def test_a_new_optimizer_with_a_schedule_of_its_own_is_refused():
    model = displacement(keras.optimizers.SGD(5.0))
    again = Again(compile_again, optimizer=keras.optimizers.SGD(FALL))
    with pytest.raises(ValueError, match="LRScheduler: the optimizer already has a schedule"):
        fit(model, (ONES, ONES), again, LRScheduler(FALL), epochs=4)


def test_a_schedule_set_in_mid_fit_is_refused():
    def give(model, optimizer):
        model.optimizer.learning_rate = FALL

    model = displacement(keras.optimizers.SGD(5.0))
    with pytest.raises(ValueError, match="given a schedule in a fit that drives its rate"):
        fit(model, (ONES, ONES), LRScheduler(FALL), Again(give), epochs=4)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("way", [compile_again, only_set, make_anew])
def test_a_plateau_goes_on_as_that_of_keras(way, first):
    """The metric stands still, so both reduce every second epoch, before and after."""
    histories = []
    for plateau in (
        ReduceOnPlateauPlus("flat", mode="min", factor=0.5, patience=2),
        keras.callbacks.ReduceLROnPlateau("flat", mode="min", factor=0.5, patience=2),
    ):

        class Flat(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["flat"] = 1.0

        model = displacement(keras.optimizers.SGD(0.25))
        again = Again(way, at=3, optimizer=keras.optimizers.SGD(0.125))
        callbacks = [again, plateau] if first else [plateau, again]
        rates = fit(model, (ONES, ONES), Flat(), *callbacks, epochs=8)["learning_rate"]
        histories.append((rates, float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))))
        if isinstance(plateau, ReduceOnPlateauPlus):
            np.testing.assert_allclose(moved(model), STEPS * np.sum(rates), rtol=1e-5)
    np.testing.assert_allclose(histories[0][0], histories[1][0])
    assert histories[0][1] == histories[1][1]


def test_a_plateau_over_a_driver_keeps_its_scale():
    class Flat(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["flat"] = 1.0

    model, spy = displacement(keras.optimizers.SGD(5.0)), Spy()
    plateau = ReduceOnPlateauPlus("flat", mode="min", factor=0.5, patience=1)
    driver = LRScheduler(lambda step: 0.1)
    fit(model, (ONES, ONES), Flat(), driver, plateau, Again(compile_again), spy, epochs=4)
    expected = np.repeat([0.1, 0.1, 0.05, 0.025], STEPS)
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-6)
    np.testing.assert_allclose(moved(model), expected.sum(), rtol=1e-5)


def test_a_rescue_after_it_takes_the_new_optimizer_as_it_was_then():
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                weights = self.model.get_weights()
                self.model.set_weights([np.full_like(each, np.nan) for each in weights])

    def again(model, optimizer):
        model.compile(optimizer, "mse", jit_compile=JIT)
        optimizer.build(model.trainable_variables)
        model.make_train_function(force=True)

    model = network(keras.optimizers.SGD(0.01))
    new = keras.optimizers.Adam(0.01)
    plateau = ReduceOnPlateauPlus("loss", max_rescues=2, restore_best_weights=True)
    fit(model, data(), plateau, Again(again, optimizer=new), Break(), epochs=4)
    assert [event.action for event in plateau.events] == ["rescue"]
    assert all(np.isfinite(each).all() for each in model.get_weights())


def test_a_range_test_refuses_and_changes_nothing():
    model = displacement(keras.optimizers.SGD(5.0))
    before = model.optimizer, moved(model)
    again = Again(compile_again, "on_train_batch_begin")
    with pytest.raises(ValueError, match="LRRangeTest: the model cannot be compiled"):
        fit(model, (ONES, ONES), LRRangeTest(steps=20), again, epochs=9)
    assert (model.optimizer, moved(model)) == before
    assert "compile" not in vars(model)


@pytest.mark.parametrize("batches", [1, 2])
def test_a_cooldown_and_an_average_count_the_updates_of_the_new_optimizer(batches):
    model = displacement(keras.optimizers.SGD(0.5))
    new = keras.optimizers.SGD(0.1, gradient_accumulation_steps=batches if batches > 1 else None)
    again = Again(compile_again, at=1, optimizer=new)
    cooldown, average = Cooldown(2, at_step=STEPS + 1), WeightAverage(None)
    history = fit(model, (ONES, ONES), cooldown, average, again, epochs=4)
    rates = [0.5] * STEPS + [0.1, 0.1, 0.05]
    np.testing.assert_allclose(moved(model), np.mean(np.cumsum(rates)), rtol=1e-5)
    assert history["learning_rate"][:2] == pytest.approx([0.5, 0.05])


@pytest.mark.parametrize("accumulations", [(None, 3), (3, None), (2, 3)])
@pytest.mark.parametrize(
    ("make", "schedule"),
    [
        (
            lambda: LRScheduler(schedules.Linear(0.2, 0.0, steps=4), unit="epoch"),
            schedules.Linear(0.2, 0.0, steps=24),
        ),
        (lambda: OneCycle(0.1, momentum=None), None),
    ],
)
def test_what_spans_the_fit_does_so_with_another_accumulation(accumulations, make, schedule):
    before, after = accumulations
    first = keras.optimizers.SGD(5.0, gradient_accumulation_steps=before)
    second = keras.optimizers.SGD(7.0, gradient_accumulation_steps=after)
    model, spy = displacement(first), Spy()
    fit(model, (ONES, ONES), make(), Again(only_compile, optimizer=second), spy, epochs=4)
    if schedule is None:
        updates = 24 // (before or 1)
        whole = schedules.OneCycle(0.1, steps=updates)
        values = [float(whole.values(batch / (before or 1))) for batch in range(24)]
    else:
        values = schedule.values(np.arange(24)).tolist()
    expected = [values[batch - batch % (before or 1)] for batch in range(12)]
    expected += [values[batch - batch % (after or 1)] for batch in range(12, 24)]
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-5)
