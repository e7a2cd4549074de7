"""The shapes that `tune_adam` compares: how a learning rate runs from the first update to the last.

All but "decay" end where a run of known length should; what their learning rates mean differs, so
that each shape is searched around a centre of its own.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from keras_lr.schedules import Constant, InverseTime, Linear, Schedule

Shape = Literal["constant", "linear", "decay"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

_WARM_UP = 0.05  # of the run


def decay_for(final_share: float, steps: int) -> float:
    r"""The decay that leaves a given share of the learning rate in the last update.

    Update i = 0, 1, ..., T - 1 uses $\eta / (1 + d i)$, so that $d = (1 / s - 1) / (T - 1)$.

    Args:
        final_share: The share s, above 0 and at most 1.
        steps: Updates T of the run, >= 2.

    Example:
        >>> decay_for(0.1, steps=901)
        0.01
    """
    return (1.0 / final_share - 1.0) / (steps - 1)


def share_left(shape: Shape, final_share: float, steps: int) -> float:
    """Return the share of the learning rate that a shape leaves in the last update of a run.

    Args:
        shape: Which one.
        final_share: That of "decay".
        steps: Updates of the run, >= 2.
    """
    if shape == "constant":
        return 1.0
    return final_share if shape == "decay" else 1.0 / (steps - _warm_up_steps(steps))


def schedule_of(shape: Shape, lr: float, final_share: float, steps: int) -> Schedule:
    r"""Return a shape as a schedule.

    "constant" is $\eta$; "decay" $\eta / (1 + d i)$; "linear" rises through the first
    $w = \max(1, 0.05 T)$ updates, $\eta (i + 1) / (w + 1)$, and then falls to zero,
    $\eta (T - i) / (T - w)$.

    Args:
        shape: Which one.
        lr: The learning rate $\eta$: the first one of "decay", the highest of "linear".
        final_share: The share of it left in the last update of "decay".
        steps: Updates T of the run, >= 2.

    Example:
        >>> linear = schedule_of("linear", 1.0, 0.0, steps=20)
        >>> [round(float(linear(i)), 2) for i in (0, 1, 2, 19)]
        [0.5, 1.0, 0.95, 0.05]
    """
    if shape == "constant":
        return Constant(lr)
    if shape == "decay":
        return InverseTime(lr, decay_for(final_share, steps))
    warm_up = _warm_up_steps(steps)
    fall = Linear(lr, 0.0, steps=steps - warm_up)
    return fall.warmup(warm_up, start=lr / (warm_up + 1))


def rates_of(shape: Shape, lr: float, final_share: float, steps: int) -> NDArray[np.float64]:
    """Return the learning rate of every update of a run, float64[steps]; see `schedule_of`."""
    i = np.arange(steps, dtype=np.float64)
    if shape == "constant":
        return np.full(steps, lr)
    if shape == "decay":
        return lr / (1.0 + decay_for(final_share, steps) * i)
    warm_up = _warm_up_steps(steps)
    return lr * np.minimum((i + 1) / (warm_up + 1), (steps - i) / (steps - warm_up))


def _warm_up_steps(steps: int) -> int:
    return max(1, round(_WARM_UP * steps))
