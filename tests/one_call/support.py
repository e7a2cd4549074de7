"""The model, the data and the fit by hand that the tests of `fit` share."""

import keras
import numpy as np
from support.tiny import JIT, regression

from keras_lr import LRScheduler, WeightAverage
from keras_lr.one_call.statistics import FreshStatistics

X, Y = regression(samples=64)
VALIDATION = regression(samples=32, seed=1)


def light(optimizer=None, **arguments):
    """Return a model that compiles quickly, without randomness in training."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(optimizer or keras.optimizers.Adam(), "mse", **{"jit_compile": JIT, **arguments})
    model.optimizer.build(model.trainable_variables)
    return model


class StopAfter(keras.callbacks.Callback):
    """Ends a fit after so many batches."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.model.stop_training = True


def by_hand(model, result, *, keep, **arguments):
    """Train a model as `fit` says it has, with the callbacks of the library."""
    callbacks = [LRScheduler(result.schedule), StopAfter(len(result.learning_rates))]
    if keep is not None:
        average = WeightAverage((0.0, 0.98, 0.995), keep=keep, batch_norm=False)
        callbacks.insert(0, average)
    callbacks.append(FreshStatistics())
    return model.fit(**{"verbose": 0, **arguments}, callbacks=callbacks)


class Weights(keras.callbacks.Callback):
    """Notes the first weight after each batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(np.ravel(self.model.get_weights()[0])[0]))
