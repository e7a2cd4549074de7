"""The checks that a saved state passes before a plateau continues from it."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, get_args

from keras_lr.callbacks.plateau.state import OWNER, Action, PlateauEvent, PlateauState
from keras_lr.callbacks.saved.parts import (
    FIX,
    RULE,
    check_parts,
    is_count,
    is_finite,
    is_number,
    is_rate,
    list_of,
    or_none,
)
from keras_lr.errors import complaint

_LISTS = ("rates", "starts", "memory", "ceilings")
_OPTIONAL = ("best", "record", "ceilings")


def check_state(state: Any, smoothing: float | int | None = None) -> None:
    """Raise unless a state is one that `ReduceOnPlateauPlus.get_state` returns.

    Args:
        state: The state.
        smoothing: The callback's argument, which decides what is remembered for it.

    Raises:
        TypeError: If it is not a dictionary.
        ValueError: If a part is missing or damaged.
    """
    check_parts(OWNER, state, _PARTS)
    controller = state["controller"]
    lengths = {len(controller["rates"]), len(controller["starts"]), len(state["rates"])}
    lengths |= {len(controller.get("ceilings") or controller["rates"])}
    if len(lengths) > 1:
        rule = f"{RULE}, with as many learning rates throughout"
        raise ValueError(complaint(OWNER, rule, FIX, rates=state["rates"], controller=controller))
    memory = controller.get("memory", ())
    averages = isinstance(smoothing, Real) and not isinstance(smoothing, Integral)
    if averages and len(memory) not in (0, 2):
        rule = "a state must be that of a callback with the same smoothing"
        raise ValueError(complaint(OWNER, rule, FIX, memory=memory, smoothing=smoothing))


def _is_controller(value: Any) -> bool:
    if not isinstance(value, Mapping) or not {"rates", "starts"} <= set(value):
        return False
    known = {field.name for field in fields(PlateauState)} & set(value)
    return all(_is_field(name, value[name]) for name in known)


def _is_field(name: str, value: Any) -> bool:
    if name in _OPTIONAL and value is None:
        return True
    if name in _LISTS:
        return list_of(is_finite if name == "memory" else is_rate)(value)
    return is_number(value) if name in _OPTIONAL else is_count(value)


def _is_saved_rate(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(is_rate, value.values()))


def _is_event(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {one.name for one in fields(PlateauEvent)}:
        return False
    numbers = [value[name] for name in ("metric", "lr_before", "lr_after")]
    return (
        is_count(value["epoch"])
        and is_count(value["step"])
        and value["action"] in get_args(Action)
        and all(map(is_number, numbers))
        and or_none(is_number)(value["best"])
        and isinstance(value["reason"], str)
    )


def _is_progress(value: Any) -> bool:
    named = isinstance(value, Mapping) and {"total", "count"} <= set(value)
    return named and is_number(value["total"]) and is_count(value["count"])


_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "controller": _is_controller,
    "rates": list_of(_is_saved_rate),
    "events": list_of(_is_event),
    "steps": _is_progress,
    "went_back": lambda value: value is None or isinstance(value, str),
    "failures": is_count,
    "start_loss": or_none(is_number),
    "best_loss": or_none(is_number),
}
