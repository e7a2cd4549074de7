"""Schedules made of schedules. Users reach these through the methods of `Schedule`."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_lr._checks import check_integer, check_number, complaint
from keras_lr.schedules.base import LAST_STEP, Schedule, progress, real, schedule


@schedule
class Then(Schedule):
    """One schedule, then another: `first.then(second)`."""

    first: Schedule
    second: Schedule
    after: int | None = None

    def __post_init__(self) -> None:
        _check_schedules("then", first=self.first, second=self.second)
        if self.after is not None:
            self._check_lengths("after", at_least=0)
        elif self.first.steps is None:
            rule = "an endless schedule has no end to go on from"
            fix = "Say where: first.then(second, after=1000)"
            raise ValueError(complaint("then", rule, fix, first=self.first))
        _check_end("then", self._join)

    @property
    def _join(self) -> int:
        return self.first.steps or 0 if self.after is None else self.after

    @property
    def steps(self) -> int | None:
        """The length of both together."""
        return None if self.second.steps is None else self._join + self.second.steps

    def value(self, step: Any) -> Any:
        """Read the first before the join and the second from there on."""
        join = self._join
        return ops.where(step < join, self.first(step), self.second(step - join))

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends within the first, then those of the second."""
        join = self._join
        return [
            *self.first.cycle_ends(min(join, last)),
            *(join + end for end in self.second.cycle_ends(last - join)),
        ]

    def __repr__(self) -> str:
        after = "" if self.after is None else f", after={self.after}"
        return f"{_operand(self.first)}.then({self.second!r}{after})"


@schedule
class Warmup(Schedule):
    """A linear rise before a schedule: `schedule.warmup(warmup_steps)`."""

    schedule: Schedule
    warmup_steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        _check_schedules("warmup", schedule=self.schedule)
        self._check_lengths("warmup_steps")
        self._check_rates("start")
        if self.schedule.steps is not None and self.warmup_steps > self.schedule.steps:
            rule = f"the warm-up is longer than the schedule of {self.schedule.steps} steps"
            fix = "Pass fewer steps, or write Linear(...).then(schedule) if this is meant"
            raise ValueError(complaint("warmup", rule, fix, warmup_steps=self.warmup_steps))
        _check_end("warmup", self.steps)

    @property
    def steps(self) -> int | None:
        """The length with the warm-up."""
        inner = self.schedule.steps
        return None if inner is None else self.warmup_steps + inner

    def value(self, step: Any) -> Any:
        """Blend from the start to the schedule, which waits at its step 0 during the rise."""
        risen = progress(step, self.warmup_steps)
        return self.schedule(step - self.warmup_steps) * risen + self.start * (1.0 - risen)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends of the schedule, moved by the warm-up."""
        shift = self.warmup_steps
        return [shift + end for end in self.schedule.cycle_ends(last - shift)]

    def __repr__(self) -> str:
        start = "" if self.start == 0.0 else f", start={self.start}"
        return f"{_operand(self.schedule)}.warmup({self.warmup_steps}{start})"


@schedule
class Repeat(Schedule):
    """A schedule again and again: `schedule.repeat(times)`."""

    schedule: Schedule
    times: int | None = None

    def __post_init__(self) -> None:
        _check_schedules("repeat", schedule=self.schedule)
        if not self.schedule.steps:
            rule, fix = (
                "only a finite schedule can be repeated",
                "Cut it: schedule.then(other, after=n)",
            )
            raise ValueError(complaint("repeat", rule, fix, schedule=self.schedule))
        if self.times is not None:
            check_integer("repeat", "Pass how often it runs in all", at_least=1, times=self.times)
            self._set("times", int(self.times))
        _check_end("repeat", self.steps)

    @property
    def steps(self) -> int | None:
        """The length of all repetitions."""
        return None if self.times is None else self._cycle * self.times

    @property
    def _cycle(self) -> int:
        return self.schedule.steps or 0

    def value(self, step: Any) -> Any:
        """Read the schedule at the step within the repetition."""
        position = ops.mod(step, self._cycle)
        if self.steps is not None:  # a Python number: the trace does not depend on the step
            position = ops.where(step < self.steps, position, self._cycle)
        return self.schedule(position)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends within each repetition."""
        until = last if self.steps is None else min(last, self.steps)
        return [
            start + end
            for start in range(0, until, self._cycle)
            for end in self.schedule.cycle_ends(min(self._cycle, until - start))
        ]

    def __repr__(self) -> str:
        times = "" if self.times is None else self.times
        return f"{_operand(self.schedule)}.repeat({times})"


@schedule
class Skip(Schedule):
    """A schedule without its first steps: `schedule.skip(skipped_steps)`."""

    schedule: Schedule
    skipped_steps: int

    def __post_init__(self) -> None:
        _check_schedules("skip", schedule=self.schedule)
        self._check_lengths("skipped_steps", at_least=0)
        if self.schedule.steps is not None and self.skipped_steps >= self.schedule.steps:
            rule = f"nothing is left of a schedule of {self.schedule.steps} steps"
            raise ValueError(
                complaint("skip", rule, "Skip fewer steps", skipped_steps=self.skipped_steps)
            )

    @property
    def steps(self) -> int | None:
        """The length of the rest."""
        inner = self.schedule.steps
        return None if inner is None else inner - self.skipped_steps

    def value(self, step: Any) -> Any:
        """Read the schedule further on."""
        before_the_last = ops.minimum(
            step, LAST_STEP - self.skipped_steps
        )  # int32 must not overflow
        return self.schedule(before_the_last + self.skipped_steps)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends that are left."""
        ends = self.schedule.cycle_ends(min(LAST_STEP, last + self.skipped_steps))
        return [end - self.skipped_steps for end in ends if end > self.skipped_steps]

    def __repr__(self) -> str:
        return f"{_operand(self.schedule)}.skip({self.skipped_steps})"


class _Modified(Schedule):
    """What keeps the length and the cycles of the schedule it changes."""

    schedule: Schedule

    @property
    def steps(self) -> int | None:
        """The length of the schedule."""
        return self.schedule.steps

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends of the schedule."""
        return self.schedule.cycle_ends(last)


@schedule
class Staircase(_Modified):
    """A schedule that changes only now and then: `schedule.staircase(every_steps)`."""

    schedule: Schedule
    every_steps: int

    def __post_init__(self) -> None:
        _check_schedules("staircase", schedule=self.schedule)
        self._check_lengths("every_steps")

    def value(self, step: Any) -> Any:
        """Read the schedule where the stair began."""
        return self.schedule(step - ops.mod(step, self.every_steps))

    def __repr__(self) -> str:
        return f"{_operand(self.schedule)}.staircase({self.every_steps})"


@schedule
class Clip(_Modified):
    """A schedule between bounds: `schedule.clip(low, high)`."""

    schedule: Schedule
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _check_schedules("clip", schedule=self.schedule)
        for bound in ("low", "high"):
            if getattr(self, bound) is not None:
                self._check_rates(bound)
        if self.low is not None and self.high is not None and self.low > self.high:
            rule, fix = "low must not be greater than high", "Swap them"
            raise ValueError(complaint("clip", rule, fix, low=self.low, high=self.high))

    def value(self, step: Any) -> Any:
        """Bound the value of the schedule."""
        value = self.schedule(step)
        if self.low is not None:
            value = ops.maximum(value, self.low)
        return value if self.high is None else ops.minimum(value, self.high)

    def __repr__(self) -> str:
        bounds = {"low": self.low, "high": self.high}
        given = ", ".join(f"{name}={value}" for name, value in bounds.items() if value is not None)
        return f"{_operand(self.schedule)}.clip({given})"


@schedule
class Noise(_Modified):
    """A schedule with relative noise: `schedule.noise(amount, seed=0)`."""

    schedule: Schedule
    amount: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check_schedules("noise", schedule=self.schedule)
        fix = "Pass the largest relative change"
        check_number("noise", fix, at_least=0.0, at_most=1.0, amount=self.amount)
        check_integer("noise", "Pass any integer", seed=self.seed)
        self._set("amount", float(self.amount))
        self._set("seed", int(self.seed))

    def value(self, step: Any) -> Any:
        """Multiply the value of the schedule by its noise."""
        return self.schedule(step) * (1.0 + self.amount * _uniform(step, self.seed))

    def __repr__(self) -> str:
        seed = "" if self.seed == 0 else f", seed={self.seed}"
        return f"{_operand(self.schedule)}.noise({self.amount}{seed})"


class _Pair(Schedule):
    """A schedule combined at each step with a second one, or with a number."""

    first: Schedule
    second: float | Schedule
    _sign = ""

    def __post_init__(self) -> None:
        _check_schedules(self._sign, first=self.first)
        if not isinstance(self.second, Schedule):
            fix = "Pass a number that is not negative, or a schedule"
            check_number(self._sign, fix, at_least=0.0, second=self.second)
            self._set("second", float(self.second))

    @property
    def steps(self) -> int | None:
        """The length of the longer one; a number has none."""
        lengths = [part.steps for part in (self.first, self.second) if isinstance(part, Schedule)]
        return None if None in lengths else max(length or 0 for length in lengths)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends of the first schedule."""
        return self.first.cycle_ends(last)

    def _second(self, step: Any) -> Any:
        return self.second(step) if isinstance(self.second, Schedule) else self.second

    def __repr__(self) -> str:
        return f"{_operand(self.first)} {self._sign} {_operand(self.second)}"


@schedule
class Product(_Pair):
    """A schedule scaled by a number or by another schedule: `first * second`."""

    first: Schedule
    second: float | Schedule
    _sign = "*"

    def value(self, step: Any) -> Any:
        """Multiply the two."""
        return self.first(step) * self._second(step)


@schedule
class Sum(_Pair):
    """A schedule raised by a number or by another schedule: `first + second`."""

    first: Schedule
    second: float | Schedule
    _sign = "+"

    def value(self, step: Any) -> Any:
        """Add the two."""
        return self.first(step) + self._second(step)


def _operand(part: object) -> str:
    """Print `part` so that a method call or an operator binds to all of it."""
    return f"({part!r})" if isinstance(part, _Pair) else repr(part)


def _check_schedules(owner: str, **parts: object) -> None:
    for name, part in parts.items():
        if not isinstance(part, Schedule):
            fix = "Wrap a function as schedules.FromCallable(function)"
            raise TypeError(complaint(owner, f"{name} must be a schedule", fix, **{name: part}))


def _check_end(owner: str, end: int | None) -> None:
    if end is not None and end > LAST_STEP:
        rule = f"the whole must not be longer than {LAST_STEP} steps"
        raise ValueError(complaint(owner, rule, "Pass shorter lengths", steps=end))


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
