"""Schedules given by numbers: constant pieces, curves through knots, lists."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from keras import ops

from keras_lr.errors import (
    GREATEST,
    SMALLEST,
    check_choice,
    check_integer,
    check_number,
    complaining_as,
    complaint,
)
from keras_lr.schedules.base import Composed, Schedule
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.steps import LAST_STEP, gather, place, real


@schedule
class PiecewiseConstant(Schedule):
    """A constant value from each boundary to the next.

    The value changes *at* a boundary: step `boundaries[0]` is the first with `learning_rates[1]`.

    Args:
        boundaries: Steps at which the value changes, positive and rising.
        learning_rates: The values, at least 0, one more than there are boundaries.

    Raises:
        ValueError: If the boundaries do not rise, a value is negative or not finite, or there is
            not exactly one value more than there are boundaries.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.PiecewiseConstant((2, 3), (1.0, 0.5, 0.25)).values(range(5)).tolist()
        [1.0, 1.0, 0.5, 0.25, 0.25]
    """

    boundaries: Sequence[int]
    learning_rates: Sequence[float]

    def __post_init__(self) -> None:
        owner = "PiecewiseConstant"
        self._set("learning_rates", _rates(owner, self.learning_rates))
        fix = "Pass the steps at which the value changes"
        for boundary in _listed(owner, "boundaries", self.boundaries):
            check_integer(owner, fix, at_least=1, boundaries=boundary)
        self._set("boundaries", tuple(map(int, self.boundaries)))
        _check_rising(owner, boundaries=self.boundaries)
        if len(self.learning_rates) != len(self.boundaries) + 1:
            rule = f"{len(self.boundaries)} boundaries need one more learning rate than that"
            fix = "Pass a value before the first boundary and one after each"
            raise ValueError(complaint(owner, rule, fix, learning_rates=self.learning_rates))

    @property
    def steps(self) -> int:
        """The last boundary."""
        return self.boundaries[-1] if self.boundaries else 0

    @property
    def greatest(self) -> float:
        """The highest of the values."""
        return max(self.learning_rates)

    def value(self, step: Any) -> Any:
        """Look up the value after the last boundary passed."""
        return gather(self.learning_rates, place(step, self.boundaries))


@schedule
class MultiStep(Composed):
    """Multiply by `factor` at each boundary.

    Args:
        start: Value at step 0, at least 0.
        boundaries: Steps at which the value is multiplied, positive and rising.
        factor: What it is multiplied by, above 0.

    Raises:
        ValueError: If the boundaries do not rise, or a number is out of its range.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.MultiStep(1.0, boundaries=(2, 3), factor=0.5).values(range(5)).tolist()
        [1.0, 1.0, 0.5, 0.25, 0.25]
    """

    start: float
    boundaries: Sequence[int]
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._check_rates("start")
        self._check_rates("factor", above=0.0)
        with complaining_as("MultiStep", "PiecewiseConstant"):
            self._set("boundaries", self.expression.boundaries)  # checked there

    @cached_property
    def expression(self) -> PiecewiseConstant:
        """The constants between the boundaries."""
        boundaries = _listed("MultiStep", "boundaries", self.boundaries)
        rates = itertools.accumulate(
            boundaries, lambda rate, _: rate * self.factor, initial=self.start
        )
        return PiecewiseConstant(boundaries, list(rates))

    @property
    def steps(self) -> int:
        """The last boundary."""
        return self.expression.steps


@schedule
class Interpolated(Schedule):
    """A curve through knots: straight lines or half cosines from each to the next.

    Args:
        knots: Positions in steps, rising, the first at 0. They may lie between two steps.
        learning_rates: The values at the knots, at least 0.
        curve: `"linear"` or `"cosine"`.

    Raises:
        ValueError: If the knots do not rise from 0, a value is negative or not finite, or there are
            not as many values as knots.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.Interpolated((0, 2, 6), (0.0, 1.0, 0.5)).values(range(8)).tolist()
        [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """

    knots: Sequence[float]
    learning_rates: Sequence[float]
    curve: str = "linear"

    def __post_init__(self) -> None:
        owner = "Interpolated"
        self._set("knots", _listed(owner, "knots", self.knots))
        self._set("learning_rates", _rates(owner, self.learning_rates))
        check_choice(owner, ("linear", "cosine"), curve=self.curve)
        _check_rising(owner, knots=self.knots)
        self._set("knots", tuple(map(_plain, self.knots)))
        if len(self.knots) < 2 or self.knots[0] != 0:
            rule, fix = "there must be two knots or more, the first at 0", "Begin with 0"
            raise ValueError(complaint(owner, rule, fix, knots=self.knots))
        if len(self.learning_rates) != len(self.knots):
            rule, fix = f"{len(self.knots)} knots need as many learning rates", "Pass one for each"
            raise ValueError(complaint(owner, rule, fix, learning_rates=self.learning_rates))

    @property
    def steps(self) -> int:
        """The first step at or after the last knot."""
        return math.ceil(self.knots[-1])

    @property
    def greatest(self) -> float:
        """The highest of the values."""
        return max(self.learning_rates)

    def value(self, step: Any) -> Any:
        """Find the knots on both sides and interpolate between them."""
        whole = [math.ceil(knot) for knot in self.knots]
        over = [step - knot for step, knot in zip(whole, self.knots, strict=True)]
        pairs = zip(self.knots, self.knots[1:], strict=False)
        spans = [max(right - left, SMALLEST) for left, right in pairs]  # 0 / 0 is no number
        index = place(step, whole[1:])
        elapsed = real(step - gather(whole, index, step.dtype)) + gather(over, index)
        done = ops.minimum(elapsed / gather([*spans, 1.0], index), 1.0)
        if self.curve == "cosine":
            done = 0.5 - 0.5 * ops.cos(math.pi * done)
        beyond = [*self.learning_rates[1:], self.learning_rates[-1]]
        return gather(self.learning_rates, index) * (1.0 - done) + gather(beyond, index) * done


@schedule
class Table(Schedule):
    """One value for every step, or for every epoch: what any Python function gives.

    Args:
        learning_rates: The values, at least 0. The last one is kept.
        every_steps: How many steps each value lasts. The default, 1, is a value per step.

    Raises:
        ValueError: If there is no value, one is negative or not finite, or the length not positive.

    Example:
        >>> from keras_lr import schedules
        >>> halve_late = lambda epoch: 1.0 if epoch < 2 else 0.5
        >>> per_epoch = schedules.Table([halve_late(epoch) for epoch in range(3)], every_steps=2)
        >>> per_epoch.values(range(6)).tolist()
        [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """

    learning_rates: Sequence[float]
    every_steps: int = 1

    def __post_init__(self) -> None:
        self._set("learning_rates", _rates("Table", self.learning_rates))
        self._check_lengths("every_steps")

    @property
    def steps(self) -> int:
        """The number of steps that all values last."""
        return len(self.learning_rates) * self.every_steps

    @property
    def greatest(self) -> float:
        """The highest of the values."""
        return max(self.learning_rates)

    def value(self, step: Any) -> Any:
        """Look up the value."""
        index = ops.minimum(ops.floor_divide(step, self.every_steps), len(self.learning_rates) - 1)
        return gather(self.learning_rates, ops.cast(index, "int32"))


def _rates(owner: str, learning_rates: Sequence[float]) -> tuple[float, ...]:
    rates = _listed(owner, "learning_rates", learning_rates)
    if not rates:
        rule, fix = "there must be at least one learning rate", "Pass a sequence of numbers"
        raise ValueError(complaint(owner, rule, fix, learning_rates=learning_rates))
    for rate in rates:
        fix = "Pass learning rates"
        check_number(owner, fix, at_least=0.0, at_most=GREATEST, learning_rates=rate)
    return tuple(float(rate) for rate in rates)


def _listed(owner: str, name: str, values: Any) -> tuple[Any, ...]:
    """Return what was given as a tuple, or raise unless it is several values in order."""
    if not isinstance(values, Sequence | np.ndarray) or np.ndim(values) != 1:
        fix = "Pass a list, a tuple or an array of numbers"
        raise TypeError(complaint(owner, f"{name} must be a sequence", fix, **{name: values}))
    return tuple(values)


def _plain(number: Any) -> int | float:
    return int(number) if isinstance(number, Integral) else float(number)


def _check_rising(owner: str, **positions: Sequence[float]) -> None:
    for name, rising in positions.items():
        for position in rising:
            check_number(owner, "Pass steps", at_least=0, at_most=LAST_STEP, **{name: position})
        if list(rising) != sorted(set(rising)):
            rule, fix = f"{name} must rise", "Sort them and leave no two equal"
            raise ValueError(complaint(owner, rule, fix, **{name: rising}))
