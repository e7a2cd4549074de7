"""The backend Keras runs on, and the scope in which a model's variables are created."""

import contextlib
from typing import Any

import keras

ON_JAX = keras.backend.backend() == "jax"
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ON_TORCH = keras.backend.backend() == "torch"


def strategy_scope(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Return the scope of a model's `tf.distribute` strategy, or one of no effect."""
    strategy = getattr(model, "distribute_strategy", None)
    scope: contextlib.AbstractContextManager[Any] = (
        strategy.scope() if strategy else contextlib.nullcontext()
    )
    return scope


def eagerly() -> contextlib.AbstractContextManager[Any]:
    """Return the scope in which TensorFlow runs operations at once, whatever it is tracing."""
    if not ON_TENSORFLOW:
        return contextlib.nullcontext()
    import tensorflow as tf

    scope: contextlib.AbstractContextManager[Any] = tf.init_scope()
    return scope
