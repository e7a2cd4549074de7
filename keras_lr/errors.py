"""One form for every complaint: `<Name>: <rule>. Received: <argument>=<value>. <what to do>.`"""

import contextlib
import inspect
import math
import os
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np

GREATEST = float(np.float32(3.4e38))
"""About the largest float32, the type in which learning rates are computed."""

SMALLEST = 1.2e-38
"""About the smallest float32 above 0 that keeps its precision."""

LONGEST = 299
"""The length of a message, in characters: what does not fit of the values is left out."""


def complaint(owner: str, rule: str, fix: str, /, **received: object) -> str:
    """Word an error or warning in the library's form.

    Args:
        owner: The public name the user called, such as `"LRRangeTest"`.
        rule: What must hold, without a final full stop.
        fix: What to do about it, without a final full stop.
        **received: The offending arguments and their values.

    Returns:
        The sentence, ready for an exception or a warning.
    """
    names = sum(len(name) + 3 for name in received)
    # Rules and fixes may list names that the user gave: outputs, metrics, optimizers.
    rule_and_fix = LONGEST - len(f"{owner}: . Received: . .") - names - 20 * len(received)
    rule = shortened(rule, max(20, rule_and_fix - min(len(fix), rule_and_fix // 2)))
    fix = shortened(fix, max(20, rule_and_fix - len(rule)))
    frame = len(f"{owner}: {rule}. Received: . {fix}.") + names
    room = max(20, (LONGEST - frame) // max(1, len(received)))
    values = ", ".join(f"{name}={_shown(value, room)}" for name, value in received.items())
    return shortened(f"{owner}: {rule}. Received: {values}. {fix}.", LONGEST)


def shortened(text: str, most: int) -> str:
    """Return a text with its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    tail = min(most // 3, 60)
    return f"{text[: most - tail - 5]} ... {text[-tail:]}"


def _shown(value: object, room: int) -> str:
    """Return a value's repr on one line, cut in the middle where it is longer than `room`."""
    try:
        text = " ".join(repr(value).split())
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        # Integers of more than 4300 digits, arrays that JAX has deleted, faults in `__repr__`.
        text = f"<{type(value).__name__} that cannot be printed>"
    if len(text) <= room:
        return text
    tail = min(8, room // 4)
    return f"{text[: room - tail - 3]}...{text[-tail:]}"


@contextlib.contextmanager
def complaining_as(owner: str, inner: str) -> Iterator[None]:
    """Let what `inner` refuses in this block be refused in the name the user called.

    Args:
        owner: The public name the user called.
        inner: The name of what it is made of.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        name, _, rest = str(error).partition(": ")
        if name != inner:
            raise
        raise type(error)(shortened(f"{owner}: {rest}", LONGEST)) from error


def check_number(
    owner: str,
    fix: str,
    /,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
    **received: object,
) -> None:
    """Raise unless every received value is a finite real number within the bounds.

    Args:
        owner: The public name the user called.
        fix: What to do about a refusal, without a final full stop.
        above: Exclusive lower bound.
        at_least: Inclusive lower bound.
        below: Exclusive upper bound.
        at_most: Inclusive upper bound.
        **received: The arguments to check, by name.

    Raises:
        TypeError: If a value is not a real number.
        ValueError: If a value is NaN, infinite or out of bounds.
    """
    for name, value in received.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(complaint(owner, f"{name} must be a number", fix, **{name: value}))
        number = float_or_inf(value)
        inside = above < number < below and at_least <= number <= at_most
        if not (math.isfinite(number) and inside):
            rule = f"{name} must be {_bounds(above, at_least, below, at_most)}"
            raise ValueError(complaint(owner, rule, fix, **{name: value}))


def check_integer(
    owner: str, fix: str, /, *, at_least: int | None = None, **received: object
) -> None:
    """Raise unless every received value is an integer of at least `at_least`.

    Args:
        owner: The public name the user called.
        fix: What to do about a refusal, without a final full stop.
        at_least: Inclusive lower bound; None for no bound.
        **received: The arguments to check, by name.

    Raises:
        TypeError: If a value is not an integer (a bool is not one).
        ValueError: If a value is out of bounds.
    """
    for name, value in received.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(complaint(owner, f"{name} must be an integer", fix, **{name: value}))
        if at_least is not None and value < at_least:
            rule = f"{name} must be at least {at_least}"
            raise ValueError(complaint(owner, rule, fix, **{name: value}))


def check_choice(owner: str, choices: tuple[object, ...], /, **received: object) -> None:
    """Raise unless every received value is one of the choices.

    Args:
        owner: The public name the user called.
        choices: The accepted values.
        **received: The arguments to check, by name.

    Raises:
        ValueError: If a value is none of the choices.
    """
    for name, value in received.items():
        # Not `value in choices`: an array compares with each element of its own.
        if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
            listed = ", ".join(map(repr, choices))
            rule = f"{name} must be one of {listed}"
            raise ValueError(complaint(owner, rule, "Pass one of them", **{name: value}))


def check_rate(owner: str, value: float, step: int) -> None:
    """Raise unless a schedule's value is one that an optimizer can use.

    Args:
        owner: The name of the schedule.
        value: The value.
        step: Where it is given.

    Raises:
        ValueError: If it is negative, not a number, or beyond float32.
    """
    if not 0.0 <= value < GREATEST:
        rule = f"a learning rate must be finite in float32 and not negative, at step {step} too"
        fix = "Bound the schedule, such as by .clip(low=0.0, high=1.0)"
        raise ValueError(complaint(owner, rule, fix, value=value))


def check_bool(owner: str, /, **received: object) -> None:
    """Raise unless every received value is True or False: `"no"` and 2 would pass for True.

    Args:
        owner: The public name the user called.
        **received: The arguments to check, by name.

    Raises:
        TypeError: If a value is neither a bool nor a NumPy bool.
    """
    for name, value in received.items():
        if not isinstance(value, bool | np.bool_):
            rule = f"{name} must be True or False"
            raise TypeError(complaint(owner, rule, "Pass one of the two", **{name: value}))


def check_path(owner: str, fix: str, /, **received: Any) -> None:
    """Raise unless every received value is a path: a string or a path object.

    Args:
        owner: The public name the user called.
        fix: What to do about a refusal, without a final full stop.
        **received: The arguments to check, by name.

    Raises:
        TypeError: If a value is not a path.
        ValueError: If a value is empty, or holds a null character.
    """
    for name, value in received.items():
        if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
            raise TypeError(complaint(owner, f"{name} must be a path", fix, **{name: value}))
        if not os.fspath(value) or "\0" in os.fspath(value):
            rule = f"{name} must be a path that can exist"
            raise ValueError(complaint(owner, rule, fix, **{name: value}))


def takes(function: Any, *arguments: object) -> bool:
    """Return whether a function can be called with such arguments, as far as its signature says.

    Args:
        function: Anything callable. What a built-in function takes may not be known.
        *arguments: Arguments by position.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def float_or_inf(value: Any) -> float:
    """Return a real number as a float; infinity where it is too large for one."""
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction beyond 1.8e308
        return math.inf if value > 0 else -math.inf


def _bounds(above: float, at_least: float, below: float, at_most: float) -> str:
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    limits = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
    return " and ".join(["finite", *limits])
