"""The rules that other libraries publish, written from their formulae.

A rule is a pure function `(learning_rates, losses) -> learning rate`, given the losses as that
library records them (see `Smoothing`), cut where that library cuts them. It returns None where
the library has nothing to say; the run then keeps the optimizer's own learning rate.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Rule = Callable[[np.ndarray, np.ndarray], float | None]


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """`s_i = decay * s_(i-1) + (1 - decay) * l_i`.

    Attributes:
        decay: Weight of the past; 0 keeps the losses as they are.
        debiased: Start at 0 and divide by `1 - decay ** (i + 1)`; otherwise start at `l_0`.
    """

    decay: float
    debiased: bool

    def __call__(self, losses: np.ndarray) -> np.ndarray:
        """Smooth the losses, shape [steps], each with the past only."""
        smooth, level = np.empty(len(losses)), 0.0 if self.debiased else losses[0]
        for index, loss in enumerate(losses):
            level = self.decay * level + (1 - self.decay) * loss
            correction = 1 - self.decay ** (index + 1) if self.debiased else 1.0
            smooth[index] = level / correction
        return smooth


@dataclasses.dataclass(frozen=True)
class Peer:
    """How one library goes from a sweep to a learning rate.

    Attributes:
        rule: From the recorded curve to a learning rate.
        smoothing: What is recorded.
        stop_factor: The sweep ends once the recorded loss exceeds this multiple of its best.
        skip_start: Points dropped at the start: a share of the sweep below 1, else a count.
        skip_end: Points dropped at the end.
        min_lr: First learning rate of the sweep.
        max_lr: Last learning rate of the sweep.
    """

    rule: Rule
    smoothing: Smoothing
    stop_factor: float
    skip_start: float = 0
    skip_end: int = 0
    min_lr: float = 1e-7
    max_lr: float = 10.0

    def suggest(self, learning_rates: np.ndarray, losses: np.ndarray) -> tuple[float | None, int]:
        """The suggestion from the raw losses of a full sweep, and the steps the sweep takes."""
        smooth = self.smoothing(losses)
        steps = self._stop(smooth)
        skip = self.skip_start
        first = int(len(losses) * skip) if skip < 1 else int(skip)
        kept = slice(first, steps - self.skip_end)
        lrs, values = learning_rates[kept], smooth[kept]
        finite = np.isfinite(values)
        lrs, values = lrs[finite], values[finite]
        return (self.rule(lrs, values) if len(values) > 1 else None), steps

    def _stop(self, smooth: np.ndarray) -> int:
        best = np.minimum.accumulate(np.where(np.isnan(smooth), np.inf, smooth))
        beyond = ~(smooth <= self.stop_factor * best)
        return int(np.argmax(beyond)) + 1 if beyond.any() else len(smooth)


def valley(learning_rates: np.ndarray, losses: np.ndarray) -> float:
    """Half way through the middle third of the longest decreasing subsequence (fastai, ktrain)."""
    lengths = np.ones(len(losses), int)
    for index in range(1, len(losses)):
        above = lengths[:index][losses[:index] > losses[index]]
        lengths[index] = 1 + max(above, default=0)
    end = int(lengths.argmax())
    third = (lengths[end]) / 3
    start = end - lengths[end]
    return float(learning_rates[start + int(third) + int(third / 2)])


def slide(learning_rates: np.ndarray, losses: np.ndarray) -> float:
    """The left edge of a 15-step window slid down while its two gradients differ (fastai)."""
    gradient = np.gradient(losses)
    right, width, tolerance = len(losses) - 1, 15, 0.005
    found = max(right - width, 0)
    while right >= width and abs(gradient[right] - gradient[right - width]) > tolerance:
        found = right - width
        right -= 1
    return float(learning_rates[found])


def minimum(learning_rates: np.ndarray, losses: np.ndarray) -> float:
    """A tenth of the learning rate of the lowest loss (fastai, ktrain)."""
    return float(learning_rates[losses.argmin()] / 10)


def steep(learning_rates: np.ndarray, losses: np.ndarray) -> float:
    """The steepest fall with respect to log lr (fastai)."""
    return float(learning_rates[(np.diff(losses) / np.diff(np.log(learning_rates))).argmin()])


def steepest_index(learning_rates: np.ndarray, losses: np.ndarray) -> float:
    """The steepest fall per step (pytorch-lr-finder)."""
    return float(learning_rates[np.gradient(losses).argmin()])


def steepest_average(learning_rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The steepest fall over the last 20 steps (keras_lr_finder, `sma=20`)."""
    window = 20
    if len(losses) <= window:
        return None
    fall = (losses[window:] - losses[:-window]) / window
    return float(learning_rates[window + int(fall.argmin())])


def off_by_32(learning_rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The steepest fall of `losses[32:argmin]`, its index read from the start (ktrain)."""
    fall = losses[32 : losses.argmin()]
    return float(learning_rates[np.gradient(fall).argmin()]) if len(fall) > 1 else None


def steepest_lr(learning_rates: np.ndarray, losses: np.ndarray) -> float:
    """The steepest fall with respect to lr itself (Lightning)."""
    return float(learning_rates[np.gradient(losses, learning_rates).argmin()])


_EMA = Smoothing(0.98, debiased=True)
_RAW = Smoothing(0.0, debiased=False)
_LAGGED = Smoothing(0.95, debiased=False)

PEERS = {
    "fastai valley": Peer(valley, _EMA, 4.0, skip_start=0.1, skip_end=5),
    "fastai slide": Peer(slide, _EMA, 4.0, skip_start=0.1, skip_end=5),
    "fastai minimum": Peer(minimum, _EMA, 4.0, skip_start=0.1, skip_end=5),
    "fastai steep": Peer(steep, _EMA, 4.0, skip_start=0.1, skip_end=5),
    "pytorch-lr-finder": Peer(steepest_index, _LAGGED, 5.0, skip_start=10, skip_end=5),
    "keras_lr_finder": Peer(steepest_average, _RAW, 4.0, skip_end=5),
    "ktrain valley": Peer(valley, _EMA, 4.0),
    "ktrain minimum": Peer(minimum, _EMA, 4.0),
    "ktrain gradient": Peer(off_by_32, _EMA, 4.0),
    "Lightning": Peer(steepest_lr, _EMA, 4.0, skip_start=10, skip_end=1, min_lr=1e-8, max_lr=1.0),
}
