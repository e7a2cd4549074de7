"""Models, data and fits that the tests of driving callbacks share."""

import keras
import numpy as np

from keras_lr.callbacks import CosineWarmRestarts
from support.tiny import JIT


class Spy(keras.callbacks.Callback):
    """Notes the learning rate in the logs of each batch."""

    def __init__(self):
        super().__init__()
        self.rates, self.momenta = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(logs["learning_rate"])
        self.momenta.append(logs.get("momentum"))


def data(samples=48):
    """Return a small regression problem."""
    x = np.random.default_rng(0).normal(size=(samples, 4)).astype("float32")
    return x, x[:, :1] * x[:, 1:2]


def network(optimizer, spe=1, *, slots=True, **arguments):
    """Return a compiled network with BatchNorm, and with its optimizer's slots: see `tiny`."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    arguments = {"jit_compile": JIT, "steps_per_execution": spe, **arguments}
    model.compile(optimizer, "mse", **arguments)
    if slots:
        optimizer.build(model.trainable_variables)
    return model


def displacement(optimizer, spe=1, jit_compile=JIT):
    """Return a model of one weight whose gradient is 1: it moves by each learning rate applied."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(
        optimizer,
        loss=lambda y, prediction: keras.ops.mean(prediction),
        steps_per_execution=spe,
        jit_compile=jit_compile,
    )
    model.set_weights([np.zeros((1, 1))])
    return model


def fit(model, xy, *callbacks, epochs=3, batch_size=8, shuffle=False, **arguments):
    """Fit quietly and return the history."""
    return model.fit(
        *xy,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        callbacks=list(callbacks),
        verbose=0,
        **arguments,
    ).history


def restarts(**arguments):
    """Return warm restarts whose second cycle ends inside an epoch, with six steps to each."""
    arguments = {"max_lr": 0.05, "first_cycle_steps": 8, "cycle_mult": 2, **arguments}
    return CosineWarmRestarts(**arguments)


def everything(model):
    """Return all variables of a model and its optimizer, flat."""
    variables = [*model.variables, *model.optimizer.variables]
    arrays = [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]
    return np.concatenate([array.ravel().astype("float64") for array in arrays])
