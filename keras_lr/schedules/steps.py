"""Arithmetic on steps, in `keras.ops`: whole numbers up to 2^31 - 1, of any shape."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

LAST_STEP = 2**31 - 1
"""The last step a schedule is defined at: Keras counts iterations in 32 bits on JAX and torch."""


def exact(step: Any) -> Any:
    """Return the steps in a dtype that is wide enough for all steps and allows subtraction."""
    dtype = keras.backend.standardize_dtype(step.dtype)
    if dtype in ("int32", "int64", "float32", "float64"):
        return step
    return ops.cast(step, "int32" if "int" in dtype else "float32")


def real(step: Any) -> Any:
    """Cast a step, or a difference of steps, to float32: after the integer arithmetic."""
    return ops.cast(step, "float32")


def progress(step: Any, steps: int) -> Any:
    """Return the fraction of `steps` that is done at `step`, from 0 to 1."""
    return real(ops.minimum(step, steps)) / float(steps)


def place(step: Any, boundaries: Sequence[int]) -> Any:
    """Return how many of the rising boundaries each step has reached."""
    table = ops.convert_to_tensor(np.array(boundaries, "int64"), dtype=step.dtype)
    flat = ops.reshape(step, (-1,))  # TensorFlow searches for vectors only
    return ops.reshape(ops.searchsorted(table, flat, side="right"), ops.shape(step))


def gather(table: Sequence[float], index: Any, dtype: str = "float32") -> Any:
    """Return the entries of a table."""
    return ops.take(ops.convert_to_tensor(table, dtype=dtype), index)
