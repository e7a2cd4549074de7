"""Decorators of schedule classes: frozen dataclasses, which Keras can save and load."""

from __future__ import annotations

import dataclasses
from typing import TypeVar, dataclass_transform

import keras

_Class = TypeVar("_Class", bound=type)


@dataclass_transform(frozen_default=True, eq_default=False)
def frozen(cls: _Class) -> _Class:
    """Make a class a frozen dataclass, whose subclasses inherit its fields."""
    dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)  # changes the class in place
    return cls


@dataclass_transform(frozen_default=True, eq_default=False)
def schedule(cls: _Class) -> _Class:
    """Make a subclass of `Schedule` a frozen dataclass that Keras can save and load.

    It is registered under the name of its top package and its own: `keras_lr>Linear`.

    Args:
        cls: The subclass. Its annotated attributes become fields: numbers, strings, tuples of
            these, and other schedules. It is changed in place.

    Returns:
        The class.

    Example:
        >>> from keras import ops
        >>> from keras_lr import schedules
        >>> @schedules.schedule
        ... class Sawtooth(schedules.Schedule):
        ...     peak: float
        ...     period: int
        ...     steps = None  # endless
        ...
        ...     def value(self, step):
        ...         done = ops.cast(step % self.period, "float32") / self.period
        ...         return self.peak * (1.0 - done)
        >>> Sawtooth(1.0, period=4).warmup(2)
        Sawtooth(peak=1.0, period=4).warmup(2)
        >>> Sawtooth(1.0, period=4).values(range(6)).tolist()
        [1.0, 0.75, 0.5, 0.25, 1.0, 0.75]
    """
    package = cls.__module__.partition(".")[0]
    registered: _Class = keras.saving.register_keras_serializable(package)(frozen(cls))
    return registered
