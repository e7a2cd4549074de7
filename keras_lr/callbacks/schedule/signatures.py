"""The calling convention of a user's function: the step, the epoch, or Keras' `f(epoch, lr)`."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from keras_lr._warnings import warn
from keras_lr.errors import complaint, takes

_EPOCH = ("epoch", "epochs")
_STEP = ("step", "steps", "iteration", "iterations", "update", "batch")
_RATE = ("lr", "learning_rate")


class OfEpochAndRate:
    """A function of the epoch and the learning rate so far, as one of the epoch alone.

    `keras.callbacks.LearningRateScheduler` calls such a function once per epoch. The value of epoch
    `e` is `f(e, value of epoch e - 1)`, and before epoch 0 it is the optimizer's own. A fit that
    begins later calls the function for the epochs before, and so continues without a seam.

    Args:
        function: The function.
        start: The optimizer's own learning rate.
    """

    def __init__(self, function: Callable[[int, Any], Any], start: float) -> None:
        self._function = function
        self._rates: list[Any] = [start]

    def __call__(self, epoch: int) -> Any:
        """Return the learning rate of an epoch."""
        while len(self._rates) < epoch + 2:
            self._rates.append(self._function(len(self._rates) - 1, self._rates[-1]))
        return self._rates[epoch + 1]


def check_schedule(owner: str, name: str, schedule: Any) -> None:
    """Raise unless `schedule` can be called with one number.

    Raises:
        TypeError: If not. What a built-in function takes may not be known before it is called.
    """
    fix = "Pass one of keras_lr.schedules, a Keras schedule, or a function of one number"
    if not callable(schedule):
        rule = f"{name} must be a schedule"
        raise TypeError(complaint(owner, rule, fix, **{name: schedule}))
    if _signature(schedule) is not None and not takes(schedule, 0):
        rule = f"{name} must take one number, the step or the epoch"
        raise TypeError(complaint(owner, rule, fix, **{name: schedule}))


def takes_rate(schedule: Any) -> bool:
    """Return whether a function takes the epoch and the learning rate, as in Keras."""
    signature = _signature(schedule)
    if signature is None:
        return False
    if not takes(schedule, 0):
        return takes(schedule, 0, 0.0)
    names = list(signature.parameters)
    return len(names) > 1 and names[1] in _RATE and takes(schedule, 0, 0.0)


def warn_of_other_unit(owner: str, name: str, schedule: Any, unit: str) -> None:
    """Warn if a function's first parameter is called after the unit it is not called with."""
    signature = _signature(schedule)
    parameter = next(iter(signature.parameters), "") if signature is not None else ""
    if parameter in (_EPOCH if unit == "step" else _STEP):
        rule = f"{name} is called with the {unit}, but its parameter is named {parameter}"
        other = "epoch" if unit == "step" else "step"
        fix = f'Pass unit="{other}", or rename the parameter'
        warn(complaint(owner, rule, fix, unit=unit))


def _signature(schedule: Any) -> inspect.Signature | None:
    """Return the signature of a function; None for schedules and some built-in functions."""
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return None
    if not callable(schedule):
        return None
    try:
        return inspect.signature(schedule)
    except ValueError:
        return None
