"""Models, fits and scripted metrics for the tests of ReduceOnPlateauPlus."""

import keras
import numpy as np

from keras_lr.callbacks.plateau import ReduceOnPlateauPlus
from support.tiny import JIT

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


Y = (X @ np.array([[1.0], [-2.0], [0.5], [0.0]]) + 0.3).astype("float32")


def make_model(optimizer=None, *, seed=0, **compile_arguments):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(1)]
    )
    optimizer = keras.optimizers.SGD(0.1) if optimizer is None else optimizer
    model.compile(optimizer, "mse", jit_compile=JIT, **compile_arguments)
    optimizer.build(model.trainable_variables)  # for one trace less
    return model


def fit(model, callbacks, epochs=6, **arguments):
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **arguments)


def learning_rate(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


class Scripted(keras.callbacks.Callback):
    """Gives the epochs' logs a metric with chosen values, to be listed before the plateau."""

    def __init__(self, values, name="metric"):
        super().__init__()
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs=None):
        if self.values[epoch] is not None:
            logs[self.name] = self.values[epoch]


def scripted(values, optimizer=None, execution=1, **arguments):
    """Fit on a scripted metric; return the model, the plateau and the history."""
    model = make_model(optimizer, steps_per_execution=execution)
    plateau = ReduceOnPlateauPlus("metric", mode="min", **arguments)
    history = fit(model, [Scripted(values), plateau], epochs=len(values))
    return model, plateau, history.history


NOISY = np.random.default_rng(7).normal(size=12).round(2).tolist()


class Watch(keras.callbacks.Callback):
    """Keeps the weights and the optimizer's variables at the beginning of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights, self.slots = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.keep()

    def on_train_end(self, logs=None):
        self.keep()

    def keep(self):
        self.weights.append(self.model.get_weights())
        variables = self.model.optimizer.variables
        self.slots.append([keras.ops.convert_to_numpy(v.value).copy() for v in variables])
