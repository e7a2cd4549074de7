"""Parameters of a plateau controller and their checks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Literal

import numpy as np

from keras_lr.errors import check_bool, check_choice, check_integer, check_number, complaint


@dataclass(frozen=True)
class PlateauParameters:
    """When to lower, raise or restart a learning rate, and how far.

    Args:
        factor: What a reduction multiplies the rate by, between 0 and 1. A sequence gives one
            factor per reduction; its last one is used for all further reductions.
        patience: Evaluations without improvement before a reduction; 0 acts as 1.
        mode: `"min"` if a smaller metric is better, `"max"` if a larger one is.
        min_delta: What counts as an improvement, in units of the metric (`"abs"`) or as a
            fraction of the best value's size (`"rel"`, right for negative metrics too).
        threshold_mode: `"abs"` or `"rel"`.
        cooldown: Length of the pause after a change of the rate, in evaluations.
        min_lr: Lowest rate.
        min_scale: Lowest rate as a fraction of the starting rate, so that a fine-tuning at
            2e-5 can be reduced too.
        eps: A reduction is skipped if it would change the rate by no more than this; torch's
            default is 1e-8.
        max_reductions: Maximum number of reductions (between two restarts); None for no limit.
        stop_after: Stop when nothing is left to reduce and this many consecutive evaluations
            brought no improvement; None never stops.
        smoothing: None judges every raw value. A float between 0 and 1 judges an exponential
            moving average with this weight on the past, corrected for bias. An integer of at
            least 2 judges the average of the last N values.
        window_average: `"median"` or `"mean"`: how an integer `smoothing` averages.
        start_after: Evaluations ignored at the start, for instance while a warm-up lasts.
        increase_factor: Above 1: after `patience` consecutive improvements the rate is multiplied
            by it, up to `max_lr`. None never raises the rate.
        max_lr: Highest rate that an increase may reach.
        restart: When nothing is left to reduce, jump back up to `start * restart_decay**n` at
            the n-th restart, and judge afresh.
        restart_decay: What the peak is multiplied by at each restart.
        max_rescues: How many NaN or infinite metrics lead to a `"rescue"`: the rate is cut by the
            factor, and never again raised above that. The next one stops. With 0 such a metric is
            a number like any other, as in Keras.
        name: The name errors begin with.

    Raises:
        TypeError: If an argument is not of the kind asked for.
        ValueError: If an argument is out of bounds, or needs another one that is missing.
    """

    factor: float | Sequence[float] = 0.1
    patience: int = 10
    mode: Literal["min", "max"] = "min"
    min_delta: float = 1e-4
    threshold_mode: Literal["abs", "rel"] = "abs"
    cooldown: int = 0
    min_lr: float = 0.0
    min_scale: float = 0.0
    eps: float = 0.0
    max_reductions: int | None = None
    stop_after: int | None = None
    smoothing: float | int | None = None
    window_average: Literal["median", "mean"] = "median"
    start_after: int = 0
    increase_factor: float | None = None
    max_lr: float | None = None
    restart: bool = False
    restart_decay: float = 0.5
    max_rescues: int = 0
    name: str = field(default="PlateauController", repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.factor, Sequence):
            object.__setattr__(self, "factor", tuple(self.factor))
        _check_ranges(self)
        _check_smoothing(self)
        _check_limits(self)


def check_monitor(owner: str, monitor: object) -> None:
    """Raise unless `monitor` is a name.

    Args:
        owner: The public name the user called.
        monitor: The name of a metric.

    Raises:
        TypeError: If it is not a string.
    """
    if not isinstance(monitor, str):
        rule, fix = "monitor must be a name in the logs", 'Pass "val_loss", for example'
        raise TypeError(complaint(owner, rule, fix, monitor=monitor))


def check_switches(owner: str, verbose: object, /, **switches: object) -> None:
    """Raise unless the switches are bools; `verbose` may be Keras' 0, 1 or 2 as well.

    Args:
        owner: The public name the user called.
        verbose: Whether to print.
        **switches: What is either on or off.

    Raises:
        TypeError: If a switch is not a bool, or `verbose` is neither that nor an integer.
        ValueError: If `verbose` is negative.
    """
    check_bool(owner, **switches)
    if not isinstance(verbose, bool | np.bool_):
        check_integer(
            owner, "Pass 1 to print each event, 0 for nothing", at_least=0, verbose=verbose
        )


def _check_ranges(given: PlateauParameters) -> None:
    name = given.name
    if not isinstance(name, str):
        rule, fix = "name must be a string", "Pass the name that errors are to begin with"
        raise TypeError(complaint("PlateauController", rule, fix, name=name))
    check_choice(name, ("min", "max"), mode=given.mode)
    check_bool(name, restart=given.restart)
    check_choice(name, ("abs", "rel"), threshold_mode=given.threshold_mode)
    check_choice(name, ("median", "mean"), window_average=given.window_average)
    factors = given.factor
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
        min_delta=given.min_delta,
        min_lr=given.min_lr,
        eps=given.eps,
    )
    check_number(
        name,
        "It is a fraction of the starting learning rate",
        at_least=0.0,
        at_most=1.0,
        min_scale=given.min_scale,
        restart_decay=given.restart_decay,
    )
    check_integer(
        name,
        "Count in evaluations",
        at_least=0,
        patience=given.patience,
        cooldown=given.cooldown,
        start_after=given.start_after,
    )
    check_integer(
        name, "Pass 0 to leave bad metrics alone", at_least=0, max_rescues=given.max_rescues
    )
    optional = {
        "max_reductions": given.max_reductions,
        "stop_after": given.stop_after,
    }
    for argument, value in optional.items():
        if value is not None:
            check_integer(name, "Pass None for no limit", at_least=1, **{argument: value})


def _check_smoothing(given: PlateauParameters) -> None:
    smoothing = given.smoothing
    fix = "Pass a float for a moving average, an integer for a window, or None"
    if isinstance(smoothing, Real) and not isinstance(smoothing, Integral):
        check_number(given.name, fix, above=0.0, below=1.0, smoothing=smoothing)
    elif smoothing is not None:
        check_integer(given.name, fix, at_least=2, smoothing=smoothing)


def _check_limits(given: PlateauParameters) -> None:
    """Look at the parameters that need each other."""
    name = given.name
    endless = given.max_reductions is None and given.min_lr == 0.0 and given.min_scale == 0.0
    fix = "Pass max_reductions, min_lr or min_scale"
    if endless and given.restart:
        rule = "restart needs an end of the reductions"
        raise ValueError(complaint(name, rule, fix, restart=True))
    if endless and given.stop_after is not None:
        rule = "stop_after needs an end of the reductions"
        raise ValueError(complaint(name, rule, fix, stop_after=given.stop_after))
    if given.restart and given.stop_after is not None:
        rule = "stop_after is never reached where restart begins again"
        raise ValueError(
            complaint(name, rule, "Pass one of them", restart=True, stop_after=given.stop_after)
        )
    fix = "Pass both, such as increase_factor=1.05 and max_lr=0.1"
    if given.increase_factor is None:
        if given.max_lr is not None:
            rule = "max_lr needs increase_factor"
            raise ValueError(complaint(name, rule, fix, max_lr=given.max_lr))
        return
    check_number(name, fix, above=1.0, increase_factor=given.increase_factor)
    if given.max_lr is None:
        rule = "increase_factor needs max_lr"
        raise ValueError(
            complaint(name, rule, fix, increase_factor=given.increase_factor, max_lr=None)
        )
    fix = "It is the highest rate"
    check_number(name, fix, above=0.0, at_least=given.min_lr, max_lr=given.max_lr)
