"""Endless shapes: they fall, or rise, forever."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras_lr.errors import GREATEST, complaint
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.decorators import frozen, schedule
from keras_lr.schedules.steps import real

GROWTH_STEPS = 10_000
"""Steps for which a growing schedule must stay within float32."""


@frozen
class _Endless(Schedule):
    """Falls (or rises) forever from `start`."""

    start: float

    @property
    def steps(self) -> None:
        """None: there is no last value."""

    @property
    def greatest(self) -> float:
        """The start."""
        return self.start


@schedule
class Geometric(_Endless):
    """Multiply by `factor` every `every_steps` steps, smoothly: `start * factor^(t / every_steps)`.

    Args:
        start: Value at step 0, above 0.
        factor: What the value is multiplied by, above 0.
        every_steps: Number of steps this takes.

    Raises:
        ValueError: If an argument is not positive and finite, or if the value outgrows float32
            within 10,000 steps. Where it does so later, it stops at 3.4e38.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.Geometric(1.0, factor=0.25, every_steps=2).values(range(4)).tolist()
        [1.0, 0.5, 0.25, 0.125]
    """

    factor: float
    every_steps: int = 1

    def __post_init__(self) -> None:
        self._check_rates("start", "factor", above=0.0)
        self._check_lengths("every_steps")
        _check_growth(self._owner, self.start, self.factor, self.every_steps)

    @property
    def greatest(self) -> float:
        """The start, or infinity for a factor above 1."""
        return self.start if self.factor <= 1.0 else math.inf

    def value(self, step: Any) -> Any:
        """Scale the start by a power of the factor."""
        return self.start * ops.exp(math.log(self.factor) * (real(step) / float(self.every_steps)))


@schedule
class Step(_Endless):
    """Multiply by `factor` once every `every_steps` steps: `start * factor^floor(t / every_steps)`.

    Args:
        start: Value at step 0, above 0.
        factor: What the value is multiplied by, above 0.
        every_steps: Number of steps between two drops.

    Raises:
        ValueError: If an argument is not positive and finite, or if the value outgrows float32
            within 10,000 steps. Where it does so later, it stops at 3.4e38.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.Step(1.0, factor=0.5, every_steps=2).values(range(6)).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    factor: float
    every_steps: int

    def __post_init__(self) -> None:
        self._check_rates("start", "factor", above=0.0)
        self._check_lengths("every_steps")
        _check_growth(self._owner, self.start, self.factor, self.every_steps)

    @property
    def greatest(self) -> float:
        """The start, or infinity for a factor above 1."""
        return self.start if self.factor <= 1.0 else math.inf

    def value(self, step: Any) -> Any:
        """Scale the start by a whole power of the factor."""
        return self.start * ops.power(self.factor, real(ops.floor_divide(step, self.every_steps)))


@schedule
class InverseTime(_Endless):
    """Divide by a straight line: `start / (1 + decay * t)`.

    This is what `decay` meant in Keras before 2.11: per update, not per epoch.

    Args:
        start: Value at step 0, at least 0.
        decay: Slope of the divisor per step, at least 0. At step `1 / decay` the value has halved.

    Raises:
        ValueError: If an argument is negative or not finite.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.InverseTime(1.0, decay=0.01).values([0, 100, 300]).tolist()
        [1.0, 0.5, 0.25]

    Reference:
        Keras 2.2.4, `keras.optimizers.SGD(lr, decay)`.
    """

    decay: float

    def __post_init__(self) -> None:
        self._check_rates("start", "decay")

    def value(self, step: Any) -> Any:
        """Divide the start."""
        return self.start / (1.0 + self.decay * real(step))


@schedule
class InverseSqrt(_Endless):
    """Divide by a square root: `start / sqrt(1 + t / timescale_steps)`.

    After a warm-up of `timescale_steps` it is the schedule of the Transformer.

    Args:
        start: Value at step 0, at least 0.
        timescale_steps: Number of steps after which the value is `start / sqrt(2)`.

    Raises:
        ValueError: If the start is negative or not finite, or the timescale is not positive.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.InverseSqrt(1.0, timescale_steps=10).values([0, 30, 150]).tolist()
        [1.0, 0.5, 0.25]

    Reference:
        Vaswani et al. 2017, arXiv 1706.03762, eq. 3.
    """

    timescale_steps: int

    def __post_init__(self) -> None:
        self._check_rates("start")
        self._check_lengths("timescale_steps")

    def value(self, step: Any) -> Any:
        """Divide the start."""
        return self.start / ops.sqrt(1.0 + real(step) / float(self.timescale_steps))


@schedule
class InversePower(_Endless):
    """Divide by a power: `start * (1 + t / timescale_steps)^-power`.

    Args:
        start: Value at step 0, at least 0.
        timescale_steps: Number of steps after which the value is `start * 2^-power`.
        power: How fast it falls, at least 0. The default, 1, is `InverseTime`.

    Raises:
        ValueError: If a number is negative or not finite, or the timescale is not positive.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.InversePower(1.0, 10, power=2.0).values([0, 10, 30]).tolist()
        [1.0, 0.25, 0.0625]

    Reference:
        Shen et al. 2024, arXiv 2408.13359.
    """

    timescale_steps: int
    power: float = 1.0

    def __post_init__(self) -> None:
        self._check_rates("start", "power")
        self._check_lengths("timescale_steps")

    def value(self, step: Any) -> Any:
        """Scale the start."""
        return self.start * ops.power(1.0 + real(step) / float(self.timescale_steps), -self.power)


def _check_growth(owner: str, start: float, factor: float, every_steps: int) -> None:
    """Raise if a growing value leaves float32 before a fit of any length is over."""
    if factor <= 1.0:
        return
    growths = math.floor((math.log(GREATEST) - math.log(start)) / math.log(factor)) + 1
    if growths * every_steps <= GROWTH_STEPS:
        rule = f"the value must not outgrow float32, as it would about step {growths * every_steps}"
        fix = "Pass a smaller factor, or use Exponential(start, end, steps)"
        raise ValueError(complaint(owner, rule, fix, factor=factor, every_steps=every_steps))
