"""`Trapezoid`: a short warm-up, a long plateau, and a straight line to zero."""

from __future__ import annotations

from functools import cached_property

from keras_lr.errors import check_number, complaint
from keras_lr.schedules.base import Composed, Schedule
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.pieces import Interpolated


@schedule
class Trapezoid(Composed):
    r"""Up in a straight line, level, and down to zero in a straight line.

    Of $R$ steps, with warm-up $w$ and decay $d$ as shares of the run, step $t$ has

    $$\eta_{max} \min\left(1, \frac{t + 1}{w R}, \frac{R - t}{d R}\right), \qquad t = 0 \ldots R.$$

    The first step is not wasted at zero, and neither is the last, $R - 1$.

    Args:
        max_lr: The top, at least 0.
        steps: Length of the whole run.
        warmup_fraction: Share of the run spent rising, at least 0.
        decay_fraction: Share of the run spent falling, at least 0.

    Raises:
        TypeError: If an argument is not of the kind asked for.
        ValueError: If one is out of its range, or the two shares are more than the run.

    Example:
        >>> from keras_lr import schedules
        >>> shape = schedules.Trapezoid(1.0, steps=10, warmup_fraction=0.2, decay_fraction=0.4)
        >>> print(shape.values(range(11)).round(3))
        [0.5  1.   1.   1.   1.   1.   1.   0.75 0.5  0.25 0.  ]

    Reference:
        Hägele et al. 2024, arXiv 2405.18392, for the constant rate with a linear cooldown.
    """

    max_lr: float
    steps: int
    warmup_fraction: float = 0.05
    decay_fraction: float = 0.3

    def __post_init__(self) -> None:
        self._check_rates("max_lr")
        self._check_lengths("steps")
        shares = {"warmup_fraction": self.warmup_fraction, "decay_fraction": self.decay_fraction}
        fix = "Pass a share of the run, such as 0.1"
        check_number("Trapezoid", fix, at_least=0.0, at_most=1.0, **shares)
        for name, share in shares.items():
            self._set(name, float(share))
        if self.warmup_fraction + self.decay_fraction > 1.0:
            rule = "warm-up and decay must not be more than the run"
            raise ValueError(complaint("Trapezoid", rule, "Shorten one of them", **shares))

    @cached_property
    def expression(self) -> Schedule:
        """The line through its corners, which may lie between two steps."""
        warm, top = self.warmup_fraction * self.steps, self.max_lr
        corners = [(0.0, top)] if warm <= 1.0 else [(0.0, top / warm), (warm - 1.0, top)]
        falls = (1.0 - self.decay_fraction) * self.steps
        if self.decay_fraction == 0.0:
            corners.append((float(self.steps), top))
        else:
            corners += [(falls, top)] if falls > corners[-1][0] else []
            corners.append((float(self.steps), 0.0))
        knots, learning_rates = zip(*corners, strict=True)
        return Interpolated(knots, learning_rates)
