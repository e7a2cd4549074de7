"""Hooks around single steps: what they see, what they change, and that they go away."""

import keras
import numpy as np
import pytest
from support.tiny import EXECUTIONS, compiled, identical, regression, values

from keras_lr import LRRangeTest, LRScheduler, schedules
from keras_lr._engine.hooks import TrainFunction, attach, compiled_anew, detach
from keras_lr._engine.step import StepHook

X, Y = regression()
BACKEND = keras.backend.backend()


class Recorder(StepHook):
    """A hook that notes what it sees and, if asked to, raises or stops at a step."""

    owner = "Recorder"
    drives_learning_rate = False

    def __init__(self, model, raise_at=None, stop_at=None):
        self.model, self.raise_at, self.stop_at = model, raise_at, stop_at
        self.iterations, self.logs, self.interrupts = [], [], 0

    def before_step(self, state):
        self.iterations.append(int(state.read(self.model.optimizer.iterations)))

    def after_step(self, state, logs):
        self.logs.append(dict(logs))
        if len(self.logs) - 1 == self.raise_at:
            raise KeyboardInterrupt
        if len(self.logs) - 1 == self.stop_at:
            self.model.stop_training = True

    def on_interrupt(self):
        self.interrupts += 1

    def on_end_of_data(self, state):
        pass

    def on_fit_over(self):
        self.left_behind = True


class Driver(Recorder):
    """A hook that sets the learning rate of every step."""

    owner = "Driver"
    drives_learning_rate = True

    def before_step(self, state):
        super().before_step(state)
        state.write(self.model.optimizer.learning_rate, 0.1 / (1 + self.iterations[-1]))


class Attached(keras.callbacks.Callback):
    """Attaches a hook for one fit; leaves it there if the fit is cut off."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def on_train_begin(self, logs=None):
        self.hook = self.make(self.model)
        attach(self.model, self.hook)

    def on_train_end(self, logs=None):
        detach(self.model, self.hook)


def fit(model, *callbacks, **arguments):
    keras.utils.set_random_seed(0)  # torch's dropout follows its global generator
    arguments = {"batch_size": 20, "verbose": 0, "shuffle": False, **arguments}
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)


@pytest.mark.parametrize("several", EXECUTIONS)
def test_sees_every_single_step(several):
    model = compiled(steps_per_execution=several)
    watch = Attached(Recorder)
    fit(model, watch, epochs=2)
    assert watch.hook.iterations == list(range(20))
    assert len(watch.hook.logs) == 20
    assert not isinstance(model.train_function, TrainFunction)
    assert model.steps_per_execution == several


@pytest.mark.parametrize("several", EXECUTIONS)
def test_looking_on_changes_nothing(several):
    watched, plain = (compiled(steps_per_execution=several) for _ in range(2))
    fit(watched, Attached(Recorder), epochs=2)
    fit(plain, epochs=2)
    if several == 1:
        assert identical(values(watched), values(plain))
    else:  # compiled alone and inside a loop, the same step may round differently
        for ours, theirs in zip(values(watched), values(plain), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("several", EXECUTIONS)
def test_a_written_learning_rate_is_the_one_of_the_coming_step(several):
    # SGD with gradient 1 moves by exactly the learning rates applied.
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile(keras.optimizers.SGD(5.0), loss=lambda y, p: p, steps_per_execution=several)
    model.set_weights([np.zeros((1, 1))])
    ones = np.ones((12, 1), "float32")
    model.fit(ones, ones, batch_size=1, verbose=0, callbacks=[Attached(Driver)])
    expected = -sum(0.1 / (1 + step) for step in range(12))
    assert model.get_weights()[0].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("several", EXECUTIONS)
def test_stops_in_the_middle_of_an_execution(several):
    watch = Attached(lambda model: Recorder(model, stop_at=2))
    model = compiled(steps_per_execution=several)
    fit(model, watch)
    assert len(watch.hook.logs) == 3


def test_an_interrupt_reaches_every_hook():
    model = compiled()
    first, second = Attached(Recorder), Attached(lambda m: Recorder(m, raise_at=1))
    with pytest.raises(KeyboardInterrupt):
        fit(model, first, second)
    assert np.isfinite(np.concatenate([array.ravel() for array in values(model)])).all()
    assert (first.hook.interrupts, second.hook.interrupts) == (1, 1)


def test_hooks_of_a_fit_that_was_cut_off_are_left_behind():
    model = compiled()
    stale = Attached(lambda m: Recorder(m, raise_at=1))
    with pytest.raises(KeyboardInterrupt):
        fit(model, stale)
    seen = len(stale.hook.iterations)
    fit(model)
    assert len(stale.hook.iterations) == seen
    fresh = Attached(Recorder)
    with pytest.raises(KeyboardInterrupt):
        fit(model, stale)
    fit(model, fresh)
    assert len(fresh.hook.logs) == 10
    assert not isinstance(model.train_function, TrainFunction)


class Broken(keras.callbacks.Callback):
    """Cuts a fit off outside of its steps."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise RuntimeError


def test_what_is_compiled_after_a_fit_was_cut_off_is_what_is_trained():
    model, twin = compiled(), compiled()
    with pytest.raises(RuntimeError):
        fit(model, LRScheduler(schedules.Constant(0.05)), Broken())
    for variable, copy in zip(model.variables, twin.variables, strict=True):  # seeds, too
        copy.assign(np.array(keras.ops.convert_to_numpy(variable)))
    for each in (model, twin):
        each.compile(keras.optimizers.SGD(0.02), "mae")
    assert fit(model).history == fit(twin).history
    assert identical(values(model), values(twin))


@pytest.mark.parametrize("raise_at", [0, 3])
def test_after_an_exception_in_a_step_no_hook_is_left(raise_at):
    model = compiled()
    hook = Attached(lambda m: Recorder(m, raise_at=raise_at))
    with pytest.raises(KeyboardInterrupt):
        fit(model, LRScheduler(schedules.Constant(0.05)), hook)
    assert not isinstance(model.train_function, TrainFunction)
    assert "make_train_function" not in vars(model)
    seen = len(hook.hook.iterations)
    model.train_on_batch(X[:20], Y[:20])
    assert len(hook.hook.iterations) == seen


def test_a_batch_after_a_fit_that_was_cut_off_is_trained_without_its_hooks():
    model = compiled(lambda: keras.optimizers.SGD(0.5))
    hook = Attached(Recorder)
    with pytest.raises(RuntimeError):
        fit(model, LRScheduler(schedules.Constant(0.05)), hook, Broken())
    seen = len(hook.hook.iterations)
    model.train_on_batch(X[:20], Y[:20])
    assert len(hook.hook.iterations) == seen
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5


def test_the_user_s_own_history_does_not_hide_that_a_fit_was_cut_off():
    model = compiled(lambda: keras.optimizers.SGD(0.5))
    history = keras.callbacks.History()
    with pytest.raises(RuntimeError):
        fit(model, history, LRScheduler(schedules.Constant(0.05)), Broken())
    fit(model, history)
    assert not isinstance(model.train_function, TrainFunction)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5
    with pytest.raises(RuntimeError):
        fit(model, history, LRScheduler(schedules.Constant(0.05)), Broken())
    fit(model, history, LRScheduler(schedules.Constant(0.01)))
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5


def test_a_batch_trained_by_a_callback_is_no_step_of_the_fit():
    class Aside(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.train_on_batch(X[:20], Y[:20])

    model, hook = compiled(), Attached(Recorder)
    line = schedules.Linear(0.1, 0.0, 10)
    history = fit(model, LRScheduler(line), hook, Aside(), epochs=1)
    assert len(hook.hook.logs) == 10
    assert history.history["learning_rate"] == [pytest.approx(float(line.values(9)), rel=1e-6)]


class Inner(keras.callbacks.Callback):
    """Trains the model by another fit after the first epoch, and puts its variables back."""

    def __init__(self, make=None):
        super().__init__()
        self.make = make

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            before = [(v, np.array(keras.ops.convert_to_numpy(v))) for v in self.variables()]
            self.hook = Attached(self.make) if self.make else None
            fit(self.model, *([self.hook] if self.hook else []), batch_size=50)
            for variable, value in before:
                variable.assign(value)

    def variables(self):
        model = self.model
        return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


@pytest.mark.parametrize("make", [None, Recorder, Driver])
@pytest.mark.parametrize("where", [0, 2])
def test_a_fit_within_a_fit_has_its_own_hooks_and_gives_those_of_the_outer_one_back(make, where):
    line = schedules.Linear(0.1, 0.0, 30)
    model, twin = compiled(), compiled()
    inner, outer = Inner(make), Attached(Recorder)
    callbacks = [LRScheduler(line), outer]
    callbacks.insert(where, inner)
    history = fit(model, *callbacks, epochs=3)
    expected = fit(twin, LRScheduler(line), epochs=3)
    assert len(outer.hook.logs) == 30
    if make:
        assert len(inner.hook.hook.logs) == 4
    assert history.history["learning_rate"] == expected.history["learning_rate"]
    if BACKEND != "torch":  # whose dropout follows its global generator
        assert history.history == expected.history
    assert not isinstance(model.train_function, TrainFunction)
    assert "make_train_function" not in vars(model)


def test_a_training_loop_of_the_user_s_own_has_its_hooks():
    model = compiled()
    hook = Recorder(model)
    model.train_on_batch(X[:20], Y[:20])
    attach(model, hook)
    for _ in range(3):
        model.train_on_batch(X[:20], Y[:20])
    assert len(hook.logs) == 3
    detach(model, hook)


def test_two_drivers_are_refused_by_name():
    model = compiled()
    with pytest.raises(ValueError, match="Driver: only one callback of a fit can drive"):
        fit(model, Attached(Driver), Attached(Driver))


def test_a_compiled_anew_goes_away_again():
    model = compiled()
    fit(model)
    before = model.train_function
    with compiled_anew(model):
        assert model.train_function is not before
    assert model.train_function is before


@pytest.mark.parametrize("finder_first", [True, False])
def test_a_step_held_beside_other_hooks_gives_way_to_the_schedule_again(finder_first):
    """By the unit-gradient oracle: with a gradient of 1 the weight moves by the rates applied."""
    start, steps = np.ones((16, 1), "float32"), 16
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    schedule = schedules.Linear(0.1, 0.0, steps=2 * steps)
    model.compile(keras.optimizers.SGD(schedule), loss=lambda y, guess: guess)
    finder = LRRangeTest(min_lr=1e-3, max_lr=1e-2, steps=4, stop_factor=None)
    callbacks = [finder, LRScheduler()] if finder_first else [LRScheduler(), finder]
    model.fit(start, start, batch_size=1, verbose=0, callbacks=callbacks)
    assert "make_train_function" not in vars(model)
    before = values(model)[0].item()
    model.fit(start, start, batch_size=1, verbose=0)
    moved = before - values(model)[0].item()
    np.testing.assert_allclose(moved, schedule.values(range(steps)).sum(), rtol=1e-5)
