"""Checks of what a plotting function is given: a result of the right kind, and Axes to draw on."""

from collections.abc import Iterable
from typing import Any, TypeVar

from matplotlib.axes import Axes

from keras_lr.errors import complaint

P = TypeVar("P")


def check_result(owner: str, kind: type, maker: str, result: Any) -> None:
    """Raise unless `result` is of a kind, which `maker` returns."""
    if not isinstance(result, kind):
        rule, fix = f"result must be a {kind.__name__}", f"Pass what {maker} returned"
        raise TypeError(complaint(owner, rule, fix, result=type(result)))


def picture_of(owner: str, kind: type[P], maker: str, result: Any, *arguments: Any) -> P:
    """Return the picture of what `maker` returns; raise unless `result` is that."""
    if getattr(result, "picture_type", None) is not kind:
        name = kind.__name__.removesuffix("Picture") + "Result"
        rule, fix = f"result must be a {name}", f"Pass what {maker} returned"
        raise TypeError(complaint(owner, rule, fix, result=type(result)))
    drawn: P = result.picture(*arguments)
    return drawn


def check_axes(owner: str, ax: Any) -> None:
    """Raise unless `ax` is None or one Axes."""
    if ax is not None and not isinstance(ax, Axes):
        rule, fix = "ax must be a matplotlib Axes", "Pass one, or None for a new figure"
        raise TypeError(complaint(owner, rule, fix, ax=_told(ax)))


def several_axes(owner: str, axes: Any, count: int, rule_of_count: str, fix: str) -> list[Axes]:
    """Return so many Axes as a list, those of an array row by row; raise unless they are."""
    listed = items(axes.flat if hasattr(axes, "flat") else axes)
    if not all(isinstance(ax, Axes) for ax in listed):
        rule = "axes must be several matplotlib Axes"
        raise TypeError(complaint(owner, rule, fix, axes=_told(axes)))
    if len(listed) != count:
        raise ValueError(complaint(owner, rule_of_count, fix, axes=len(listed)))
    return listed


def name_list(owner: str, fix: str, **received: Any) -> list[str] | None:
    """Return one name or several as a list; None as it is."""
    ((argument, value),) = received.items()
    if value is None:
        return None
    listed = items(value)
    if all(isinstance(name, str) for name in listed):
        return listed
    rule = f"{argument} must be a name or several"
    raise TypeError(complaint(owner, rule, fix, **received))


def items(value: Any) -> list[Any]:
    """Return the items of a collection, or what is no collection as the only item."""
    single = isinstance(value, str | bytes) or getattr(value, "shape", None) == ()
    return [value] if single or not isinstance(value, Iterable) else list(value)


def _told(value: Any) -> object:
    return value if isinstance(value, bool | int | float | str | None) else type(value)
