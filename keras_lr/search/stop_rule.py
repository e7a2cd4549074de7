"""The stop rule of every search: whether a loss has diverged, or is only noisy. Pure NumPy."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

TRIAL_FACTOR = 20.0
_SHORTEST_RUN = 3
_LONG_RUN, _LONG_RUN_FACTOR = 12, 4.0
_LONGEST_RUN = 64  # looked at; longer ones say nothing more
_ODDS, _FEW = 4000, 16
_JUMPS = 3.0


def stays_above(losses: Sequence[float], bound: float, level: float) -> bool:
    r"""Return whether the last losses are above a bound for another reason than chance.

    Batches differ: where one in ten holds the rare class, its loss can be any multiple of the
    others' in a model that has learned nothing yet. Such a loss comes back. So a loss stays above
    a bound only if the last r losses do, each of them, and if each stands further above `level`
    than three times the largest jump between two losses before them. Of n + r losses in random
    order, the last r are the r highest with probability

    $$1 / \binom{n + r}{r},$$

    whatever their distribution. This must be below 1 in 4000: r is 3 after 27 losses, 4 after 16,
    5 after 11. In fewer than 16 losses hardly any run is so improbable. There the order counts too:
    that the last r are the r highest and rise from each to the next is r! times less probable, so
    that r is 4 after 6 losses, 5 after 3.

    Three times a jump, and no more: the jumps of a loss that doubles at each step are half its
    height, and four times that would hide it. Jumps do not matter to 12 losses or more that are all
    above four times the median of those before them: a loss that explodes may jump far above where
    it then stays.

    Args:
        losses: All losses so far, finite, those at the starting weights before the others.
        bound: The bound.
        level: Where the loss was before it rose.

    Example:
        >>> stays_above([1.0] * 27 + [9.0, 9.0, 9.0], bound=4.0, level=1.0)
        True
        >>> stays_above([1.0] * 12 + [9.0] + [1.0] * 14 + [9.0, 9.0, 9.0], bound=4.0, level=1.0)
        False
    """
    run = 0
    for loss in reversed(losses[-_LONGEST_RUN:]):
        if not loss > bound:
            break
        run += 1
    run = min(run, len(losses) - 1)
    if run < _SHORTEST_RUN:
        return False
    values = np.asarray(losses, dtype=np.float64)
    largest_jumps = np.maximum.accumulate(np.abs(np.diff(values, prepend=values[0])))
    for length in range(_SHORTEST_RUN, run + 1):
        before = len(values) - length
        noise = level + _JUMPS * float(largest_jumps[before - 1])
        odds = math.comb(len(values), length)
        if len(values) < _FEW and (np.diff(values[before:]) > 0).all():
            odds *= math.factorial(length)
        if odds < _ODDS:
            continue
        lowest = values[before:].min()
        if lowest > noise or (length >= _LONG_RUN and lowest > _far_above(values[:before])):
            return True
    return False


class TrialWatch:
    """Follows the loss of a trial, at a learning rate of its own from the starting weights.

    It has diverged once it is NaN or infinite, or stays above `TRIAL_FACTOR` times its scale: the
    mean size of the losses of several batches at the starting weights.

    Args:
        start_losses: Losses of batches at the starting weights, in any order. Where there are
            none, the first loss of the trial is the scale.
    """

    def __init__(self, start_losses: Sequence[float] = ()) -> None:
        self._losses = [loss for loss in start_losses if math.isfinite(loss)]
        self._scale = _scale_of(self._losses) if self._losses else None

    def is_diverged(self, loss: float) -> bool:
        """Take the next loss; return whether the trial has diverged."""
        if not math.isfinite(loss):
            return True
        self._losses.append(loss)
        if self._scale is None:
            self._scale = _scale_of(self._losses)
        bound = TRIAL_FACTOR * self._scale
        return loss > bound and stays_above(self._losses, bound, self._scale)


def ended_above(losses: ArrayLike, start_losses: ArrayLike, factor: float) -> bool:
    """Return whether the last losses are above a multiple of what their batches lost at the start.

    It must be so in the mean, and in all but one of eight batches: a mean follows one rare batch.

    Args:
        losses: The last losses of a trial.
        start_losses: What the same batches lost at the starting weights.
        factor: The multiple, above 1. Of a loss below zero, so many of its sizes above it.

    Example:
        >>> ended_above([0.1, 9.0], [0.1, 0.1], factor=2.0)
        False
        >>> ended_above([0.3, 9.0], [0.1, 0.1], factor=2.0)
        True
    """
    last, start = np.asarray(losses, dtype=np.float64), np.asarray(start_losses, dtype=np.float64)
    if not np.isfinite(last).all():
        return True
    bounds = start + (factor - 1) * np.abs(start)
    above = int((last > bounds).sum())
    start_mean = float(start.mean())
    in_the_mean = last.mean() > start_mean + (factor - 1) * abs(start_mean)
    return bool(in_the_mean and above >= len(last) - len(last) // 8)


def _far_above(values: NDArray[np.float64]) -> float:
    median = float(np.median(values))
    return median + (_LONG_RUN_FACTOR - 1) * abs(median)


def _scale_of(losses: Sequence[float]) -> float:
    return max(float(np.mean(np.abs(losses))), 1e-12)
