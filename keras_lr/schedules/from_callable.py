"""Schedules made of a function of the step."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from keras import ops

from keras_lr._cpu import on_cpu
from keras_lr.errors import check_rate, complaint, takes
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.steps import real


@schedule
class FromCallable(Schedule):
    """Any function of the step in `keras.ops`, or one of Keras' own schedules.

    It gains the operators, `values` and the plot. To be saved in a model, the function must be
    registered with `keras.saving.register_keras_serializable`. A function that only takes Python
    numbers goes into a `Table`.

    Args:
        function: Called with an integer tensor; returns the values. They are looked at when the
            schedule is made, at step 0 and, if `steps` is given, at some steps up to that.
        steps: Number of steps it takes to reach its last value. Default: endless.
        elementwise: Whether the function takes a tensor of any shape. False calls it step by step.

    Raises:
        TypeError: If the function cannot be called with one number, or returns none.
        ValueError: If a value that was looked at is negative or not finite in float32; on torch and
            in this library's callbacks, also at the step of a fit that has such a value. Compiled
            steps on TensorFlow and JAX cannot raise: there, infinity is cut off at 3.4e38.

    Example:
        >>> import keras
        >>> from keras_lr import schedules
        >>> peer = keras.optimizers.schedules.CosineDecay(1.0, decay_steps=4)
        >>> print(schedules.FromCallable(peer, steps=4).warmup(2).values(range(7)).round(3))
        [0.    0.5   1.    0.854 0.5   0.146 0.   ]
    """

    function: Callable[[Any], Any]
    steps: int | None = None
    elementwise: bool = True

    @property
    def is_foreseeable(self) -> bool:
        """Whether it is one of Keras' own schedules, which are pure and have values everywhere."""
        if isinstance(self.function, Schedule):
            return self.function.is_foreseeable
        return type(self.function).__module__.startswith("keras.")

    def __post_init__(self) -> None:
        if not callable(self.function):
            rule, fix = "function must be callable", "Pass a function of the step"
            raise TypeError(complaint("FromCallable", rule, fix, function=self.function))
        if not takes(self.function, 0):
            rule, fix = "function must take one number, the step", "Pass a function of the step"
            raise TypeError(complaint("FromCallable", rule, fix, function=self.function))
        self._check_bools("elementwise")
        if self.steps is not None:
            self._check_lengths("steps")
        self._look()

    def _look(self) -> None:
        """Look at some values, one by one: a function may take no others."""
        steps = np.linspace(0, self.steps or 0, min(self.steps or 0, 31) + 1).astype("int64")
        if self.steps is None and self.is_foreseeable:
            steps = np.append(0, 2 ** np.arange(14))  # as far as GROWTH_STEPS
        for step in steps.tolist():
            with on_cpu():
                value = self.function(ops.convert_to_tensor(step, dtype="int32"))
                self._check_kind(value)
                number = float(ops.convert_to_numpy(real(value)))
            check_rate("FromCallable", number, step)

    def _check_kind(self, value: Any) -> None:
        array = isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "OSUMmc"
        known = array or isinstance(value, Real) or ops.is_tensor(value)
        if known and np.ndim(value) == 0:
            return
        rule, fix = "function must return a number for a single step", "Return one in keras.ops"
        raise TypeError(complaint("FromCallable", rule, fix, function=self.function, value=value))

    def value(self, step: Any) -> Any:
        """Call the function."""
        if self.elementwise or len(step.shape) == 0:
            return real(self.function(step))
        singly = ops.map(lambda one: real(self.function(one)), ops.reshape(step, (-1,)))
        return ops.reshape(singly, ops.shape(step))
