"""Single-piece shapes of known length, from a start to an end, and the constant."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any

from keras import ops

from keras_lr.errors import GREATEST, check_number
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.decorators import frozen, schedule
from keras_lr.schedules.steps import progress


@schedule
class Constant(Schedule):
    """The same value at every step.

    Args:
        learning_rate: The value, at least 0.
        steps: How long it lasts when another schedule follows. Default: endless.

    Raises:
        ValueError: If the value is negative or not finite, or the length is not positive.

    Example:
        >>> from keras_lr import schedules
        >>> half = schedules.Constant(0.5, steps=2)
        >>> half.then(schedules.Constant(0.25)).values(range(4)).tolist()
        [0.5, 0.5, 0.25, 0.25]
    """

    learning_rate: float
    steps: int | None = None

    def __post_init__(self) -> None:
        self._check_rates("learning_rate")
        if self.steps is not None:
            self._check_lengths("steps")

    @property
    def greatest(self) -> float:
        """The value."""
        return self.learning_rate

    def value(self, step: Any) -> Any:
        """Return the value, in the shape of `step`."""
        return ops.full_like(step, self.learning_rate, dtype="float32")


@frozen
class _Ramp(Schedule):
    """From `start` at step 0 to `end` at step `steps`; a subclass says along which curve."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        self._check_rates("start", "end")
        self._check_lengths("steps")

    @property
    def greatest(self) -> float:
        """The start or the end."""
        return max(self.start, self.end)

    def value(self, step: Any) -> Any:
        """Return `end + (start - end) * remaining(p)`, with `p` the progress from 0 to 1."""
        remaining = ops.where(step < self.steps, self.remaining(progress(step, self.steps)), 0.0)
        return self.start * remaining + self.end * (1.0 - remaining)  # exact at the end

    def remaining(self, done: Any) -> Any:
        """Return the part of the change that is still to come.

        Args:
            done: The part of the steps already done, a tensor of values from 0 to 1.

        Returns:
            A tensor of the same shape, from 1 to 0.
        """
        raise NotImplementedError


@schedule
class Linear(_Ramp):
    """A straight line: `end + (start - end) * (1 - t / steps)`.

    With `end=0` after a warm-up it is the usual choice for a run of known length.

    Args:
        start: Value at step 0, at least 0.
        end: Value from step `steps` on, at least 0.
        steps: Number of steps from one to the other.

    Raises:
        ValueError: If a value is negative or not finite, or the length is not positive.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.Linear(start=0.5, end=0.0, steps=4).values(range(6)).tolist()
        [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]

    Reference:
        Bergsma et al. 2025, "Straight to Zero", arXiv 2502.15938.
    """

    def remaining(self, done: Any) -> Any:
        """Return `1 - p`."""
        return 1.0 - done


@schedule
class Cosine(_Ramp):
    """Half a cosine: `end + (start - end) * ((1 + cos(pi * (t / steps)^k)) / 2)^power`.

    Args:
        start: Value at step 0, at least 0.
        end: Value from step `steps` on, at least 0.
        steps: Number of steps from one to the other.
        k: Above 1 the value stays near `start` for longer, below 1 it leaves it sooner. The
            default, 1, is the plain cosine.
        power: Exponent of the curve. The default, 1, is the plain cosine.

    Raises:
        ValueError: If a value is negative or not finite, or a length or exponent not positive.

    Example:
        >>> from keras_lr import schedules
        >>> print(schedules.Cosine(1.0, 0.0, steps=4).values(range(6)).round(3))
        [1.    0.854 0.5   0.146 0.    0.   ]

    Reference:
        Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5; for `k`, Zhang and Li 2020,
        arXiv 2004.05909; `power` as in optax.
    """

    _: KW_ONLY
    k: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_rates("k", "power", above=0.0)

    def remaining(self, done: Any) -> Any:
        """Return `((1 + cos(pi * p^k)) / 2)^power`."""
        return _power(0.5 + 0.5 * ops.cos(math.pi * _power(done, self.k)), self.power)


@schedule
class Polynomial(_Ramp):
    """A power of what is left of the run: `end + (start - end) * (1 - (t / steps)^k)^power`.

    `power=1, k=0.5` is the "1-sqrt" cooldown.

    Args:
        start: Value at step 0, at least 0.
        end: Value from step `steps` on, at least 0.
        steps: Number of steps from one to the other.
        power: Exponent of what is left. The default, 1, is a straight line.
        k: Exponent of the progress (k-decay). The default, 1, has no effect.

    Raises:
        ValueError: If a value is negative or not finite, or a length or exponent not positive.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.Polynomial(1.0, 0.0, steps=4, power=2).values(range(5)).tolist()
        [1.0, 0.5625, 0.25, 0.0625, 0.0]

    Reference:
        Zhang and Li 2020, arXiv 2004.05909; Haegele et al. 2024, arXiv 2405.18392, for 1-sqrt.
    """

    _: KW_ONLY
    power: float = 1.0
    k: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_rates("power", "k", above=0.0)

    def remaining(self, done: Any) -> Any:
        """Return `(1 - p^k)^power`."""
        return _power(1.0 - _power(done, self.k), self.power)


@schedule
class Tanh(_Ramp):
    """A hyperbolic tangent: `end + (start - end) * (1 - tanh(lower * (1 - p) + upper * p)) / 2`.

    Here `p = t / steps`. The curve only comes near `start` and `end`: to within a part in a million
    and a quarter of a percent at the default bounds. From `steps` on it is `end`.

    Args:
        start: Value the curve starts near, at least 0.
        end: Value the curve ends near, at least 0.
        steps: Number of steps from one to the other.
        lower: Argument of the tangent at step 0.
        upper: Argument of the tangent at step `steps`, above `lower`.

    Raises:
        ValueError: If a value is negative or not finite, the length not positive, or the bounds
            not in order.

    Example:
        >>> from keras_lr import schedules
        >>> print(schedules.Tanh(1.0, 0.0, steps=10).values([0, 5, 7, 9, 10]).round(3))
        [1.    0.982 0.5   0.018 0.   ]

    Reference:
        Hsueh et al. 2019, arXiv 1806.01593; the bounds are those of timm.
    """

    lower: float = -7.0
    upper: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "Pass lower < upper, such as -7 and 3"
        bounds = {"lower": self.lower, "upper": self.upper}
        check_number("Tanh", fix, at_least=-GREATEST, at_most=GREATEST, **bounds)
        check_number("Tanh", fix, above=float(self.lower), upper=self.upper)
        self._set("lower", float(self.lower))
        self._set("upper", float(self.upper))

    def remaining(self, done: Any) -> Any:
        """Return `(1 - tanh(lower * (1 - p) + upper * p)) / 2`."""
        return 0.5 - 0.5 * ops.tanh(self.lower * (1.0 - done) + self.upper * done)


@schedule
class Exponential(Schedule):
    """The same factor at every step, from a start to an end: `start * (end / start)^(t / steps)`.

    Args:
        start: Value at step 0, above 0.
        end: Value from step `steps` on, above 0.
        steps: Number of steps from one to the other.

    Raises:
        ValueError: If a value is not positive and finite, or the length is not positive.

    Example:
        >>> from keras_lr import schedules
        >>> print(schedules.Exponential(1e-4, 1.0, steps=4).values(range(5)).round(4))
        [1.e-04 1.e-03 1.e-02 1.e-01 1.e+00]

    Reference:
        Smith 2018, arXiv 1803.09820: the sweep of a range test.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        self._check_rates("start", "end", above=0.0)
        self._check_lengths("steps")

    @property
    def greatest(self) -> float:
        """The start or the end."""
        return max(self.start, self.end)

    def value(self, step: Any) -> Any:
        """Interpolate the logarithm."""
        slope = math.log(self.end) - math.log(self.start)
        parts = math.ceil(abs(slope) / 80.0) or 1  # exp(89) is infinite in float32
        growth = ops.exp((slope / parts) * progress(step, self.steps))
        curve = self.start * growth
        for _ in range(1, parts):
            curve = curve * growth
        return ops.where(step < self.steps, curve, self.end)


@schedule
class ScaledExponential(_Ramp):
    """An exponential that may end at zero: `end + (start - end) * (r^(t / steps) - r) / (1 - r)`.

    Args:
        start: Value at step 0, at least 0.
        end: Value from step `steps` on, at least 0.
        steps: Number of steps from one to the other.
        ratio: `r`, what the exponential falls to before it is stretched to `end`, between 0 and 1.
            The smaller, the faster the first steps.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from keras_lr import schedules
        >>> print(schedules.ScaledExponential(1.0, 0.0, steps=4).values(range(5)).round(3))
        [1.    0.514 0.24  0.086 0.   ]

    Reference:
        timm, the `exp` cooldown of its warmup-stable-decay schedule.
    """

    ratio: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "Pass a ratio such as 0.1"
        check_number("ScaledExponential", fix, above=0.0, below=1.0, ratio=self.ratio)
        self._set("ratio", float(self.ratio))

    def remaining(self, done: Any) -> Any:
        """Return `(ratio^p - ratio) / (1 - ratio)`, each power less 1: a ratio near 1 cancels."""
        whole = math.log(self.ratio)
        return 1.0 - ops.expm1(whole * done) / math.expm1(whole)


def _power(base: Any, exponent: float) -> Any:
    """Raise to a power, leaving the bits untouched if the power is 1."""
    return base if exponent == 1.0 else ops.power(base, exponent)
