"""Checks of the arguments that this library's optimizers pass on: Keras looks at few of them."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from keras_lr.errors import GREATEST, check_bool, check_integer, check_number, complaint

_SWITCHES = ("nesterov", "amsgrad", "centered", "use_ema")
_FRACTIONS = ("momentum", "beta_1", "beta_2", "rho", "ema_momentum")
_SIZES = ("epsilon", "initial_accumulator_value")
_OPTIONAL_SIZES = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor")
_OPTIONAL_COUNTS: Mapping[str, int] = MappingProxyType(
    {"gradient_accumulation_steps": 2, "ema_overwrite_frequency": 1}
)
_MAY_BE_NONE = (*_OPTIONAL_SIZES, *_OPTIONAL_COUNTS, "name")


def checked_arguments(optimizer: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of a Keras optimizer, numbers as Python floats.

    Args:
        optimizer: The class that is made.
        given: Its arguments by name.

    Raises:
        TypeError: If one is not of the kind Keras asks for.
        ValueError: If one is unknown or out of its range.
    """
    owner, known = optimizer.__name__, _known(optimizer)
    checked = dict(given)
    for name, value in given.items():
        if name not in known:
            rule = f"{name} must be an argument of keras.optimizers.{owner}"
            received: dict[str, Any] = {name: value}
            raise ValueError(complaint(owner, rule, "Leave it out", **received))
        if isinstance(value, keras.Variable) or (value is None and name in _MAY_BE_NONE):
            continue
        if name in _SWITCHES:
            check_bool(owner, **{name: value})
        elif name in _OPTIONAL_COUNTS:
            _check_count(owner, name, value)
        elif name in (*_FRACTIONS, *_SIZES, *_OPTIONAL_SIZES):
            highest = 1.0 if name in _FRACTIONS else GREATEST
            fix = "See the documentation of the Keras optimizer"
            check_number(owner, fix, at_least=0.0, at_most=highest, **{name: value})
            checked[name] = float(value)
        elif name == "name" and not isinstance(value, str):
            raise TypeError(complaint(owner, "name must be a string", "Pass one", name=value))
    _check_clipping(owner, checked)
    return checked


def _known(optimizer: type) -> set[str]:
    """Return the names of all arguments in the constructors of a class and its bases."""
    constructors = [
        vars(base)["__init__"] for base in optimizer.__mro__ if "__init__" in vars(base)
    ]
    return {name for init in constructors for name in inspect.signature(init).parameters}


def _check_count(owner: str, name: str, value: Any) -> None:
    fix = f"Pass an integer of at least {_OPTIONAL_COUNTS[name]}, or None"
    check_integer(owner, fix, at_least=_OPTIONAL_COUNTS[name], **{name: value})


def _check_clipping(owner: str, arguments: Mapping[str, Any]) -> None:
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    given = {name: arguments[name] for name in names if arguments.get(name) is not None}
    if len(given) > 1:
        raise ValueError(complaint(owner, "gradients are clipped in one way", "Pass one", **given))
