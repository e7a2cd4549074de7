"""The picture of schedules: first what is to be drawn, then the drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.errors import check_integer, complaint, float_or_inf
from keras_lr.plot import style
from keras_lr.plot.given import check_axes
from keras_lr.schedules import FromCallable, Schedule
from keras_lr.schedules.steps import LAST_STEP

_POINTS = 2000  # more than a figure has pixels across
_SAMPLES = 256  # at most, of each stretch that the lowest and the highest value are drawn of
_MOST_CYCLES = _POINTS // 10  # more hide what is at their ends
_MAX_MARKS = 60  # more lines than this hide the curve
_LONGEST_LABEL = 70

Schedules = Schedule | Sequence[Schedule] | Mapping[str, Schedule]


@dataclass(frozen=True)
class ScheduleLine:
    """What is drawn of one schedule.

    Attributes:
        label: Its name, or the expression that makes it.
        steps: int64[n], rising, with both sides of every jump at a cycle's end.
        values: float32[n].
        cycle_ends: The first steps of new cycles, or none if they are too many to mark. The end of
            a schedule without cycles is not one.
    """

    label: str
    steps: np.ndarray[Any, np.dtype[np.int64]]
    values: np.ndarray[Any, np.dtype[np.float32]]
    cycle_ends: tuple[int, ...]


def schedule_lines(*schedules: Schedules, steps: int | None = None) -> list[ScheduleLine]:
    """Compute what is to be drawn.

    Args:
        *schedules: Each is one, several, or several by name.
        steps: How far to draw. Default: to the end of the longest.

    Returns:
        A line for each.

    Raises:
        ValueError: If there is no schedule, or all are endless and `steps` is not given.
    """
    named = _named(schedules)
    if steps is None:
        lengths = [schedule.steps for schedule in named.values() if schedule.steps]
        if not lengths:
            rule, fix = "an endless schedule has no last step to draw", "Pass steps"
            raise ValueError(complaint("plot_schedule", rule, fix, schedules=list(named)))
        steps = max(lengths)
    check_integer("plot_schedule", "Pass a number of steps", at_least=1, steps=steps)
    if steps > LAST_STEP:
        rule = f"steps must be at most {LAST_STEP}"
        raise ValueError(complaint("plot_schedule", rule, "Draw a part of it", steps=steps))
    return [_line(label, schedule, steps) for label, schedule in named.items()]


def plot_schedule(
    schedules: Schedules,
    *more: Schedules,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw schedules over the steps or epochs of a run, with the ends of their cycles marked.

    Args:
        schedules: One schedule, a list, or a dictionary from names to schedules.
        *more: Further ones, to be drawn into the same picture.
        steps: How many steps to draw. Default: to the end of the longest schedule.
        steps_per_epoch: Steps in an epoch, to count epochs on the axis. Default: count steps.
        ax: Where to draw. Default: a new figure.

    Returns:
        The axes, not yet shown.

    Raises:
        TypeError: If something else than a schedule is to be drawn, or `ax` is no Axes.
        ValueError: If there is no schedule, all are endless and `steps` is not given, or a number
            of steps is not positive.

    Example:
        >>> from keras_lr import schedules
        >>> from keras_lr.plot.schedule import plot_schedule
        >>> restarts = schedules.CosineRestarts(0.1, first_cycle_steps=100, cycle_mult=2)
        >>> axes = plot_schedule(restarts, steps=1500, steps_per_epoch=100)
        >>> axes.get_xlabel()
        'epoch'
    """
    check_axes("plot_schedule", ax)
    lines = schedule_lines(schedules, *more, steps=steps)
    unit = 1.0
    if steps_per_epoch is not None:
        fix = "Pass the number of batches in an epoch"
        check_integer("plot_schedule", fix, at_least=1, steps_per_epoch=steps_per_epoch)
        unit = float_or_inf(steps_per_epoch)
    if ax is None:
        ax = plt.figure(layout="constrained").add_subplot()
    for number, line in enumerate(lines):
        places = line.steps / unit  # a value holds until the next update
        color, dashes = style.color(ax, number), style.line(number)
        ax.plot(
            places,
            line.values,
            label=line.label,
            color=color,
            linestyle=dashes,
            drawstyle="steps-post",
        )
        for end in line.cycle_ends:
            ax.axvline(end / unit, color=color, linestyle=":", linewidth=1, alpha=0.6)
    ax.set_xlabel("step (updates)" if steps_per_epoch is None else "epoch")
    ax.set_ylabel("learning rate (per update)")
    ax.grid(alpha=0.2)
    style.legend_above(ax, *ax.get_legend_handles_labels())
    return ax


def _named(schedules: Sequence[Schedules]) -> dict[str, Schedule]:
    named: dict[str, Schedule] = {}
    for given in schedules:
        pairs = given.items() if isinstance(given, Mapping) else _labelled(given, len(named))
        for name, schedule in pairs:
            _check_schedule(schedule)
            label = str(name)
            while named.get(label, schedule) != schedule:  # two of one name
                label += "'"
            named[label] = schedule
    if not named:
        rule, fix = "there must be at least one schedule", "Pass one"
        raise ValueError(complaint("plot_schedule", rule, fix, schedules=list(schedules)))
    return named


def _labelled(given: Any, before: int) -> list[tuple[str, Any]]:
    listed = list(given) if isinstance(given, list | tuple) else [given]
    return [(_label(each, number), each) for number, each in enumerate(listed, before + 1)]


def _check_schedule(schedule: Any) -> None:
    if not isinstance(schedule, Schedule):
        fix = "Wrap a function or a Keras schedule as schedules.FromCallable(function)"
        rule = "only the schedules of this library can be drawn"
        raise TypeError(complaint("plot_schedule", rule, fix, schedules=schedule))


def _label(schedule: Schedule, number: int) -> str:
    expression = repr(schedule)
    return expression if len(expression) <= _LONGEST_LABEL else f"schedule {number}"


def _line(label: str, schedule: Schedule, steps: int) -> ScheduleLine:
    ends = schedule.cycle_ends(steps)
    has_cycles = ends != [schedule.steps]
    marked = tuple(ends) if has_cycles and len(ends) <= _MAX_MARKS else ()
    jumps = [step for end in ends for step in (end - 1, end)] if len(ends) <= _MOST_CYCLES else []
    drawn = np.unique(np.concatenate([_telling(schedule, steps), np.array(jumps, np.int64)]))
    values = schedule.values(drawn)
    goes_on = schedule.steps is None or schedule.steps > steps
    if goes_on and steps in ends and values[-1] > values[-2]:
        drawn, values = drawn[:-1], values[:-1]  # the next cycle is not part of the picture
    return ScheduleLine(label, drawn, values, marked)


def _telling(schedule: Schedule, steps: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return steps to draw: all, or those of the extremes in each of many short stretches.

    Evenly spaced steps would beat against cycles not much longer than their spacing, and show waves
    that are not there.
    """
    if steps < _POINTS or _is_slow(schedule):
        return np.linspace(0, steps, min(steps + 1, _POINTS)).round().astype(np.int64)
    stretches = _POINTS // 2
    length = -(-(steps + 1) // stretches)
    if length <= _SAMPLES:
        offsets = np.arange(length)
    else:
        offsets = np.random.default_rng(0).integers(0, length, (stretches, _SAMPLES))
    looked_at = np.minimum(np.arange(stretches)[:, None] * length + offsets, steps)
    values = schedule.values(looked_at)
    rows = np.arange(stretches)
    extremes = [looked_at[rows, find(values, axis=1)] for find in (np.argmin, np.argmax)]
    return np.concatenate([[0, steps], *extremes])


def _is_slow(schedule: Schedule) -> bool:
    """Return whether a part of the schedule is a function that is called step by step."""
    parts = keras.tree.flatten(list(schedule.fields().values()))
    singly = isinstance(schedule, FromCallable) and not schedule.elementwise
    return singly or any(_is_slow(part) for part in parts if isinstance(part, Schedule))
