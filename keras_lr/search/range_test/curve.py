"""Analysis of a range-test record: smoothing without lag, and a test against noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_lr.errors import complaint

Floats = NDArray[np.float64]

KERNEL_DECADES = 0.25
SHORTEST = 10  # losses; fewer leave no room to tell a slope from noise
CLEAR_FALL = 5.0  # standard errors; normal noise gets here in fewer than 1 of 500 sweeps
STILL_FALLING = 0.1  # of the whole fall, in the last half decade of a record
ROUNDING = 1e-5  # of the loss; a float32 loss moves this much without learning anything
_IF_SOON = " if the loss is not finite so soon, else sweep over more steps"
_FEWEST_BEFORE_EXPLOSION, _EXPLOSION, _EXPLOSION_FACTOR = 5, 10.0, 20.0


class SuggestionError(ValueError):
    """A rule has nothing to say about a record; the message tells what to change.

    Example:
        >>> import numpy as np
        >>> from keras_lr import SuggestionError
        >>> from keras_lr.search.suggest import read_descent
        >>> try:
        ...     read_descent("valley", np.geomspace(1e-6, 1.0, 50), np.full(50, 2.3))
        ... except SuggestionError as error:
        ...     print(error)
        valley: the loss must fall, but it is flat. Received: fall=... Raise max_lr, and check ...
    """


def smooth(learning_rates: ArrayLike, losses: ArrayLike, width: float = KERNEL_DECADES) -> Floats:
    """Average losses over neighbouring learning rates, without lag.

    `s(i) = sum_j w(i, j) loss(j) / sum_j w(i, j)` with
    `w(i, j) = exp(-((log10 lr(i) - log10 lr(j)) / width)^2 / 2)`.

    Args:
        learning_rates: float[n], positive.
        losses: float[n], finite.
        width: The kernel's standard deviation in decades. A quarter of a decade is a third of the
            span in which a model's loss usually falls.

    Returns:
        float64[n]

    Example:
        >>> from keras_lr.search.suggest import smooth
        >>> smooth([0.1, 1.0, 10.0], [1.0, 2.0, 3.0], width=0.5).round(2)
        array([1.12, 2.  , 2.88])
    """
    rates = np.asarray(learning_rates, dtype=np.float64)
    values = np.asarray(losses, dtype=np.float64)
    return np.array([_weights(rates, index, width) @ values for index in range(len(rates))])


def finite_steps(losses: Floats) -> int:
    """How many losses there are before the first that is not finite."""
    return int(np.argmin([*np.isfinite(losses), False]))


def exploded_from(losses: Floats) -> int:
    """Return the first step at which a loss explodes; their number if none does.

    It is more than 20 times the loss at the start, and stands above all losses before it by more
    than ten times the range of these. Batches of a rare class seldom are, and soon come.
    """
    highest = np.maximum.accumulate(losses)[:-1]
    width = highest - np.minimum.accumulate(losses)[:-1]
    start = float(np.median(losses[: min(SHORTEST, _FEWEST_BEFORE_EXPLOSION)]))
    bound = start + (_EXPLOSION_FACTOR - 1) * abs(start)
    jumps = (losses[1:] > bound) & (losses[1:] - highest > _EXPLOSION * width)
    jumps[: _FEWEST_BEFORE_EXPLOSION - 1] = False
    return int(np.argmax([*jumps, True])) + 1


def believed_steps(learning_rates: Floats, losses: Floats) -> int:
    """How many losses tell where to train: the finite ones, and not what follows an explosion.

    A model that has exploded may report low losses again: those of batches without the class that
    it has given up, or of a dead network whose last bias learns. Where the smoothed loss is lowest
    there, the record ends with the explosion.
    """
    finite = finite_steps(losses)
    if finite < 2:
        return finite
    exploded = exploded_from(losses[:finite])
    smoothed = smooth(learning_rates[:finite], capped(losses[:finite]))
    return exploded if int(smoothed.argmin()) >= exploded else finite


def capped(losses: Floats) -> Floats:
    """Cut the tops off: how far a loss is above its start says nothing about where to train.

    Without this the kernel would spread one exploding loss over the good ones before it.
    """
    start = np.median(losses[:SHORTEST])
    ceiling: float = 2.0 * start - losses.min()
    return np.minimum(losses, ceiling)


@dataclass(frozen=True)
class Descent:
    """The part of a record that the rules read: from the start to the lowest smoothed loss."""

    learning_rates: Floats
    losses: Floats

    def after(self, share: float) -> "Descent":
        """What is left once this share of the fall has been made."""
        start, end = self.losses[0], self.losses[-1]
        begin = int(np.argmax(self.losses <= start - share * (start - end)))
        return Descent(self.learning_rates[begin:], self.losses[begin:])


def read_descent(rule: str, learning_rates: ArrayLike, losses: ArrayLike) -> Descent:
    """The descent in smoothed losses, or the reason why `rule` can say nothing about it.

    Args:
        rule: Who asks, for the message.
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw losses.

    Returns:
        The descent, of at least two points.

    Raises:
        ValueError: If the two arrays do not make a record.
        SuggestionError: If the record is too short, flat, rising, or no clearer than its noise.
    """
    rates, values = _checked(rule, learning_rates, losses)
    believed = believed_steps(rates, values)
    if believed < SHORTEST:
        exploded = believed < finite_steps(values)
        needed = f"a record must start with at least {SHORTEST} finite losses"
        needed += ", but it explodes" if exploded else ""
        fix = "Lower min_lr" + ("" if exploded else _IF_SOON)
        raise SuggestionError(complaint(rule, needed, fix, finite_losses=believed))
    rates, values = rates[:believed], values[:believed]
    smoothed = smooth(rates, capped(values))
    _require_fall(rule, rates, values, smoothed)
    stop = int(smoothed.argmin()) + 1
    return Descent(rates[:stop], smoothed[:stop])


def falls_to_the_end(learning_rates: Floats, losses: Floats) -> bool:
    """Return whether a record ends on its way down: at its lowest, after a fall just before.

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw losses.
    """
    finite = believed_steps(learning_rates, losses)
    if finite < max(SHORTEST, len(losses)):
        return False
    smoothed = smooth(learning_rates, capped(losses))
    before = int(np.searchsorted(learning_rates, learning_rates[-1] / 10.0 ** (2 * KERNEL_DECADES)))
    recent = float(smoothed[min(before, finite - 2)] - smoothed[-1])
    fall = float(smoothed.max() - smoothed.min())
    return int(smoothed.argmin()) == finite - 1 and recent > STILL_FALLING * fall


def _checked(rule: str, learning_rates: ArrayLike, losses: ArrayLike) -> tuple[Floats, Floats]:
    rates = np.asarray(learning_rates, dtype=np.float64)
    values = np.asarray(losses, dtype=np.float64)
    if rates.ndim != 1 or rates.shape != values.shape:
        needed = "learning_rates and losses must be two vectors of one length"
        shapes = {"learning_rates": rates.shape, "losses": values.shape}
        raise ValueError(complaint(rule, needed, "Pass one loss per learning rate", **shapes))
    positive = np.isfinite(rates).all() and (rates > 0).all()
    if not (positive and (np.diff(rates) > 0).all()):
        needed = "learning_rates must be finite, positive and increasing"
        fix = "Pass them in the order of the sweep"
        raise ValueError(complaint(rule, needed, fix, learning_rates=rates))
    return rates, values


def _weights(rates: Floats, index: int, width: float) -> Floats:
    distances = np.log10(rates / rates[index]) / width
    weights: Floats = np.exp(-0.5 * distances**2)
    weights /= weights.sum()
    return weights


def _require_fall(rule: str, rates: Floats, losses: Floats, smoothed: Floats) -> None:
    """Raise unless the fall is many standard errors of the two averages it lies between."""
    values = capped(losses)
    lowest = int(smoothed.argmin())
    begin = 1 + lowest // 3
    fall = float(values[:begin].mean() - smoothed[lowest])
    rounding = ROUNDING * float(np.abs(values).max())
    if lowest == 0 or fall <= rounding:
        rising = losses[-1] - losses[0] > rounding
        needed = f"the loss must fall, but it {'only rises' if rising else 'is flat'}"
        fix = "Lower min_lr" if rising else "Raise max_lr, and check that the model trains at all"
        raise SuggestionError(complaint(rule, needed, fix, fall=_rounded(fall)))
    jumps = np.diff(values[: max(lowest + 1, SHORTEST)])  # in which a slow fall hardly shows
    noise = float(np.sqrt(np.mean(jumps**2) / 2.0))
    share = float(np.sum(_weights(rates, lowest, KERNEL_DECADES) ** 2))
    if fall < CLEAR_FALL * noise * float(np.sqrt(1.0 / begin + share)):
        needed = "the loss must fall clearly more than it varies from batch to batch"
        fix = "Sweep over more steps, repeat the sweep, or follow a probe batch"
        received = {"fall": _rounded(fall), "noise": _rounded(noise)}
        raise SuggestionError(complaint(rule, needed, fix, **received))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
