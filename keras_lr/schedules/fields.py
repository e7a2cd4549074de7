"""Base class of values that are checked, saved, compared and printed by their fields."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import keras

from keras_lr.errors import GREATEST, SMALLEST, check_bool, check_integer, check_number
from keras_lr.schedules.steps import LAST_STEP


class Fields:
    """A frozen dataclass of numbers, strings, tuples of these, and other schedules."""

    _method = ""  # the method of `Schedule` that makes it, if users do not call the class

    def fields(self) -> dict[str, Any]:
        """Return the constructor arguments by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def get_config(self) -> dict[str, Any]:
        """Return the fields in a form that JSON can hold."""
        return {name: _pack(value) for name, value in self.fields().items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild the schedule from `get_config()`."""
        return cls(**{name: _unpack(value) for name, value in config.items()})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fields):
            return NotImplemented
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        plain = [value for value in self.fields().values() if isinstance(value, int | float | str)]
        return hash((type(self), *plain))

    def _key(self) -> dict[str, Any]:
        return {name: _comparable(value) for name, value in self.fields().items()}

    def __repr__(self) -> str:
        """Print the call that makes this schedule, without the arguments left at their defaults."""
        defaults = self._defaults()
        arguments = [
            f"{name}={value!r}" for name, value in self.fields().items() if value != defaults[name]
        ]
        return f"{type(self).__name__}({', '.join(arguments)})"

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        declared: Any = cls  # the decorator makes every subclass a dataclass
        return {field.name: field.default for field in dataclasses.fields(declared)}

    # --- checks: what a subclass calls in __post_init__ -----------------------------------------

    @property
    def _owner(self) -> str:
        """The name to use in messages: the class, or the method that makes it."""
        return self._method or type(self).__name__

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the one way to normalise a frozen field

    def _check_rates(self, *names: str, above: float | None = None) -> None:
        """Make the fields Python floats, and raise unless they are finite and not negative."""
        for name in names:
            rate = getattr(self, name)
            if above is None:
                check_number(self._owner, "Pass a learning rate", at_least=0.0, **{name: rate})
            else:
                fix = "Pass a number in that range"
                check_number(self._owner, fix, above=above, **{name: rate})
            check_number(self._owner, "Pass a smaller one", at_most=GREATEST, **{name: rate})
            if above is not None:
                fix = "Pass one that float32 can hold"
                check_number(self._owner, fix, at_least=SMALLEST, **{name: rate})
            self._set(name, float(rate))

    def _check_bools(self, *names: str) -> None:
        """Make the fields Python bools, and raise unless they are bools."""
        for name in names:
            value = getattr(self, name)
            check_bool(self._owner, **{name: value})
            self._set(name, bool(value))

    def _check_lengths(self, *names: str, at_least: int = 1) -> None:
        """Make the fields Python integers, and raise unless they are numbers of steps."""
        for name in names:
            length = getattr(self, name)
            owner, fix = self._owner, "Pass a number of optimizer steps"
            check_integer(owner, fix, at_least=at_least, **{name: length})
            check_number(owner, fix, at_most=LAST_STEP, **{name: length})
            self._set(name, int(length))


def _comparable(value: Any) -> Any:
    keras_own = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
    if keras_own and not isinstance(value, Fields):  # they compare by identity
        return keras.saving.serialize_keras_object(value)
    return value


def _pack(value: Any) -> Any:
    if callable(value):  # a schedule, or a function in FromCallable
        return keras.saving.serialize_keras_object(value)
    return list(value) if isinstance(value, tuple) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        return keras.saving.deserialize_keras_object(value)
    return tuple(value) if isinstance(value, list) else value
