"""The smoothed loss and the stop rule of a range test, without a model."""

import math

from keras_lr.search.stop_rule import stays_above


class LossWatch:
    r"""Follows a loss and says when it has diverged.

    The smoothed loss is the exponential moving average with its bias taken out,

    $$s_t = \frac{1 - \beta}{1 - \beta^t} \sum_{i=1}^{t} \beta^{t-i} L_i,$$

    and the loss has diverged once $s_t$ exceeds `stop_factor` times its own minimum so far and the
    last losses stay above that too (see `stays_above`), or once $L_t$ is NaN or infinite. A loss
    that goes below zero has no meaningful multiple: the bound is then `stop_factor - 1` times the
    fall so far above the minimum.

    Args:
        smoothing: $\beta$, in [0, 1). 0 watches the raw loss.
        stop_factor: Above 1; None never stops on a finite loss.
        noisy: Whether each loss is that of another batch. The loss of a probe is not: it need not
            stay above the bound to be believed.

    Reference: fastai `Recorder` and `LRFinder` (β = 0.98, factor 4), which do not ask whether the
    loss stays there: one batch with a rare class stops them.
    """

    def __init__(self, smoothing: float, stop_factor: float | None, *, noisy: bool = True) -> None:
        self._smoothing, self._noisy = smoothing, noisy
        self._stop_factor = stop_factor
        self._average = 0.0
        self._best = math.inf
        self._first = math.nan
        self.losses: list[float] = []
        self.smoothed: list[float] = []

    def update(self, loss: float) -> str | None:
        """Take the next loss; return why to stop, or None to go on."""
        self.losses.append(loss)
        if not math.isfinite(loss):
            self.smoothed.append(math.nan)
            return f"the loss is not finite ({loss})"
        self._average = self._smoothing * self._average + (1 - self._smoothing) * loss
        smoothed = self._average / (1 - self._smoothing ** len(self.losses))
        if not self.smoothed:
            self._first = smoothed
        self.smoothed.append(smoothed)
        self._best = min(self._best, smoothed)
        if self._stop_factor is not None and self._has_diverged(smoothed):
            return f"diverged (smoothed loss {smoothed:.3g}, its best was {self._best:.3g})"
        return None

    def _has_diverged(self, smoothed: float) -> bool:
        bound = self._bound()
        if not smoothed > bound:
            return False
        return not self._noisy or stays_above(self.losses, bound, self._best)

    def _bound(self) -> float:
        factor = self._stop_factor or math.inf
        if self._best > 0:
            return factor * self._best
        return self._best + (factor - 1) * max(self._first - self._best, abs(self._best))
