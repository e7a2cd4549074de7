"""Small models and data that the tests share, and what it means for two models to be the same."""

import random

import keras
import numpy as np

# How the tests' models are compiled: without XLA on TensorFlow, where it takes seconds to compile
# what runs for milliseconds. That it works with XLA too, Keras' default, some check with "auto".
JIT = False if keras.backend.backend() == "tensorflow" else "auto"


def _executes_several_steps():
    # On torch, Keras refuses more than one step an execution up to version 3.15.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2, jit_compile=False)
    try:
        model.make_train_function()
    except ValueError:
        return False
    return True


# The numbers of steps in one execution that this Keras takes on this backend.
EXECUTIONS = [1, 8] if _executes_several_steps() else [1]


def regression(samples=200, features=8, seed=0):
    """Return a small noisy regression problem as float32 arrays."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(samples, features)).astype("float32")
    y = (x[:, :1] * x[:, 1:2] + 0.1 * generator.normal(size=(samples, 1))).astype("float32")
    return x, y


def network(*, built=True, seed=3, dropout=0.3):
    """Return an uncompiled network with everything that has state: BatchNorm, Dropout, penalty.

    On torch the dropout follows torch's global generator, which `fit` moves and `train_on_batch`
    does not: tests that compare the two leave it out.
    """
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Dense(8, activation="relu", kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(dropout),
        keras.layers.Dense(1),
    ]
    return keras.Sequential([keras.Input((8,)), *layers] if built else layers)


def compiled(optimizer=None, *, built=True, slots=True, dropout=0.3, **arguments):
    """Return the network compiled for regression; `optimizer` is a function that makes one.

    With its optimizer's slots, if the model is built: a step that makes them is traced twice.
    """
    model = network(built=built, dropout=dropout)
    arguments = {"loss": "mse", "jit_compile": JIT, **arguments}
    optimizer = optimizer() if optimizer else keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, **arguments)
    if built and slots:
        optimizer.build(model.trainable_variables)
    return model


def loss_of_step(model, x, y, sample_weight=None):
    """Train on a batch and return its loss, not the running mean of Keras before 3.15."""
    model.reset_metrics()
    return model.train_on_batch(x, y, sample_weight, return_dict=True)["loss"]


def values(model):
    """Return copies of all variables of a model and its optimizer."""
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def identical(left, right):
    """Return whether two lists of arrays are the same to the bit."""
    return all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(left, right, strict=True)
    )


def random_numbers():
    """Return the next number of every global generator, which moves them."""
    drawn = [random.random(), np.random.random()]
    if keras.backend.backend() == "torch":
        import torch

        drawn.append(float(torch.rand(())))
    return drawn
