"""The arithmetic of `fit`: how long trials are, the peak they give, and the shape of the run.

Nothing here knows a model.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_lr._keras.in_graph import schedule_values
from keras_lr.errors import complaint, takes
from keras_lr.schedules import Constant, FromCallable, Schedule, Table, Trapezoid
from keras_lr.search.range_test.curve import Floats
from keras_lr.search.tune.climb import ProbeClimb

OWNER = "fit"  # the public name, for messages
TRIAL_STEPS = 50
_PEAK_OF_VERTEX = 0.5
# A run of fewer updates has shorter trials, of a tenth of it, so that four leave it six tenths.
_FULL_TRIALS, _SHORT_TRIALS = 450, 200
# Too short for trials: ten updates of momentum do not show yet that it is unstable. What a run can
# bear that begins with a warm-up and ends at zero is about twice a constant rate.
_PEAK_OF_DEFAULT = 2.0

Shape = Schedule | Callable[..., Any]


def peak_of(climb: ProbeClimb) -> float:
    r"""Return the peak of a run from a climb that has lowered the loss.

    $$\eta = \tfrac{1}{2} 10^v$$

    with $v$ the climb's vertex; but where the trial above the best one did no better than the
    untrained model, $v$ is at least the best trial's own: a cliff says nothing of the slope that
    the parabola would draw through it.

    Args:
        climb: A climb of which a trial has lowered the loss.

    Returns:
        A learning rate.

    Example:
        >>> climb = ProbeClimb(start=-2.0, untrained=3.0)
        >>> for x, score in ((-2.0, 1.0), (-1.1, float("inf")), (-2.9, 1.5)):
        ...     climb = climb.tell(x, score)
        >>> peak_of(climb)  # the parabola alone would say .5 * 10 ** -2.22
        0.005
    """
    vertex, best = climb.vertex(), climb.best
    above = [trial for trial in climb.trials if trial.x > best.x]
    if above and not min(above).score < climb.untrained:
        vertex = max(vertex, best.x)
    return float(_PEAK_OF_VERTEX * 10**vertex)


def trial_steps(total: int) -> int:
    """Return how many updates a trial has in a run of so many in all; 0 for no trials."""
    if total >= _FULL_TRIALS:
        return TRIAL_STEPS
    return total // 10 if total >= _SHORT_TRIALS else 0


def peak_without_trials(default: float) -> float:
    """Return the peak of a run that is too short for trials, from the default learning rate."""
    return _PEAK_OF_DEFAULT * default


def shaped(shape: Any, peak: float, steps: int) -> Schedule:
    """Return what gives the learning rate at each of the run's updates.

    Args:
        shape: None for `Trapezoid`; a function of the peak and the number of updates that returns
            a schedule; a schedule, which is scaled to the peak and, if it ends, stretched to the
            run; or a function of the update, which is scaled.
        peak: The highest learning rate.
        steps: Updates of the run.

    Raises:
        TypeError: If the shape is none of these, or the function returns no schedule.
        ValueError: If the shape is nowhere positive, or not finite.
    """
    if shape is None:
        return Trapezoid(peak, steps)
    if is_maker(shape):
        made = shape(peak, steps)
        check_shape(made)
        return _as_schedule(made, steps)
    given = _as_schedule(shape, steps)
    if given.steps is not None and given.steps != steps:
        given = given.stretch(steps)
    highest = _checked(schedule_values(given, 0, steps)).max()
    return given * float(peak / highest)


def _as_schedule(shape: Any, steps: int) -> Schedule:
    if isinstance(shape, Schedule):
        return shape
    if hasattr(shape, "get_config"):  # one of Keras
        return FromCallable(shape, elementwise=False)
    # A function of the update need not take more than one Python number.
    return Table(_checked(schedule_values(shape, 0, steps)).tolist())


def _checked(values: Floats) -> Floats:
    highest = float(values.max())
    if not (np.isfinite(values).all() and values.min() >= 0.0 and highest > 0.0):
        rule = "the schedule must be finite, not negative, and somewhere positive"
        fix = "Pass the shape of a learning rate"
        raise ValueError(complaint(OWNER, rule, fix, lowest=float(values.min()), highest=highest))
    return values


def is_maker(shape: Any) -> bool:
    """Return whether a shape is a function of the peak and the number of updates."""
    return not hasattr(shape, "get_config") and not takes(shape, 0) and takes(shape, 0.1, 100)


def check_shape(shape: Any) -> None:
    """Raise unless something can be the shape of a run.

    Raises:
        TypeError: If not.
    """
    fix = "Pass one of keras_lr.schedules, or a function of the peak and the number of updates"
    if isinstance(shape, type) or not callable(shape):
        raise TypeError(complaint(OWNER, "schedule must be a schedule", fix, schedule=shape))
    if not (takes(shape, 0) or takes(shape, 0.1, 100)):
        rule = "schedule must take the update, or the peak and the number of updates"
        raise TypeError(complaint(OWNER, rule, fix, schedule=shape))


def delayed(schedule: Schedule, begin: int) -> Schedule:
    """Return a schedule that begins at a later step, and has its first value before."""
    if begin == 0:
        return schedule
    return Constant(float(schedule.values(0))).then(schedule, after=begin)
