"""Measures how far training steps move a model's weights, to see whether the network is alive."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Read = Callable[[Any], np.ndarray]

_AT_MOST = 1_000_000  # weights that are looked at; of larger models the smaller matrices
_STILL = 1e-3
_LEARNED = 0.01
_NEARLY_ZERO = 1e-4
_OF_DECAY = 0.01
_ROUNDING = 2.0**-23  # of a float32: all that a decay of less than that is


@dataclass(frozen=True)
class StillMatrix:
    """A matrix that a step has hardly moved.

    Attributes:
        variable: The matrix.
        size: The root of the mean square of its elements; the largest of the times it was read.
    """

    variable: Any
    size: float


class Movement:
    """Measures how far a step moves the model's matrices, per unit of its learning rate.

    Where every unit of a layer of ReLUs has died, only what comes after it, such as the last bias,
    still moves. Biases and scales are therefore not looked at. Each matrix is compared with its own
    first movement: in a GAN some are moved by another optimizer, at a rate that is not searched,
    and these seem to slow down, per unit of the searched rate, however alive they are.

    Args:
        model: A built model.
    """

    def __init__(self, model: Any) -> None:
        matrices = [v for v in model.trainable_variables if len(v.shape) > 1]
        matrices.sort(key=lambda variable: math.prod(variable.shape))
        sizes = np.cumsum([math.prod(variable.shape) for variable in matrices])
        self._variables = matrices[: max(1, int((sizes <= _AT_MOST).sum()))]
        self._before: list[np.ndarray] = []
        self._after: list[np.ndarray] = []
        self._first: list[float] = [0.0] * len(self._variables)
        self._shares: list[float] = []
        self._start_sizes: list[float] = []

    def before_step(self, read: Read) -> None:
        """Note where the weights are.

        Args:
            read: Returns a copy of a variable's value.
        """
        self._before = [read(variable) for variable in self._variables]
        self._start_sizes = self._start_sizes or list(map(root_mean_square, self._before))

    def after_step(self, read: Read, learning_rate: float) -> float:
        """Return how far the liveliest matrix has moved, as a multiple of its first movement.

        0 if none has moved; NaN if that is not finite, or if the model has no matrix to train.
        """
        if not self._variables:
            return math.nan
        self._shares, self._after = [], [read(variable) for variable in self._variables]
        shares = []
        for index, (old, new) in enumerate(zip(self._before, self._after, strict=True)):
            with np.errstate(all="ignore"):
                squares = (new.astype(np.float64) - old) ** 2
                moved = math.sqrt(float(np.sum(squares))) / learning_rate
            if not math.isfinite(moved):
                return math.nan
            self._first[index] = self._first[index] or moved
            shares.append(moved / self._first[index] if moved else 0.0)
        self._shares = shares
        return max(shares)

    def still(self) -> list[StillMatrix]:
        """Return the matrices that the last step moved less than a thousandth as far as the first.

        One that has only shrunk, as by weight decay, is still. None if one is not finite, or nearly
        zero: that hands on no gradient until it has grown.
        """
        pairs = zip(self._start_sizes, map(root_mean_square, self._before), strict=True)
        sizes = list(map(max, pairs))
        if not self._shares or min(sizes) < _NEARLY_ZERO:
            return []
        known = zip(self._variables, sizes, self._shares, self._before, self._after, strict=True)
        return [
            StillMatrix(variable, size)
            for variable, size, share, old, new in known
            if share < _STILL or _is_decay(old, new)
        ]

    @property
    def count(self) -> int:
        """The number of matrices that are looked at."""
        return len(self._variables)


def _is_decay(old: np.ndarray, new: np.ndarray) -> bool:
    """Return whether a matrix has become a multiple of what it was, up to rounding."""
    old = old.astype(np.float64)
    change, size = new - old, float(np.sum(old**2))
    if old.size < 2 or size == 0.0:
        return False
    rest = float(np.sum((change - float(np.sum(change * old)) / size * old) ** 2))
    return rest < (_OF_DECAY**2) * float(np.sum(change**2)) or rest < (_ROUNDING**2) * size


def root_mean_square(value: np.ndarray) -> float:
    """Return the root of the mean square of an array's elements; 0 of none."""
    return float(np.sqrt(np.mean(value.astype(np.float64) ** 2))) if value.size else 0.0


def still_from(movements: dict[int, float], losses: list[float]) -> int | None:
    """Return the step from which on the weights have stood still; None if they have not.

    They stand still where they move less than a thousandth of what they did at the start, though
    the loss has not been learned away: a loss of less than a hundredth has a small gradient. A
    network that was dead before the run never moves its weights, whatever its last bias learns.

    Args:
        movements: Of some steps, increasing: what `Movement.after_step` returned.
        losses: The loss of each step.
    """
    if len(movements) > 1 and not any(movements.values()):
        return min(movements) if len(set(losses)) > 1 else None
    first = next((moved for moved in movements.values() if moved > 0), math.nan)
    found = None
    for step, moved in movements.items():
        learned = step < len(losses) and losses[step] < _LEARNED * losses[0]
        if moved < _STILL * first and not learned:
            found = step if found is None else found
        elif moved > 0 or math.isnan(moved):
            found = None
    return found
