"""Training loops and optimizers of the user's own."""

import keras
import numpy as np
import pytest
from support.drives import Spy, data, displacement, fit, network
from support.tiny import JIT

from keras_lr import schedules
from keras_lr.callbacks import (
    Cooldown,
    CosineWarmRestarts,
    CyclicLR,
    LRScheduler,
    OneCycle,
    ReduceOnPlateauPlus,
    WeightAverage,
)

X, Y = data()
ONES = np.ones((8, 1), "float32")
STEPS, EPOCHS = 6, 3
FALL = schedules.Linear(0.1, 0.0, steps=STEPS * EPOCHS)
BACKEND = keras.backend.backend()


def one_weight():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    return model


def update(optimizer, model):
    """Make an update with a gradient of 1."""
    optimizer.apply([keras.ops.ones((1, 1))], model.trainable_variables)


def moved(model):
    return -model.get_weights()[0].item()


def loop(model, callbacks, step, **params):
    """Run a training loop as the guides write it; return what a History holds."""
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList([*callbacks, history], model=model, **params)
    callbacks.on_train_begin()
    for epoch in range(EPOCHS):
        callbacks.on_epoch_begin(epoch)
        for batch in range(STEPS):
            callbacks.on_train_batch_begin(batch)
            step()
            callbacks.on_train_batch_end(batch, {"loss": 1.0})
        callbacks.on_epoch_end(epoch, {"loss": 1.0})
    callbacks.on_train_end()
    return history.history


@pytest.mark.parametrize("params", [{}, {"epochs": EPOCHS, "steps": STEPS, "verbose": 0}])
@pytest.mark.parametrize(
    "make",
    [
        lambda: LRScheduler(FALL),
        lambda: CyclicLR(0.0, 0.1, step_size_steps=9),
        lambda: CosineWarmRestarts(0.1, first_cycle_steps=6, cycle_mult=1),
        lambda: OneCycle(0.1, steps=STEPS * EPOCHS, momentum=None),
    ],
)
def test_updates_of_ones_own_are_driven(make, params):
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    plain, spy = displacement(keras.optimizers.SGD(0.5)), Spy()
    ones = ONES.repeat(STEPS, 0)
    fit(plain, (ones, ones), make(), spy, epochs=EPOCHS)
    own = Spy()
    history = loop(model, [make(), own], lambda: update(optimizer, model), **params)
    np.testing.assert_allclose(moved(model), np.sum(spy.rates), rtol=1e-5)
    np.testing.assert_allclose(own.rates, spy.rates, rtol=1e-6)
    rates = history["learning_rate"]
    np.testing.assert_allclose(rates, spy.rates[STEPS - 1 :: STEPS], rtol=1e-6)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == 0.5
    assert not {"compile", "make_train_function", "save"} & set(vars(model))


@pytest.mark.parametrize("params", [{}, {"epochs": EPOCHS, "steps": STEPS}])
def test_one_cycle_without_a_momentum(params):
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    cycle = schedules.OneCycle(0.1, steps=STEPS * EPOCHS)
    loop(model, [OneCycle(0.1, steps=STEPS * EPOCHS)], lambda: update(optimizer, model), **params)
    expected = cycle.values(range(STEPS * EPOCHS)).sum()
    np.testing.assert_allclose(moved(model), expected, rtol=1e-5)


@pytest.mark.parametrize("params", [{}, {"epochs": EPOCHS, "steps": STEPS}])
@pytest.mark.parametrize("drivers", [lambda: [], lambda: [LRScheduler(FALL)]])
@pytest.mark.parametrize("first", [True, False])
def test_a_cooldown_of_ones_own_updates(first, drivers, params):
    model, optimizer = one_weight(), keras.optimizers.SGD(0.1)
    model.compile(optimizer, "mse", jit_compile=JIT)
    cooldown = Cooldown(4, at_step=7)
    callbacks = [cooldown, *drivers()] if first else [*drivers(), cooldown]
    step = lambda: model.stop_training or update(optimizer, model)  # noqa: E731
    history = loop(model, callbacks, step, **params)
    assert "learning_rate" in history
    before = FALL.values(range(8)) if drivers() else np.full(8, 0.1)
    expected = [*before[:7], *(before[7] * np.array([1, 0.75, 0.5, 0.25]))]
    np.testing.assert_allclose(moved(model), np.sum(expected), rtol=1e-5)
    assert (cooldown.begun_at, model.stop_training) == (7, True)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == np.float32(0.1)


def test_an_average_over_ones_own_updates():
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    loop(model, [WeightAverage(None)], lambda: update(optimizer, model))
    mean = 0.5 * np.mean(range(1, STEPS * EPOCHS + 1))
    np.testing.assert_allclose(moved(model), mean, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: LRScheduler(FALL), lambda: Cooldown(4, at_step=2)])
def test_a_loop_that_tells_of_no_batch_is_refused(make):
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    callbacks = keras.callbacks.CallbackList([make()], model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    update(optimizer, model)
    with pytest.raises(ValueError, match=r"on_train_batch_begin"):
        callbacks.on_epoch_end(0, {"loss": 1.0})
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == 0.5
    assert not {"compile", "make_train_function", "save"} & set(vars(model))


def test_batches_that_make_no_update_do_not_move_the_schedule():
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    calls = iter(range(100))
    step = lambda: next(calls) % 2 or update(optimizer, model)  # noqa: E731
    loop(model, [LRScheduler(FALL)], step)
    expected = FALL.values(range(STEPS * EPOCHS // 2)).sum()
    np.testing.assert_allclose(moved(model), expected, rtol=1e-5)


def test_a_loop_without_epochs_goes_on_where_the_optimizer_stands():
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    for _ in range(2):
        callbacks = keras.callbacks.CallbackList([LRScheduler(FALL)], model=model)
        callbacks.on_train_begin()
        for batch in range(4):
            callbacks.on_train_batch_begin(batch)
            update(optimizer, model)
            callbacks.on_train_batch_end(batch, {})
        callbacks.on_train_end()
    np.testing.assert_allclose(moved(model), FALL.values(range(8)).sum(), rtol=1e-5)


def test_train_on_batch_without_params():
    model = network(keras.optimizers.SGD(0.5))
    step = lambda: model.train_on_batch(X[:8], Y[:8])  # noqa: E731
    own = Spy()
    loop(model, [LRScheduler(FALL), own], step)
    np.testing.assert_allclose(own.rates, FALL.values(range(STEPS * EPOCHS)), rtol=1e-6)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5


def test_a_plateau_in_a_loop_of_ones_own():
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse", jit_compile=JIT)
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1)
    history = loop(model, [plateau], lambda: update(optimizer, model))
    assert history["learning_rate"] == [0.5, 0.5, 0.25]
    np.testing.assert_allclose(moved(model), STEPS * 1.25, rtol=1e-6)


def test_an_optimizer_in_no_model_can_be_passed():
    model, optimizer = one_weight(), keras.optimizers.SGD(0.5)
    driver = LRScheduler(FALL, optimizers=optimizer)
    loop(model, [driver], lambda: update(optimizer, model))
    np.testing.assert_allclose(moved(model), FALL.values(range(18)).sum(), rtol=1e-5)


def test_a_model_without_an_optimizer_is_refused():
    with pytest.raises(ValueError, match="LRScheduler: the model must be compiled"):
        loop(one_weight(), [LRScheduler(FALL)], lambda: None)


class Pair(keras.Model):
    """A model whose step makes updates with two optimizers of its own, as a GAN does."""

    def __init__(self):
        super().__init__()
        self.left = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.right = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")

    def call(self, x):
        return self.left(x) + self.right(x)

    def compile(self, left, right):
        super().compile(loss=None, jit_compile=JIT)
        self.left_optimizer, self.right_optimizer = left, right

    def train_step(self, data):
        for optimizer, layer in (
            (self.left_optimizer, self.left),
            (self.right_optimizer, self.right),
        ):
            optimizer.apply([keras.ops.ones((1, 1))], layer.trainable_variables)
        return {"loss": keras.ops.zeros(())}


def pair():
    model = Pair()
    model(ONES)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2))
    model.left_optimizer.build(model.left.trainable_variables)
    model.right_optimizer.build(model.right.trainable_variables)
    return model


own_step = pytest.mark.skipif(BACKEND == "jax", reason="a train_step has no state of its own there")
NAMES = ["left_optimizer", "right_optimizer"]


@own_step
@pytest.mark.parametrize(
    "make", [lambda: LRScheduler(FALL), lambda: CyclicLR(0.0, 0.1, step_size_steps=3)]
)
def test_an_optimizer_that_makes_no_update_is_never_logged_as_driven(make):
    spy = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: spy.append(logs))
    with pytest.raises(ValueError, match="has made no update"):
        fit(pair(), (ONES.repeat(STEPS, 0), ONES.repeat(STEPS, 0)), make(), watch)
    assert len(spy) == STEPS
    assert not any("learning_rate" in logs for logs in spy)


@own_step
def test_nor_scaled_by_a_plateau_nor_cooled_nor_logged():
    ones = ONES.repeat(STEPS, 0)
    with pytest.raises(ValueError, match="has made no update"):
        fit(pair(), (ones, ones), ReduceOnPlateauPlus("loss"))
    with pytest.raises(ValueError, match="has made no update"):
        fit(pair(), (ones, ones), Cooldown(2, at_step=1))
    with pytest.warns(UserWarning, match="has made no update"):
        history = fit(pair(), (ones, ones), LRScheduler())
    assert "learning_rate" not in history


@own_step
def test_optimizers_of_a_model_can_be_named():
    model, ones = pair(), ONES.repeat(STEPS, 0)
    history = fit(model, (ones, ones), LRScheduler(FALL, optimizers=NAMES))
    total = FALL.values(range(18)).sum()
    left, right = (-weight.item() for weight in model.get_weights())
    np.testing.assert_allclose([left, right], [total / 2, total], rtol=1e-5)
    assert "learning_rate" in history

    model = pair()
    both = LRScheduler([FALL, schedules.Constant(0.5)], optimizers=NAMES)
    history = fit(model, (ones, ones), both)
    left, right = (-weight.item() for weight in model.get_weights())
    np.testing.assert_allclose([left, right], [total, 9.0], rtol=1e-5)
    np.testing.assert_allclose(history["learning_rate_right_optimizer"], [0.5] * 3)

    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, optimizers="left_optimizer")
    history = fit(pair(), (ones, ones), plateau)
    np.testing.assert_allclose(history["learning_rate_left_optimizer"], [0.1, 0.1, 0.05], rtol=1e-6)


def test_unknown_names_and_other_things_are_refused():
    model = network(keras.optimizers.SGD(0.5))
    with pytest.raises(ValueError, match="LRScheduler: optimizers must be one of"):
        fit(model, (X, Y), LRScheduler(FALL, optimizers="left"))
    with pytest.raises(TypeError, match="LRScheduler: optimizers must be names or optimizers"):
        LRScheduler(FALL, optimizers=3)
    with pytest.raises(ValueError, match="must name at least one"):
        CyclicLR(0.0, 0.1, optimizers=[])


@pytest.mark.skipif(BACKEND != "jax", reason="elsewhere they can be driven")
def test_on_jax_others_are_refused_in_a_fit():
    model = network(keras.optimizers.SGD(0.5))
    with pytest.raises(ValueError, match="on JAX, fit trains only with the optimizer"):
        fit(model, (X, Y), LRScheduler(FALL, optimizers=keras.optimizers.SGD(0.1)))
