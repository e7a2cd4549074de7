"""A variable's value, read and written from the host, between steps."""

from typing import Any

import keras
import numpy as np

ON_JAX = keras.backend.backend() == "jax"
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if ON_TENSORFLOW:
    import tensorflow as tf


def read_variable(variable: Any) -> np.ndarray:
    """Return a copy of a variable's present value. Not for use inside `fit` on JAX."""
    value, handle = variable.value, _handle(variable)
    if handle is not None:
        value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=value.dtype)
    elif _is_distributed(value):  # a metric is one part per replica, and their sum is read
        value = value.read_value()
    return np.array(keras.ops.convert_to_numpy(value))


def write_variable(variable: Any, value: Any) -> None:
    """Give a variable a value of its shape, or on TensorFlow a tensor of its dtype too.

    Not for use inside `fit` on JAX.
    """
    handle = _handle(variable)
    if handle is None:
        variable.assign(value)
        return
    if not isinstance(value, tf.Tensor):
        value = tf.constant(value, dtype=variable.dtype)
    tf.raw_ops.AssignVariableOp(resource=handle, value=value)


def as_constant(value: np.ndarray | None) -> Any:
    """Return an array as what a training step takes in the least time, of the same dtype."""
    if value is None:
        return None
    if ON_TENSORFLOW:
        return tf.constant(value)  # a quarter of the time of `convert_to_tensor`
    return value if ON_JAX else keras.ops.convert_to_tensor(value)


def _handle(variable: Any) -> Any:
    # On TensorFlow the bare operation takes a tenth of the time of `assign`, which on a small model
    # is a tenth of the step. A variable that a strategy has spread over devices has no one handle.
    if not ON_TENSORFLOW or _is_distributed(variable.value):
        return None
    return getattr(variable.value, "handle", None)


def _is_distributed(value: Any) -> bool:
    return getattr(value, "distribute_strategy", None) is not None
