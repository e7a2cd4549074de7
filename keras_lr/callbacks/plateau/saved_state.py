"""The checks that a saved state passes before a plateau continues from it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, get_args

from keras_lr._checks import complaint
from keras_lr.callbacks.plateau.state import OWNER, Action, PlateauEvent, PlateauState

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
    rule = "a state must be what get_state returned"
    fix = "Pass that, or what JSON made of it"
    if not isinstance(state, Mapping):
        raise TypeError(complaint(OWNER, rule, fix, state=type(state)))
    missing = sorted(set(_PARTS) - set(state))
    if missing:
        raise ValueError(complaint(OWNER, rule, fix, missing=missing))
    for name, is_sound in _PARTS.items():
        if not is_sound(state[name]):
            raise ValueError(
                complaint(OWNER, f"{rule}; {name} is damaged", fix, **{name: state[name]})
            )
    controller = state["controller"]
    lengths = {len(controller["rates"]), len(controller["starts"]), len(state["rates"])}
    lengths |= {len(controller.get("ceilings") or controller["rates"])}
    if len(lengths) > 1:
        rule = f"{rule}, with as many learning rates throughout"
        raise ValueError(complaint(OWNER, rule, fix, rates=state["rates"], controller=controller))
    memory = controller.get("memory", ())
    averages = isinstance(smoothing, Real) and not isinstance(smoothing, Integral)
    if averages and len(memory) not in (0, 2):
        rule = "a state must be that of a callback with the same smoothing"
        raise ValueError(complaint(OWNER, rule, fix, memory=memory, smoothing=smoothing))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _is_rate(value: Any) -> bool:
    return _is_number(value) and 0.0 <= value < math.inf


def _or_none(is_sound: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_sound(value)


def _list_of(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(is_sound, value))


def _is_controller(value: Any) -> bool:
    if not isinstance(value, Mapping) or not {"rates", "starts"} <= set(value):
        return False
    known = {field.name for field in fields(PlateauState)} & set(value)
    return all(_is_field(name, value[name]) for name in known)


def _is_field(name: str, value: Any) -> bool:
    if name in _OPTIONAL and value is None:
        return True
    if name in _LISTS:
        return _list_of(_is_finite if name == "memory" else _is_rate)(value)
    return _is_number(value) if name in _OPTIONAL else _is_count(value)


def _is_saved_rate(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_rate, value.values()))


def _is_event(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {one.name for one in fields(PlateauEvent)}:
        return False
    numbers = [value[name] for name in ("metric", "lr_before", "lr_after")]
    return (
        _is_count(value["epoch"])
        and _is_count(value["step"])
        and value["action"] in get_args(Action)
        and all(map(_is_number, numbers))
        and _or_none(_is_number)(value["best"])
        and isinstance(value["reason"], str)
    )


def _is_progress(value: Any) -> bool:
    named = isinstance(value, Mapping) and {"total", "count"} <= set(value)
    return named and _is_number(value["total"]) and _is_count(value["count"])


_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "controller": _is_controller,
    "rates": _list_of(_is_saved_rate),
    "events": _list_of(_is_event),
    "steps": _is_progress,
    "went_back": lambda value: value is None or isinstance(value, str),
    "failures": _is_count,
    "start_loss": _or_none(_is_number),
    "best_loss": _or_none(_is_number),
}
