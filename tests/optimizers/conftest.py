"""Fixtures of the optimizer tests: given gradients, applied one by one or in a compiled fit."""

import contextlib

import keras
import numpy as np
import pytest


@pytest.fixture
def float64(backend):
    """Keras in double precision, so that an oracle can be met to the last digits."""
    precision, policy = keras.config.floatx(), keras.config.dtype_policy()
    with contextlib.ExitStack() as stack:
        if backend == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        stack.callback(keras.config.set_floatx, precision)
        stack.callback(keras.config.set_dtype_policy, policy)
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        yield


@pytest.fixture
def gradients():
    """1,000 noisy gradients of four weights, from large to tiny and one that is often zero.

    All are numbers that float32 holds: torch's data adapter rounds to it in any precision.
    """
    noise = np.random.default_rng(0).normal(size=(1000, 4)) + 0.5
    noise[:, 3] *= np.arange(1000) % 3 == 0
    return (noise * [10.0, 1.0, 1e-2, 1.0]).astype("float32").astype("float64")


@pytest.fixture
def tiny_gradients(gradients):
    """The same of some 1e-8, 1e-7 and 1e-6: below epsilon, at it and above; the last often zero."""
    tiny = gradients / [10.0, 1.0, 1e-2, 1.0] * [1e-8, 1e-7, 1e-6, 1e-7]
    return tiny.astype("float32").astype("float64")


@pytest.fixture
def apply():
    """Apply gradients by hand and return the weights before and after each, in rows."""

    def run(optimizer, start, gradients):
        weight = keras.Variable(start)
        path = [np.array(start)]
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
            path.append(keras.ops.convert_to_numpy(weight))
        return np.array(path)

    return run


@pytest.fixture
def given_gradients(backend):
    """Make a compiled model whose gradient is the input row itself, and whose weights start so."""

    def make(optimizer, start, **compiling):
        model = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
        model.build((None, len(start)))
        model.set_weights([np.reshape(start, (-1, 1))])
        if "run_eagerly" not in compiling:  # XLA on TensorFlow takes long to compile
            compiling = {"jit_compile": backend == "jax", **compiling}
        model.compile(optimizer, loss=lambda _, rows: keras.ops.mean(rows), **compiling)
        return model

    return make


@pytest.fixture
def fit(given_gradients):
    """Fit to given gradients, one a batch, and return the weights before and after each."""

    def run(optimizer, start, gradients):
        model = given_gradients(optimizer, start)
        path = [np.array(start)]
        record = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: path.append(record.model.get_weights()[0][:, 0])
        )
        fitting = {"batch_size": 1, "shuffle": False, "verbose": 0, "callbacks": [record]}
        model.fit(gradients, gradients[:, :1], **fitting)
        return np.array(path)

    return run
