"""Checks of the parts of a callback's saved state, before it goes on from there."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

from keras_lr.errors import complaint

RULE = "a state must be what get_state returned"
FIX = "Pass that, or what JSON made of it"


def check_parts(owner: str, state: Any, parts: Mapping[str, Callable[[Any], bool]]) -> None:
    """Raise unless a state has all its parts, and each of them passes its test.

    Args:
        owner: The public name of the callback.
        state: The state.
        parts: The test for each part.

    Raises:
        TypeError: If the state is not a dictionary.
        ValueError: If a part is missing or damaged.
    """
    if not isinstance(state, Mapping):
        raise TypeError(complaint(owner, RULE, FIX, state=type(state)))
    missing = sorted(set(parts) - set(state))
    if missing:
        raise ValueError(complaint(owner, RULE, FIX, missing=missing))
    for name, is_sound in parts.items():
        if not is_sound(state[name]):
            rule = f"{RULE}; {name} is damaged"
            raise ValueError(complaint(owner, rule, FIX, **{name: state[name]}))


def is_number(value: object) -> bool:
    """Return whether it is a real number."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Return whether it is a finite one."""
    return is_number(value) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Return whether it is an integer of at least 0."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def is_rate(value: Any) -> bool:
    """Return whether it is a finite number of at least 0."""
    return is_number(value) and 0.0 <= value < math.inf


def or_none(is_sound: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return the test that lets None pass as well."""
    return lambda value: value is None or is_sound(value)


def list_of(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the test of a list, whose elements all pass this one."""
    return lambda value: isinstance(value, list | tuple) and all(map(is_sound, value))


def mapping_of(parts: Mapping[str, Callable[[Any], bool]]) -> Callable[[Any], bool]:
    """Return the test of a dictionary that has these parts, each of which passes its own."""
    return lambda value: (
        isinstance(value, Mapping)
        and set(parts) <= set(value)
        and all(is_sound(value[name]) for name, is_sound in parts.items())
    )
