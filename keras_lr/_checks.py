"""One form for every complaint: `<Name>: <rule>. Received: <argument>=<value>. <what to do>.`"""

import contextlib
import math
from collections.abc import Iterator
from numbers import Integral, Real


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
    values = ", ".join(f"{name}={value!r}" for name, value in received.items())
    return f"{owner}: {rule}. Received: {values}. {fix}."


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
        raise type(error)(f"{owner}: {rest}") from error


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
        number = float(value)
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
        if value not in choices:
            listed = ", ".join(map(repr, choices))
            rule = f"{name} must be one of {listed}"
            raise ValueError(complaint(owner, rule, "Pass one of them", **{name: value}))


def _bounds(above: float, at_least: float, below: float, at_most: float) -> str:
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    limits = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
    return " and ".join(["finite", *limits])
