"""Models that the searched learning rate does not train: said in words, alike in every search."""

import keras
import numpy as np
import pytest
from support.searches import SEARCHES
from support.tiny import compiled, identical, regression, values

from keras_lr import LRRangeTest, lr_find

X, Y = regression(samples=128)
BACKEND = keras.backend.backend()


def in_a_fit(model, x=X, y=Y, verbose=0):
    finder = LRRangeTest(steps=20)
    model.fit(x, y, epochs=30, verbose=verbose, callbacks=[finder])
    return finder.result


def losses_of(result):
    """Return the losses that a search has seen, whichever it was."""
    if hasattr(result, "trials"):
        return [getattr(trial, "score", getattr(trial, "loss", None)) for trial in result.trials]
    return np.ravel(result.losses).tolist()


ALL = {**SEARCHES, "LRRangeTest": in_a_fit}


def moved(variables):
    """Return what a step by hand makes of weights: the same at every learning rate."""
    return [variable * 0.99 for variable in variables]


class ByHand(keras.Model):
    """A step that changes the weights itself and never asks the optimizer."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, *arguments):
        x, y = arguments[-1][:2]
        if BACKEND == "jax":
            trainable, non_trainable, optimizer, metrics = arguments[0]
            mapping = list(zip(self.trainable_variables, trainable, strict=True))
            with keras.StatelessScope(mapping):
                loss = keras.ops.mean(keras.ops.square(self(x) - y))
            return {"loss": loss}, (moved(trainable), non_trainable, optimizer, metrics)
        loss = keras.ops.mean(keras.ops.square(self(x) - y))
        for variable, value in zip(self.trainable_variables, self.weights, strict=True):
            variable.assign(value * 0.99)
        return {"loss": loss}


class Inner(ByHand):
    """A step with an optimizer of its own, as GANs have: compile() gets none."""

    def compile(self, own, **options):
        super().compile(**options)
        self.own = own

    def train_step(self, *arguments):
        if BACKEND == "jax":  # Keras' fit on JAX carries one optimizer only
            return super().train_step(*arguments)
        x, y = arguments[-1][:2]
        if BACKEND == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                loss = keras.ops.mean(keras.ops.square(self(x, training=True) - y))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.own.apply(gradients, self.trainable_variables)
            return {"loss": loss}
        loss = keras.ops.mean(keras.ops.square(self(x, training=True) - y))
        self.zero_grad()
        loss.backward()
        import torch

        with torch.no_grad():
            gradients = [variable.value.grad for variable in self.trainable_variables]
            self.own.apply(gradients, self.trainable_variables)
        return {"loss": loss.detach()}


def by_hand():
    keras.utils.set_random_seed(0)
    model = ByHand()
    model.compile("sgd", "mse", jit_compile=False if BACKEND == "tensorflow" else "auto")
    return model


def inner():
    keras.utils.set_random_seed(0)
    model = Inner()
    model.compile(
        keras.optimizers.Adam(0.01),
        loss="mse",
        jit_compile=False if BACKEND == "tensorflow" else "auto",
    )
    return model


def frozen(built=True):
    model = compiled(built=built, slots=False)
    for layer in model.layers:
        layer.trainable = False
    model.compile("sgd", "mse", jit_compile=False if BACKEND == "tensorflow" else "auto")
    return model


@pytest.mark.filterwarnings("ignore:The model does not have any trainable")  # Keras' own, beside it
@pytest.mark.parametrize("search", ALL)
@pytest.mark.parametrize("built", [True, False])
def test_a_frozen_model_is_told_so(search, built):
    with pytest.raises(ValueError, match="must have weights that train, but all") as caught:
        ALL[search](frozen(built))
    assert str(caught.value).startswith(f"{search}: ")


@pytest.mark.parametrize("search", ALL)
@pytest.mark.parametrize("made", [by_hand, inner])
def test_a_step_that_does_not_use_the_compiled_optimizer_is_told_so(search, made):
    model = made()
    model(X[:1])
    model.optimizer.build(model.trainable_variables)
    before = values(model)
    with pytest.raises(ValueError, match="must train with the compiled optimizer") as caught:
        ALL[search](model)
    assert str(caught.value).startswith(f"{search}: ")
    assert identical(before, values(model))


@pytest.mark.parametrize("search", ALL)
def test_gradient_accumulation_and_scaled_losses_are_in_order(search):
    inside = keras.optimizers.SGD(0.01, gradient_accumulation_steps=4)
    assert len(set(losses_of(ALL[search](compiled(lambda: inside))))) > 1  # the rate matters
    if search != "tune_adam":  # which takes no wrapped optimizer
        scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))
        assert len(set(losses_of(ALL[search](compiled(lambda: scaled))))) > 1


def test_a_sweep_of_few_steps_is_refused_too():
    with pytest.raises(ValueError, match="its_updates=0"):
        lr_find(by_hand(), X, Y, steps=3, verbose=0)


def test_what_is_refused_is_refused_before_much_is_trained():
    seen = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    with pytest.raises(ValueError, match="compiled optimizer"):
        by_hand().fit(X, Y, epochs=9, verbose=0, callbacks=[Count(), LRRangeTest(steps=20)])
    assert len(seen) <= 8
    assert np.isfinite(seen).all()
