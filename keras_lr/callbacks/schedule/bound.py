"""Reading a schedule at the places where a fit comes by."""

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np

from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.errors import GREATEST, complaint, float_or_inf
from keras_lr.schedules import Schedule
from keras_lr.schedules.look_ahead import LookAhead

Unit = Literal["step", "epoch"]
AnySchedule = Callable[[Any], Any]


class CachedValues:
    """A schedule's values at places that are usually asked for one after the other.

    Args:
        schedule: A `Schedule`, a Keras schedule, or a function of a Python number.
        times: The places are `index * times / per`, which is exact where it is an integer.
        per: See `times`.
    """

    def __init__(self, schedule: AnySchedule | None, times: int = 1, per: int = 1) -> None:
        self._schedule = schedule
        self._times, self._per = times, per
        self._read: Callable[[int], Any] = lambda index: self.at(self._place(index))
        if isinstance(schedule, Schedule) and schedule.is_foreseeable:
            # The schedule's own look ahead remembers from one fit to the next.
            self._read = schedule.ahead if times == per else LookAhead(self._values_at)

    def __call__(self, index: int) -> Any:
        """Return the value at one index."""
        return self._read(index)

    def at(self, place: Any) -> Any:
        """Return the value at a place, or of a `Schedule` those at several."""
        if isinstance(self._schedule, Schedule):
            return self._schedule.values(place)
        if self._schedule is None:
            raise RuntimeError("CachedValues: there is no schedule to read.")
        value = self._schedule(place)
        return keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value

    def _values_at(self, indices: np.ndarray) -> Any:
        return self.at(self._place(indices))

    def _place(self, index: Any) -> Any:
        return index if self._times == self._per else index * self._times / self._per


class BoundSchedule:
    """The value of a schedule at a position in a fit.

    Args:
        run: The fit.
        name: The argument the schedule came in by.
        schedule: As for `CachedValues`.
        unit: What the schedule counts: updates, or epochs, which are fractions in between.
        change_every: Whether to read it anew at every update or only at every epoch.
        by_batches: Whether its length in updates stands for one in batches, so that it goes on by
            these where the model is compiled with another accumulation; one in epochs does.

    Raises:
        ValueError: If the schedule counts fractions of epochs and their length is not known.
    """

    def __init__(
        self,
        run: FitInfo,
        name: str,
        schedule: AnySchedule,
        unit: Unit = "step",
        change_every: Unit = "step",
        *,
        by_batches: bool = False,
    ) -> None:
        self._run, self._name = run, name
        self._unit, self._change_every = unit, change_every
        self._by_batches = by_batches or unit == "epoch"
        if unit == "epoch" and change_every == "step":
            self._values = CachedValues(schedule, run.accumulation, run.known_batches(unit=unit))
        else:
            self._values = CachedValues(schedule)
        self._epoch: int | None = None
        self._held = 0.0

    def __call__(self, position: FitPosition) -> float:
        """Return the value for the next update.

        Raises:
            TypeError: If it is no number.
            ValueError: If it is negative, infinite or not a number.
        """
        if self._change_every == "step" and self._by_batches and position.is_mixed:
            batch = position.batch - position.micro_step
            per = self._run.accumulation if self._unit == "step" else self._run.batches or 1
            return self._checked(self._values.at(batch / per), position)
        if self._change_every == "step":
            return self._checked(self._values(position.update), position)
        if position.epoch != self._epoch:
            place = position.epoch
            if self._unit == "step":
                place = position.epoch_begin // self._run.accumulation
            self._epoch, self._held = (
                position.epoch,
                self._checked(self._values.at(place), position),
            )
        return self._held

    def _checked(self, value: Any, position: FitPosition) -> float:
        return checked(self._run.owner, self._name, value, position)


def checked(owner: str, name: str, value: Any, position: FitPosition) -> float:
    """Return a value as a float, if an optimizer can use it.

    Args:
        owner: The public name of the callback.
        name: What the value is one of.
        value: The value for the next update.
        position: Where the fit stands.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is negative, not a number, or not finite in float32; a momentum also above
            1, as Keras' optimizers refuse it.
    """
    where = f"at step {position.update}, in epoch {position.epoch}"
    try:
        number = float_or_inf(value)
    except (TypeError, ValueError) as error:
        rule, fix = f"{name} must give a number {where}", "Return a float"
        raise TypeError(complaint(owner, rule, fix, value=value)) from error
    if name == "momentum" and number > 1.0:
        rule, fix = f"momentum must be at most 1 {where}", "Return a float from 0 to 1"
        raise ValueError(complaint(owner, rule, fix, value=number))
    if not 0.0 <= number < GREATEST:
        rule = f"{name} must be finite and not negative {where}"
        if number >= GREATEST:
            rule = f"{name} must be finite and not negative {where}, in float32 too"
        fix = "Bound the schedule, such as by .clip(low=0.0, high=1.0)"
        raise ValueError(complaint(owner, rule, fix, value=number))
    return number
