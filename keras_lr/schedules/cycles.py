"""Schedules that run in cycles: cosine restarts and triangles."""

from __future__ import annotations

import decimal
import itertools
import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from keras import ops

from keras_lr.errors import check_choice, check_integer, check_number, complaint
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.steps import LAST_STEP, gather, place, real

MAX_CYCLES = 2**16
"""Most growing cycles that a table may hold; equal cycles need none."""


@schedule
class CosineRestarts(Schedule):
    """A cosine that starts again at the end of each cycle (SGDR).

    In cycle `i`, of length `L = first_cycle_steps * cycle_mult^i`, with `t` steps done in it and a
    peak of `max_lr * max_lr_decay^i`, the value is
    `min_lr + (peak - min_lr) * (1 + cos(pi * t / L)) / 2`. A warm-up takes the first steps of every
    cycle, from `min_lr` to the peak in a straight line, and the cosine takes the rest.

    Boundaries are computed once, exactly, as integers. If a cycle ends between two steps (with a
    `cycle_mult` such as 1.5), the next one is already under way by a fraction of a step at its
    first step.

    Args:
        max_lr: First peak, at least `min_lr`.
        first_cycle_steps: Length of the first cycle.
        cycle_mult: Length of each cycle relative to the one before, at least 1. The default, 2, is
            the paper's.
        min_lr: Value at the end of each cycle, at least 0. A peak never falls below it.
        max_lr_decay: Height of each peak relative to the one before, above 0 and at most 1.
        warmup_steps: Steps of warm-up in each cycle, fewer than `first_cycle_steps`.
        cycles: Number of cycles, after which the value stays at `min_lr`. Default: no limit.

    Raises:
        ValueError: If an argument is out of its range, or a `cycle_mult` near 1 gives more than
            65536 cycles.

    Example:
        >>> from keras_lr import schedules
        >>> restarts = schedules.CosineRestarts(1.0, first_cycle_steps=2, cycle_mult=2)
        >>> print(restarts.values(range(8)).round(3))
        [1.    0.5   1.    0.854 0.5   0.146 1.    0.962]
        >>> restarts.cycle_ends(last=100)
        [2, 6, 14, 30, 62]

    Reference:
        Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5.
    """

    max_lr: float
    first_cycle_steps: int
    cycle_mult: float = 2.0
    _: KW_ONLY
    min_lr: float = 0.0
    max_lr_decay: float = 1.0
    warmup_steps: int = 0
    cycles: int | None = None

    def __post_init__(self) -> None:
        owner = type(self).__name__
        self._check_rates("max_lr", "min_lr")
        self._check_lengths("first_cycle_steps")
        self._check_lengths("warmup_steps", at_least=0)
        fix = "Pass max_lr at least as high as min_lr"
        check_number(owner, fix, at_least=self.min_lr, max_lr=self.max_lr)
        fix = "Pass 1 for equal cycles, 2 for cycles that double"
        check_number(owner, fix, at_least=1.0, cycle_mult=self.cycle_mult)
        fix = "Pass 1 for equal peaks, 0.5 for peaks that halve"
        check_number(owner, fix, above=0.0, at_most=1.0, max_lr_decay=self.max_lr_decay)
        if self.warmup_steps >= self.first_cycle_steps:
            rule = f"a cycle of {self.first_cycle_steps} steps has no room for its warm-up"
            fix = "Pass fewer warm-up steps or a longer first cycle"
            raise ValueError(complaint(owner, rule, fix, warmup_steps=self.warmup_steps))
        self._set("cycle_mult", float(self.cycle_mult))
        self._set("max_lr_decay", float(self.max_lr_decay))
        if self.cycles is not None:
            check_integer(owner, "Pass how many cycles there are", at_least=1, cycles=self.cycles)
            self._set("cycles", int(self.cycles))
        self._clock.check(owner)

    @cached_property
    def _clock(self) -> _Clock:
        return _Clock(self.first_cycle_steps, self.cycle_mult, self.cycles)

    @property
    def steps(self) -> int | None:
        """The length of all cycles, None without a limit."""
        return self._clock.end

    @property
    def greatest(self) -> float:
        """The first peak."""
        return self.max_lr

    def value(self, step: Any) -> Any:
        """Read the clock: which cycle, how far into it, how long it is."""
        index, elapsed, length = self._clock.read(step)
        peak = self.max_lr
        if self.max_lr_decay < 1.0:
            peak = ops.maximum(peak * ops.power(self.max_lr_decay, index), self.min_lr)
        falling = ops.maximum(elapsed - self.warmup_steps, 0.0) / (length - self.warmup_steps)
        height = 0.5 + 0.5 * ops.cos(math.pi * falling)
        if self.warmup_steps:
            height = height * ops.minimum(elapsed / float(self.warmup_steps), 1.0)
        return peak * height + self.min_lr * (1.0 - height)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the first steps of the cycles after the first, and the end of the last."""
        return list(itertools.takewhile(lambda end: end <= last, self._clock.ends()))


@schedule
class Triangular(Schedule):
    """A straight line up and one down, repeated forever (cyclical learning rates).

    With `x` rising from 0 to 1 over `up_steps` and falling to 0 over `down_steps`, the value is
    `min_lr + (max_lr - min_lr) * x * scale`. The scale is 1 (`"triangular"`), halves from cycle to
    cycle (`"triangular2"`), or is `gamma^t` at step `t` (`"exp_range"`).

    Args:
        min_lr: Value at the bottom of each triangle, at least 0.
        max_lr: Value at the top of the first triangle, at least `min_lr`.
        up_steps: Steps from bottom to top, the *step size* of the paper: 2 to 10 epochs.
        down_steps: Steps from top to bottom. Default: as many as `up_steps`.
        mode: `"triangular"`, `"triangular2"` or `"exp_range"`.
        gamma: Base of the scale in mode `"exp_range"`, above 0 and at most 1.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from keras_lr import schedules
        >>> schedules.Triangular(0.0, 1.0, up_steps=2, mode="triangular2").values(range(8)).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]

    Reference:
        Smith 2017, arXiv 1506.01186.
    """

    min_lr: float
    max_lr: float
    up_steps: int
    down_steps: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        self._check_rates("min_lr", "max_lr")
        fix = "Pass max_lr at least as high as min_lr"
        check_number("Triangular", fix, at_least=self.min_lr, max_lr=self.max_lr)
        self._check_lengths("up_steps")
        if self.down_steps is not None:
            self._check_lengths("down_steps")
        check_choice("Triangular", ("triangular", "triangular2", "exp_range"), mode=self.mode)
        fix = "Pass a number just below 1, such as 0.99994"
        check_number("Triangular", fix, above=0.0, at_most=1.0, gamma=self.gamma)
        self._set("gamma", float(self.gamma))
        self._clock.check("Triangular")

    @cached_property
    def _clock(self) -> _Clock:
        return _Clock(self.up_steps + (self.down_steps or self.up_steps), 1.0, None)

    @property
    def steps(self) -> None:
        """None: the triangles never end."""

    @property
    def greatest(self) -> float:
        """The first peak."""
        return self.max_lr

    def value(self, step: Any) -> Any:
        """Read the clock, and take the lower of the two lines."""
        index, elapsed, length = self._clock.read(step)
        up = elapsed / float(self.up_steps)
        down = (length - elapsed) / float(self.down_steps or self.up_steps)
        height = ops.minimum(up, down)
        if self.mode == "triangular2":
            height = height * ops.power(0.5, index)
        elif self.mode == "exp_range":
            height = height * ops.exp(math.log(self.gamma) * real(step))
        return self.max_lr * height + self.min_lr * (1.0 - height)

    def momentum(self, low: float = 0.8, high: float = 0.9) -> Schedule:
        """Return the momentum that goes with it: low where the learning rate is high.

        Args:
            low: Momentum (or `beta_1`) at the top of the first triangle.
            high: Momentum at the bottom of each.

        Returns:
            A schedule of the same triangles: `high - (high - low) * x * scale`.

        Reference:
            `torch.optim.lr_scheduler.CyclicLR`, in all three modes.
        """
        return replace(self, min_lr=low, max_lr=high).mirror(low, high)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the steps at which a new triangle begins."""
        return list(itertools.takewhile(lambda end: end <= last, self._clock.ends()))


class _Reading(NamedTuple):
    """What a clock shows: three float32 tensors of the shape of the step."""

    index: Any
    elapsed: Any
    length: Any


class _Cycle(NamedTuple):
    """One growing cycle: its first step, how far into the cycle that step is, and its length."""

    step: int
    over: float
    length: float


class _Clock:
    """Tells which cycle a step is in, how far into it, and how long the cycle is.

    Cycle `i` lasts `first * mult^i` and begins where the one before ends. That point need not be an
    integer, but a step has reached it exactly if it has reached its ceiling, which is one.
    """

    def __init__(self, first: int, mult: float, count: int | None) -> None:
        self.first, self.mult, self.count = first, mult, count

    def check(self, owner: str) -> None:
        """Raise unless the cycles fit into 32-bit steps and into a table."""
        if self.first > LAST_STEP:
            rule = f"a cycle must not be longer than {LAST_STEP} steps"
            raise ValueError(complaint(owner, rule, "Pass shorter lengths", cycle=self.first))
        if self.mult > 1.0 and len(self._growing) > MAX_CYCLES:
            rule = f"more than {MAX_CYCLES} growing cycles do not fit into a table"
            fix = "Pass 1 for equal cycles, or a greater factor"
            raise ValueError(complaint(owner, rule, fix, cycle_mult=self.mult))
        if self.end is not None and self.end > LAST_STEP:
            rule = f"the cycles must not be longer than {LAST_STEP} steps together"
            raise ValueError(complaint(owner, rule, "Pass fewer", cycles=self.count))

    @property
    def end(self) -> int | None:
        """The step at which the last cycle is over, None if there is no last one."""
        if self.count is None:
            return None
        if self.mult == 1.0:
            return self.first * self.count
        return self._growing[self.count].step if self.count < len(self._growing) else LAST_STEP + 1

    def ends(self) -> Iterator[int]:
        """Yield the first step of each cycle after the first, and the end of the last one."""
        if self.mult == 1.0:
            last = LAST_STEP if self.end is None else self.end
            yield from range(self.first, last + 1, self.first)
        else:
            yield from (cycle.step for cycle in self._growing[1:])

    def read(self, step: Any) -> _Reading:
        """Return the cycle's index, the steps done in it and its length, at each step."""
        if self.mult == 1.0:
            index = ops.floor_divide(step, self.first)
            if self.count is not None:
                index = ops.minimum(index, self.count - 1)
            elapsed = real(step - index * self.first)
            length = ops.full_like(step, self.first, dtype="float32")
        else:
            begins, over, lengths = map(list, zip(*self._growing[: self.count], strict=True))
            index = place(step, begins[1:])
            elapsed = real(step - gather(begins, index, step.dtype)) + gather(over, index)
            length = gather(lengths, index)
        return _Reading(real(index), ops.minimum(elapsed, length), length)

    @cached_property
    def _growing(self) -> list[_Cycle]:
        """All cycles that begin at a valid step, followed by one that never runs."""
        cycles: list[_Cycle] = []
        most = MAX_CYCLES if self.count is None else min(self.count, MAX_CYCLES)
        with decimal.localcontext(prec=40):  # doubles would drift off the boundaries near 2^31
            begin, length, mult = Decimal(0), Decimal(self.first), Decimal(repr(self.mult))
            while begin <= LAST_STEP and len(cycles) <= most:
                step = math.ceil(round(begin, 6))  # 3 * 1.6666666666666667 is meant to be 5
                cycles.append(_Cycle(step, float(step - begin), float(length)))
                begin, length = begin + length, length * mult
        return cycles
