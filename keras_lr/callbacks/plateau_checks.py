"""What a plateau controller's parameters must satisfy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_lr._checks import check_choice, check_integer, check_number, complaint

if TYPE_CHECKING:
    from keras_lr.callbacks.plateau_controller import PlateauController


def check_plateau(controller: PlateauController) -> None:
    """Raise at the first parameter that is wrong alone or lacks another one.

    Args:
        controller: The controller whose fields are looked at.

    Raises:
        TypeError: If a parameter is not of the kind asked for.
        ValueError: If a parameter is out of bounds, or needs another one that is missing.
    """
    _check_ranges(controller)
    _check_smoothing(controller)
    _check_limits(controller)


def _check_ranges(controller: PlateauController) -> None:
    name = controller.name
    check_choice(name, ("min", "max"), mode=controller.mode)
    check_choice(name, ("abs", "rel"), threshold_mode=controller.threshold_mode)
    check_choice(name, ("median", "mean"), window_average=controller.window_average)
    factors = controller.factor
    if not isinstance(factors, Sequence):
        factors = (factors,)
    if not factors:
        raise ValueError(
            complaint(name, "factor must not be empty", "Pass a number such as 0.5", factor=())
        )
    for factor in factors:
        check_number(name, "A reduction by half is factor=0.5", above=0.0, below=1.0, factor=factor)
    check_number(
        name,
        "Pass 0 for no bound",
        at_least=0.0,
        min_delta=controller.min_delta,
        min_lr=controller.min_lr,
        eps=controller.eps,
    )
    check_number(
        name,
        "It is a fraction of the starting learning rate",
        at_least=0.0,
        at_most=1.0,
        min_scale=controller.min_scale,
        restart_decay=controller.restart_decay,
    )
    check_integer(
        name,
        "Count in evaluations",
        at_least=0,
        patience=controller.patience,
        cooldown=controller.cooldown,
        start_after=controller.start_after,
    )
    check_integer(
        name, "Pass 0 to leave bad metrics alone", at_least=0, max_rescues=controller.max_rescues
    )
    optional = {
        "max_reductions": controller.max_reductions,
        "stop_after": controller.stop_after,
    }
    for argument, value in optional.items():
        if value is not None:
            check_integer(name, "Pass None for no limit", at_least=1, **{argument: value})


def _check_smoothing(controller: PlateauController) -> None:
    smoothing = controller.smoothing
    fix = "Pass a float for a moving average, an integer for a window, or None"
    if isinstance(smoothing, float):
        check_number(controller.name, fix, above=0.0, below=1.0, smoothing=smoothing)
    elif smoothing is not None:
        check_integer(controller.name, fix, at_least=2, smoothing=smoothing)


def _check_limits(controller: PlateauController) -> None:
    """Look at the parameters that need each other."""
    name = controller.name
    endless = (
        controller.max_reductions is None
        and controller.min_lr == 0.0
        and controller.min_scale == 0.0
    )
    fix = "Pass max_reductions, min_lr or min_scale"
    if endless and controller.restart:
        rule = "restart needs an end of the reductions"
        raise ValueError(complaint(name, rule, fix, restart=True))
    if endless and controller.stop_after is not None:
        rule = "stop_after needs an end of the reductions"
        raise ValueError(complaint(name, rule, fix, stop_after=controller.stop_after))
    if controller.restart and controller.stop_after is not None:
        rule = "stop_after is never reached where restart begins again"
        raise ValueError(
            complaint(
                name, rule, "Pass one of them", restart=True, stop_after=controller.stop_after
            )
        )
    fix = "Pass both, such as increase_factor=1.05 and max_lr=0.1"
    if controller.increase_factor is None:
        if controller.max_lr is not None:
            rule = "max_lr needs increase_factor"
            raise ValueError(complaint(name, rule, fix, max_lr=controller.max_lr))
        return
    check_number(name, fix, above=1.0, increase_factor=controller.increase_factor)
    if controller.max_lr is None:
        rule = "increase_factor needs max_lr"
        raise ValueError(
            complaint(name, rule, fix, increase_factor=controller.increase_factor, max_lr=None)
        )
    fix = "It is the highest rate"
    check_number(name, fix, above=0.0, at_least=controller.min_lr, max_lr=controller.max_lr)


def check_state(state: Any) -> None:
    """Raise unless a state has the parts that `ReduceOnPlateauPlus.get_state` returns.

    Raises:
        TypeError: If it is no dictionary.
        ValueError: If a part is missing.
    """
    owner, rule = "ReduceOnPlateauPlus", "a state must be what get_state returned"
    fix = "Pass that, or what JSON made of it"
    if not isinstance(state, Mapping):
        raise TypeError(complaint(owner, rule, fix, state=type(state)))
    parts = {"controller", "rates", "events", "steps"}
    parts |= {"went_back", "failures", "start_loss", "best_loss"}
    missing = sorted(parts - set(state))
    if missing:
        raise ValueError(complaint(owner, rule, fix, missing=missing))
