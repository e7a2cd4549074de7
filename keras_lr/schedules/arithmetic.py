"""Schedules that change the values of others: scale, add to, bound or perturb them."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_lr.errors import GREATEST, check_integer, check_number, complaint
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.decorators import frozen, schedule
from keras_lr.schedules.operators import Modified, Operator, check_schedules, operand
from keras_lr.schedules.steps import LAST_STEP, real


@schedule
class Clip(Modified):
    """A schedule kept between bounds: `schedule.clip(low, high)`."""

    _method = "clip"

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for bound in ("low", "high"):
            if getattr(self, bound) is not None:
                self._check_rates(bound)
        if self.low is not None and self.high is not None and self.low > self.high:
            rule, fix = "low must not be greater than high", "Swap them"
            raise ValueError(complaint(self._owner, rule, fix, low=self.low, high=self.high))

    @property
    def greatest(self) -> float:
        """The higher bound, or that of the schedule."""
        inner = max(self.schedule.greatest, self.low or 0.0)
        return inner if self.high is None else min(inner, self.high)

    def value(self, step: Any) -> Any:
        """Bound the value of the schedule."""
        value = self.schedule(step)
        if self.low is not None:
            value = ops.maximum(value, self.low)
        return value if self.high is None else ops.minimum(value, self.high)

    def __repr__(self) -> str:
        bounds = {"low": self.low, "high": self.high}
        given = ", ".join(f"{name}={value}" for name, value in bounds.items() if value is not None)
        return f"{operand(self.schedule)}.clip({given})"


@schedule
class Mirror(Modified):
    """A schedule turned upside down between bounds: `schedule.mirror(low, high)`."""

    _method = "mirror"

    low: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_rates("low", "high")
        fix = "Pass the lowest and the highest value"
        check_number(self._owner, fix, at_least=self.low, high=self.high)

    def value(self, step: Any) -> Any:
        """Measure from the other bound."""
        return (self.low + self.high) - self.schedule(step)

    def __repr__(self) -> str:
        return f"{operand(self.schedule)}.mirror(low={self.low}, high={self.high})"


@schedule
class Noise(Modified):
    """A schedule with relative noise: `schedule.noise(amount, seed=0)`."""

    _method = "noise"

    amount: float
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "Pass the largest relative change"
        check_number(self._owner, fix, at_least=0.0, at_most=1.0, amount=self.amount)
        check_integer(self._owner, "Pass any integer", seed=self.seed)
        self._set("amount", float(self.amount))
        self._set("seed", int(self.seed))
        check_bound(self._owner, self.greatest, amount=self.amount)

    @property
    def greatest(self) -> float:
        """The bound of the schedule with all of the noise on top."""
        return self.schedule.greatest * (1.0 + self.amount)

    def value(self, step: Any) -> Any:
        """Multiply the value of the schedule by its noise."""
        return self.schedule(step) * (1.0 + self.amount * _uniform(step, self.seed))

    def __repr__(self) -> str:
        seed = "" if self.seed == 0 else f", seed={self.seed}"
        return f"{operand(self.schedule)}.noise({self.amount}{seed})"


@frozen
class _Pair(Operator):
    """A schedule combined at each step with a second one, or with a number."""

    infix = True

    first: Schedule
    second: float | Schedule

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.second, keras.optimizers.schedules.LearningRateSchedule):
            check_schedules(self._owner, second=self.second)
        else:
            self._check_rates("second")
        check_bound(self._owner, self.greatest, first=self.first, second=self.second)

    @property
    def steps(self) -> int | None:
        """The length of the longer one; a number has none."""
        lengths = [part.steps for part in (self.first, self.second) if isinstance(part, Schedule)]
        return None if None in lengths else max(length or 0 for length in lengths)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends of the first schedule or, if it has no cycles, of the second."""
        endless = self.first.steps is None and not self.first.cycle_ends(last)
        if endless and isinstance(self.second, Schedule):
            return self.second.cycle_ends(last)
        return self.first.cycle_ends(last)

    @property
    def _bounds(self) -> tuple[float, float]:
        second = self.second.greatest if isinstance(self.second, Schedule) else self.second
        return self.first.greatest, second

    def _second(self, step: Any) -> Any:
        return self.second(step) if isinstance(self.second, Schedule) else self.second

    def __repr__(self) -> str:
        return f"{operand(self.first)} {self._method} {operand(self.second)}"


@schedule
class Product(_Pair):
    """A schedule scaled by a number or by another schedule: `first * second`."""

    _method = "*"

    @property
    def greatest(self) -> float:
        """The product of the two bounds."""
        first, second = self._bounds
        return first * second if first > 0.0 and second > 0.0 else 0.0

    def value(self, step: Any) -> Any:
        """Multiply the two."""
        return self.first(step) * self._second(step)


@schedule
class Sum(_Pair):
    """A schedule with a number or another schedule added to it: `first + second`."""

    _method = "+"

    @property
    def greatest(self) -> float:
        """The sum of the two bounds."""
        return sum(self._bounds)

    def value(self, step: Any) -> Any:
        """Add the two."""
        return self.first(step) + self._second(step)


def check_bound(owner: str, bound: float, **received: object) -> None:
    """Raise if a combination may lie beyond float32, though none of its parts does.

    Args:
        owner: The operator.
        bound: The bound of the combination; infinity if a part has none, and so is cut off.
        **received: The parts.

    Raises:
        ValueError: If so.
    """
    if GREATEST < bound < math.inf:
        rule = f"the values must not exceed {GREATEST:g}, the largest float32"
        raise ValueError(complaint(owner, rule, "Pass smaller ones", **received))


def _uniform(step: Any, seed: int) -> Any:
    """Hash each step to a number in [-1, 1).

    Four rounds of a Feistel network on the two 16-bit halves of the step. No product exceeds 31
    bits, so nothing overflows and every backend gives the same bits.
    """
    step = ops.cast(step, "int32")
    left = ops.bitwise_and(ops.right_shift(step, 16), 0xFFFF)
    right = ops.bitwise_and(step, 0xFFFF)
    for key in range(4):
        salt = (seed * 0x9E37 + key * 0x79B9 + (seed >> 16) * 0x7F4A + 0x1D) & 0xFFFF
        mixed = ops.bitwise_xor(right, salt) * (0x6255 + 2 * key)
        mixed = ops.bitwise_xor(mixed, ops.right_shift(mixed, 15))
        left, right = right, ops.bitwise_and(ops.bitwise_xor(left, mixed), 0xFFFF)
    return (real(left) + real(right) / 2.0**16) / 2.0**15 - 1.0
