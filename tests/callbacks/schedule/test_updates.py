"""Optimizers that a callback drives, and that the training step does not use."""

import warnings

import keras
import numpy as np
import pytest
from support.tiny import JIT

from keras_lr import Cooldown, LRScheduler, ReduceOnPlateauPlus, schedules

BACKEND = keras.backend.backend()
BATCHES = 20
ONES = np.ones((BATCHES, 1), "float32")
FALL = schedules.Linear(0.1, 0.0, steps=2 * BATCHES)
KNOWN = 8  # steps

MAKE = [
    lambda: LRScheduler(FALL),
    lambda: ReduceOnPlateauPlus("loss"),
    lambda: ReduceOnPlateauPlus("loss", frequency=3),
    lambda: Cooldown(9, at_step=2),
]
own_step = pytest.mark.skipif(BACKEND == "jax", reason="a train_step has no state of its own there")


class ByHand(keras.Sequential):
    """A model whose step moves its weights without an optimizer."""

    def train_step(self, *given):
        if BACKEND == "jax":
            (weights, *others), _ = given
            return {"loss": keras.ops.zeros(())}, ([weight - 0.1 for weight in weights], *others)
        for weight in self.trainable_variables:
            weight.assign(weight - 0.1)
        return {"loss": keras.ops.zeros(())}


class Critics(keras.Sequential):
    """A model with an optimizer of its own beside the compiled one, which it uses now and then.

    Args:
        every: After how many batches the compiled optimizer makes an update; None for never.
        critic: Whether the other one makes an update at every batch.
    """

    def __init__(self, every, critic):
        super().__init__([keras.Input((1,)), keras.layers.Dense(1)])
        self.every, self.critic = every, critic
        self.batches = 0
        self.other_weight = self.add_weight(shape=(), name="other")
        self.other = keras.optimizers.SGD(0.1)
        self.other.build([self.other_weight])

    def train_step(self, data):
        self.batches += 1
        if self.critic:
            self.other.apply([keras.ops.ones(())], [self.other_weight])
        if self.every and self.batches % self.every == 0:
            weights = self.layers[0].trainable_variables
            self.optimizer.apply([keras.ops.ones_like(weight) for weight in weights], weights)
        return {"loss": keras.ops.zeros(())}


def by_hand():
    model = ByHand([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=JIT)
    return model


def critics(every=None, critic=True):
    model = Critics(every, critic)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.optimizer.build(model.layers[0].trainable_variables)
    return model


def fit(model, *callbacks, epochs=1):
    """Train, and return how many batches the last callback has been told of, and the history."""
    told = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: told.append(1))
    try:
        model.fit(ONES, ONES, 1, epochs, 0, [*callbacks, count], shuffle=False)
    finally:
        fit.told = len(told)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("model", [by_hand, pytest.param(critics, marks=own_step)])
def test_it_is_said_as_soon_as_others_have_moved_the_weights(model, make):
    model = model()
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    with pytest.raises(ValueError, match=f"has made no update in {KNOWN} steps"):
        fit(model, make())
    assert fit.told == KNOWN - 1
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == rate


def test_where_nothing_is_driven_it_is_a_warning():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit(by_hand(), LRScheduler(), epochs=2)
    said = [str(each.message) for each in found if "has made no update" in str(each.message)]
    assert len(said) == 1
    assert f"in {KNOWN} steps" in said[0]


@own_step
@pytest.mark.parametrize("make", MAKE)
def test_a_step_may_gather_batches_for_an_update(make):
    model = critics(every=10, critic=False)
    fit(model, make())
    assert model.optimizer.iterations > 0


@own_step
def test_optimizers_that_are_named_may_wait_for_others():
    model = critics(every=10)
    fit(model, LRScheduler(FALL, optimizers=[model.optimizer]))
    assert model.optimizer.iterations == 2


def test_an_epoch_without_an_update_is_always_too_long():
    model = by_hand()
    model.trainable = True
    with pytest.raises(ValueError, match="has made no update in a whole epoch"):
        model.fit(ONES[:3], ONES[:3], 1, 1, 0, [LRScheduler(FALL)])


@own_step
def test_a_plateau_scales_what_a_driver_has_been_told_to_drive():
    model = critics()
    model.other_weight.assign(0.0)
    constant = LRScheduler(schedules.Constant(0.5), optimizers="other")
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1)
    history = model.fit(ONES, ONES, 1, 4, 0, [constant, plateau], shuffle=False).history
    np.testing.assert_allclose(history["learning_rate"], [0.5, 0.5, 0.25, 0.125], rtol=1e-6)
    moved = -float(keras.ops.convert_to_numpy(model.other_weight))
    np.testing.assert_allclose(moved, BATCHES * (0.5 + 0.5 + 0.25 + 0.125), rtol=1e-5)


@pytest.mark.parametrize("told", [False, True])
def test_a_plateau_by_steps_in_a_loop_of_ones_own_must_be_told_of_them(told):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=JIT)
    model.optimizer.build(model.trainable_variables)
    plateau = ReduceOnPlateauPlus("loss", frequency=2, patience=1)
    callbacks = keras.callbacks.CallbackList([plateau], model=model)

    def epoch():
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        for batch in range(5):
            if told:
                callbacks.on_train_batch_begin(batch)
            weights = model.trainable_variables
            model.optimizer.apply([keras.ops.ones(each.shape) for each in weights], weights)
            if told:
                callbacks.on_train_batch_end(batch, {"loss": 1.0})
        callbacks.on_epoch_end(0, {"loss": 1.0})

    if told:
        epoch()
        assert [event.step for event in plateau.events] == [4]
    else:
        with pytest.raises(ValueError, match=r"must tell of its batches. Received: untold=5"):
            epoch()
