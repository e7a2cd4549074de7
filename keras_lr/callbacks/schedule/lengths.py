"""Warnings about a schedule's length, which is easily given in epochs instead of steps."""

import numpy as np

from keras_lr.callbacks.schedule.bound import Unit
from keras_lr.schedules import Schedule
from keras_lr.schedules.steps import LAST_STEP


def length_warning(
    name: str, schedule: Schedule, length: int | None, unit: Unit, *, may_go_on: bool
) -> str | None:
    """Return what is wrong with a schedule's length in a fit; None if nothing is.

    Args:
        name: What the schedule is called in messages.
        schedule: The schedule.
        length: The length of the fit in the unit that the schedule counts; None where not known.
        unit: That unit.
        may_go_on: Whether other fits may follow, so that the end of this one says nothing.
    """
    if not length:
        return None
    end = _first_end(schedule, length)
    if may_go_on and (end is None or end > length):
        return None
    if schedule.steps is not None and schedule.steps > length and (end is None or end > length):
        return f"{name} is longer than the whole fit of {length} {unit}s and will not end"
    if end is not None and end > length:
        return f"the first cycle of {name} is longer than the whole fit of {length} {unit}s"
    if unit == "step" and end is not None and end < 2:
        return f"a cycle of {name} is shorter than two steps"
    if _ends_early(schedule, length):
        return f"{name} is over at {unit} {schedule.steps} of {length} and has nothing left"
    return None


def _first_end(schedule: Schedule, length: int) -> int | None:
    """Return where the first cycle ends, looked for beyond the fit in growing strides."""
    bound = length
    while bound <= LAST_STEP:
        ends = schedule.cycle_ends(bound)
        if ends:
            return ends[0]
        bound *= 2
    return None


def _ends_early(schedule: Schedule, length: int) -> bool:
    """Return whether a schedule falls to almost nothing long before the fit is over."""
    end = schedule.steps
    if end is None or 2 * end > length or not schedule.is_foreseeable:
        return False
    peak = float(schedule.values(np.linspace(0, end, 50).astype("int64")).max())
    return float(schedule.values(end)) < 0.01 * peak
