"""Well-known schedules, each made of others: `.expression` is the expression it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce

from keras_lr.errors import GREATEST, check_choice, check_number, complaint
from keras_lr.schedules.base import Composed, Schedule
from keras_lr.schedules.decays import InversePower
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.operators import check_schedules
from keras_lr.schedules.pieces import Interpolated
from keras_lr.schedules.shapes import (
    Constant,
    Cosine,
    Linear,
    Polynomial,
    ScaledExponential,
)


def join(schedules: Sequence[Schedule]) -> Schedule:
    """Run schedules one after another: `first.then(second).then(third)...`.

    Args:
        schedules: At least one; all but the last finite.

    Returns:
        The joined schedule. Each of the parts counts as a cycle.

    Raises:
        ValueError: If there is none, or one other than the last is endless.

    Example:
        >>> from keras_lr import schedules
        >>> cycles = [schedules.Linear(peak, 0.0, steps=2) for peak in (1.0, 0.5)]
        >>> schedules.join(cycles)
        Linear(start=1.0, end=0.0, steps=2).then(Linear(start=0.5, end=0.0, steps=2))
    """
    if not isinstance(schedules, Sequence):
        rule, fix = "schedules must be a sequence", "Pass a list of schedules"
        raise TypeError(complaint("join", rule, fix, schedules=schedules))
    check_schedules("join", **{f"schedules[{i}]": each for i, each in enumerate(schedules)})
    if not schedules:
        rule, fix = "there must be at least one schedule", "Pass a sequence of schedules"
        raise ValueError(complaint("join", rule, fix, schedules=schedules))
    return reduce(Schedule.then, schedules)


@schedule
class FlatCosine(Composed):
    """A constant, then a cosine: for optimizers that do best with a high rate for most of a run.

    Args:
        start: Value of the first `flat_steps`, at least 0.
        end: Value at the end, at least 0.
        steps: Length of the whole run.
        flat_steps: Length of the constant part, less than `steps`.

    Raises:
        ValueError: If a value is negative or not finite, or the lengths do not fit.

    Example:
        >>> from keras_lr import schedules
        >>> flat = schedules.FlatCosine(1.0, 0.0, steps=6, flat_steps=2)
        >>> print(flat.values(range(7)).round(3))
        [1.    1.    1.    0.854 0.5   0.146 0.   ]
        >>> flat.expression
        Constant(learning_rate=1.0, steps=2).then(Cosine(start=1.0, end=0.0, steps=4))

    Reference:
        fastai, `fit_flat_cos`.
    """

    start: float
    end: float
    steps: int
    flat_steps: int

    def __post_init__(self) -> None:
        self._check_rates("start", "end")
        self._check_lengths("steps", "flat_steps")
        if self.flat_steps >= self.steps:
            rule = f"a run of {self.steps} steps leaves no room for the cosine"
            fix = "Pass fewer flat steps, usually 3/4 of all"
            raise ValueError(complaint("FlatCosine", rule, fix, flat_steps=self.flat_steps))

    @cached_property
    def expression(self) -> Schedule:
        """The constant and the cosine."""
        falling = Cosine(self.start, self.end, self.steps - self.flat_steps)
        return Constant(self.start, steps=self.flat_steps).then(falling)


@schedule
class OneCycle(Composed):
    """Up from a low rate to a high one, and down to almost nothing.

    From `max_lr / div_factor` to `max_lr` at step `warmup_fraction * steps - 1`, and to
    `max_lr / div_factor / final_div_factor` at the last step, `steps - 1`. With three phases it
    comes down as it went up, and then falls to the last value.

    Args:
        max_lr: The top, at least 0.
        steps: Length of the whole run, at least 2.
        warmup_fraction: Part of the run spent rising, between 0 and 1 (1/2 with three phases).
        div_factor: How much lower the first value is than the top, at least 1.
        final_div_factor: How much lower the last value is than the first, at least 1.
        curve: `"cosine"` or `"linear"`.
        three_phase: Whether to come down to the first value before falling to the last.

    Raises:
        TypeError: If an argument is not of the kind asked for.
        ValueError: If an argument is out of its range, or a phase is shorter than one step.

    Example:
        >>> from keras_lr import schedules
        >>> cycle = schedules.OneCycle(max_lr=1.0, steps=10)
        >>> print(cycle.values([0, 1, 2, 6, 9]).round(3))
        [0.04  0.52  1.    0.389 0.   ]
        >>> print(cycle.momentum().values([0, 1, 2, 6, 9]).round(3))
        [0.95  0.9   0.85  0.911 0.95 ]

    Reference:
        Smith 2018, arXiv 1803.09820; values as `torch.optim.lr_scheduler.OneCycleLR`.
    """

    max_lr: float
    steps: int
    warmup_fraction: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    curve: str = "cosine"
    three_phase: bool = False

    def __post_init__(self) -> None:
        self._check_rates("max_lr")
        self._check_lengths("steps", at_least=2)
        self._check_bools("three_phase")
        fix, half = "Pass a part of the run, such as 0.3", 0.5 if self.three_phase else 1.0
        check_number("OneCycle", fix, above=0.0, below=half, warmup_fraction=self.warmup_fraction)
        factors = {"div_factor": self.div_factor, "final_div_factor": self.final_div_factor}
        check_number("OneCycle", "Pass what to divide by, such as 25", at_least=1.0, **factors)
        check_choice("OneCycle", ("cosine", "linear"), curve=self.curve)
        for name in ("warmup_fraction", "div_factor", "final_div_factor"):
            self._set(name, float(getattr(self, name)))
        if self.warmup_fraction * self.steps <= 1.0:
            rule = f"{self.warmup_fraction:g} of the run is not more than one step"
            raise ValueError(complaint("OneCycle", rule, "Pass more steps", steps=self.steps))

    @cached_property
    def expression(self) -> Schedule:
        """The curve through the first, the top and the last value."""
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        return self._through(first, self.max_lr, last)

    def momentum(self, low: float = 0.85, high: float = 0.95) -> Schedule:
        """Return the momentum that goes with it: low where the learning rate is high.

        Args:
            low: Momentum (or `beta_1`) at the top of the learning rate.
            high: Momentum at the first and the last step.

        Returns:
            A schedule of the same length and curve.

        Raises:
            TypeError: If a value is not a number.
            ValueError: If one is negative or not finite, or `low` is above `high`.
        """
        fix = "Pass two numbers such as 0.85 and 0.95"
        check_number("OneCycle", fix, at_least=0.0, at_most=GREATEST, low=low, high=high)
        check_number("OneCycle", fix, at_least=float(low), high=high)
        return self._through(high, low, high)

    def _through(self, first: float, top: float, last: float) -> Schedule:
        peak = self.warmup_fraction * self.steps - 1
        back = [(2 * peak, first)] if self.three_phase else []
        points = [(0, first), (peak, top), *back, (self.steps - 1, last)]
        knots, learning_rates = zip(*points, strict=True)
        return Interpolated(knots, learning_rates, self.curve)


@schedule
class WSD(Composed):
    """Warm-up, stable, decay: the run can be extended until the cooldown begins.

    The stable value is `max_lr * (1 + t / timescale_steps)^-stable_power`, with `t` the steps since
    the warm-up: a constant, unless a power is given. The cooldown takes it to `min_lr` over the
    last `cooldown_steps`.

    Args:
        max_lr: Value at the end of the warm-up, at least 0.
        steps: Length of the whole run.
        cooldown_steps: Length of the cooldown; a tenth to a fifth of the run is usual.
        warmup_steps: Length of the linear rise from 0.
        min_lr: Value at the end, from 0 to `max_lr`. The stable value never falls below it.
        cooldown: What part of the fall is left at progress `p`: `"linear"`, `1 - p`; `"1-sqrt"`,
            `1 - sqrt(p)`, the best of its paper; `"cosine"`; `"power"`, `1 - p^cooldown_power`; or
            `"exponential"`, which falls to a tenth and is stretched to reach the end.
        cooldown_power: Exponent of the `"power"` cooldown.
        stable_power: 0 for a constant, 0.5 for an inverse square root, or another power.
        timescale_steps: Timescale of a stable phase that falls. Default: `warmup_steps`.

    Raises:
        ValueError: If an argument is out of its range, warm-up and cooldown together are longer
            than the run, or a falling stable phase has no timescale.

    Example:
        >>> from keras_lr import schedules
        >>> trapezoid = schedules.WSD(
        ...     1.0, steps=10, cooldown_steps=4, warmup_steps=2, cooldown="linear"
        ... )
        >>> trapezoid.values(range(11)).tolist()
        [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]

    Reference:
        Hu et al. 2024, arXiv 2404.06395; Haegele et al. 2024, arXiv 2405.18392; Shen et al. 2024,
        arXiv 2408.13359, for the power.
    """

    max_lr: float
    steps: int
    cooldown_steps: int
    warmup_steps: int = 0
    min_lr: float = 0.0
    cooldown: str = "1-sqrt"
    cooldown_power: float = 2.0
    stable_power: float = 0.0
    timescale_steps: int | None = None

    def __post_init__(self) -> None:
        self._check_rates("max_lr", "min_lr", "stable_power")
        self._check_rates("cooldown_power", above=0.0)
        self._check_lengths("steps", "cooldown_steps")
        self._check_lengths("warmup_steps", at_least=0)
        check_number("WSD", "Pass a floor below the top", at_most=self.max_lr, min_lr=self.min_lr)
        curves = ("linear", "1-sqrt", "cosine", "power", "exponential")
        check_choice("WSD", curves, cooldown=self.cooldown)
        if self.warmup_steps + self.cooldown_steps > self.steps:
            rule = f"warm-up and cooldown are longer than the run of {self.steps} steps"
            lengths = {"warmup_steps": self.warmup_steps, "cooldown_steps": self.cooldown_steps}
            raise ValueError(complaint("WSD", rule, "Shorten one of them", **lengths))
        if self.timescale_steps is not None:
            self._check_lengths("timescale_steps")
        elif self.stable_power and not self.warmup_steps:
            rule = "a stable phase that falls needs a timescale, where there is no warm-up to take"
            fix = "Pass the number of steps after which it has fallen by 2^-stable_power"
            raise ValueError(complaint("WSD", rule, fix, timescale_steps=None))

    @cached_property
    def expression(self) -> Schedule:
        """The stable value times the part that is left, plus the part of the floor reached."""
        whole = self._stable * self._cool(1.0, 0.0)
        if self.min_lr > 0.0:
            whole = whole + self._cool(0.0, self.min_lr)
        if self.warmup_steps == 0:
            return whole
        return Linear(0.0, self.max_lr, self.warmup_steps).then(whole)

    @property
    def _stable(self) -> Schedule:
        if self.stable_power == 0.0:
            return Constant(self.max_lr)
        timescale = self.timescale_steps or self.warmup_steps
        falling = InversePower(self.max_lr, timescale, self.stable_power)
        return falling.clip(low=self.min_lr) if self.min_lr > 0.0 else falling

    def _cool(self, start: float, end: float) -> Schedule:
        """Return `start` for the stable phase, then the cooldown curve to `end`."""
        length = self.cooldown_steps
        curves = {
            "linear": Linear(start, end, length),
            "1-sqrt": Polynomial(start, end, length, k=0.5),
            "cosine": Cosine(start, end, length),
            "power": Polynomial(start, end, length, k=self.cooldown_power),
            "exponential": ScaledExponential(start, end, length),
        }
        stable_steps = self.steps - self.warmup_steps - self.cooldown_steps
        curve = curves[self.cooldown]
        return Constant(start, steps=stable_steps).then(curve) if stable_steps else curve
