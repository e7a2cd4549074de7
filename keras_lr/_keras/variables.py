"""A variable's value, read and written from the host, between steps."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import keras
import numpy as np

from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW
from keras_lr._keras.placement import copied, gathered, is_within_process, kept_copy, placed_like

if ON_TENSORFLOW:
    import tensorflow as tf

# The distance between neighbouring numbers in half precision: relative, and near zero.
_GRAINS = {"float16": (2.0**-10, 2.0**-24), "bfloat16": (2.0**-7, 0.0)}


class VariableHandle:
    """The way to one variable's value, for many times: what there is to look up is looked up once.

    Not for use inside `fit` on JAX.
    """

    def __init__(self, variable: Any) -> None:
        self._variable = variable
        # Elsewhere the value is not to be looked at: after a fit that was cut off on JAX there is
        # none. On TensorFlow the bare operation takes a tenth of the time of `assign`, which on a
        # small model is a tenth of the step. A variable that a strategy has spread over devices has
        # no one resource.
        held: Any = variable.value if ON_TENSORFLOW else None
        self._resource = None if _is_distributed(held) else getattr(held, "handle", None)
        if self._resource is not None:
            self._dtype, self._is_single = held.dtype, held.dtype == tf.float32

    def read(self) -> np.ndarray:
        """Return a copy of the variable's present value."""
        if self._resource is not None:
            value = tf.raw_ops.ReadVariableOp(resource=self._resource, dtype=self._dtype)
        else:
            value = self._variable.value
            if _is_distributed(value):  # a metric is one part per replica, and their sum is read
                value = value.read_value()
        return np.array(as_numpy(value))

    def write(self, value: Any) -> None:
        """Give the variable a value of its shape, or on TensorFlow a tensor of its dtype too."""
        if self._resource is None:
            held = self._variable._value if ON_JAX else None
            if held is not None and not is_within_process(held):
                value = placed_like(held, np.asarray(value, dtype=held.dtype))
            self._variable.assign(value)
            return
        if self._is_single and isinstance(value, float):
            value = float(value)  # the operation makes a tensor of it, in a third of the time
        elif not isinstance(value, tf.Tensor):
            value = tf.constant(value, dtype=self._dtype)
        tf.raw_ops.AssignVariableOp(resource=self._resource, value=value)


def read_variable(variable: Any) -> np.ndarray:
    """Return a copy of a variable's present value. Not for use inside `fit` on JAX."""
    return VariableHandle(variable).read()


def write_variable(variable: Any, value: Any) -> None:
    """Give a variable a value, as `VariableHandle.write` does. Not inside `fit` on JAX."""
    VariableHandle(variable).write(value)


def as_numpy(value: Any) -> np.ndarray:
    """Return a tensor's value as an array: Keras' own way raises for bfloat16 on TensorFlow."""
    if ON_TENSORFLOW and isinstance(value, tf.Tensor):
        return np.asarray(value.numpy())
    return np.asarray(keras.ops.convert_to_numpy(gathered(value) if ON_JAX else value))


def decimals(values: Any) -> list[float]:
    """Return the shortest decimals that are the same numbers in single precision: 0.1 for 0.1."""
    return [float(str(value)) for value in np.ravel(as_numpy(keras.ops.convert_to_tensor(values)))]


def rounding(variable: Any, value: float) -> float:
    """Return by how much a variable may differ from a number written to it."""
    relative, absolute = _GRAINS.get(variable.dtype, (1e-6, 0.0))
    return max(relative * abs(value), absolute)


def differs(variable: Any, present: Any, written: Any) -> bool:
    """Return whether a variable's value is another one than has been written to it."""
    largest = float(np.max(np.abs(written)))
    return bool(np.max(np.abs(np.subtract(present, written))) > rounding(variable, largest))


class VariableAccess(Protocol):
    """Where variables are read and written: `TrainingState` within a step, else `DIRECT`."""

    def read(self, variable: Any) -> Any:
        """Return a copy of a variable's value."""

    def keep(self, variable: Any) -> Any:
        """Return a copy to go back to; where a value is split among devices, on these."""

    def write(self, variable: Any, value: Any) -> None:
        """Give a variable a value."""


class _Host:
    """Access between two epochs, when the variables hold their values on every backend."""

    def read(self, variable: Any) -> Any:
        return read_variable(variable)

    def keep(self, variable: Any) -> Any:
        return kept_copy(variable.value) if ON_JAX else read_variable(variable)

    def write(self, variable: Any, value: Any) -> None:
        write_variable(variable, value)


DIRECT: VariableAccess = _Host()


def has_value(variable: Any) -> bool:
    """Return whether a variable holds a value. A `fit` on JAX takes the model's along."""
    return variable._value is not None


def move_towards(tensors: list[Any], ends: list[Any], weight: float) -> None:
    """Interpolate torch tensors in place: `tensor += weight (end - tensor)`, all in one call."""
    import torch

    torch._foreach_lerp_(tensors, ends, weight)


def as_constant(value: Any) -> Any:
    """Return an array as what a training step takes in the least time, of the same dtype.

    None, and what has been converted already, is returned as it is.
    """
    if value is None or keras.ops.is_tensor(value):
        return value
    if ON_TENSORFLOW:
        return tf.constant(value)  # a quarter of the time of `convert_to_tensor`
    return value if ON_JAX else keras.ops.convert_to_tensor(value)


def _is_distributed(value: Any) -> bool:
    return getattr(value, "distribute_strategy", None) is not None


class VariableSnapshot:
    """Variables' values at one moment.

    Args:
        variables: The variables, each of which may come several times.
        read: Returns a variable's value: a copy on the host; or on JAX an array, which never
            changes, if no training step will take over its memory.
    """

    def __init__(self, variables: Iterable[Any], read: Callable[[Any], Any]) -> None:
        self._variables = list({id(variable): variable for variable in variables}.values())
        self._values = [read(variable) for variable in self._variables]
        self._placed: list[Any] = []

    def __iter__(self) -> Iterator[tuple[Any, np.ndarray]]:
        return zip(self._variables, map(np.asarray, self._values), strict=True)

    def restore(self, write: Callable[[Any, Any], None], *, for_steps: bool = False) -> None:
        """Hand every variable and its old value to `write`.

        Args:
            write: Gives a variable a value.
            for_steps: Whether training steps come next, which take over the memory (JAX).
        """
        values = self._on_devices(for_steps) if ON_JAX else self._values
        for variable, value in zip(self._variables, values, strict=True):
            write(variable, value)

    def _on_devices(self, for_steps: bool) -> list[Any]:
        """Return the values as arrays of JAX, in one transfer: one by one takes five times as long.

        Those of the last call serve again, unless a step has taken over their memory.
        """
        import jax

        if any(isinstance(value, jax.Array) for value in self._values):
            return [copied(each) for each in self._values] if for_steps else self._values
        if not self._placed or any(value.is_deleted() for value in self._placed):
            self._placed = jax.device_put(self._values)
        return self._placed
