"""Schedules that rearrange others in time. Users reach them through the methods of `Schedule`."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_lr.errors import check_integer, complaint
from keras_lr.schedules.base import Schedule
from keras_lr.schedules.decorators import frozen, schedule
from keras_lr.schedules.steps import LAST_STEP, progress


@frozen
class Operator(Schedule):
    """A schedule made of others, which are fields of it."""

    def __post_init__(self) -> None:
        """Raise a TypeError unless the fields that are to be schedules are."""
        declared: Any = self
        wanted = [field.name for field in dataclasses.fields(declared) if field.type == "Schedule"]
        check_schedules(self._owner, **{name: getattr(self, name) for name in wanted})


@schedule
class Then(Operator):
    """One schedule, then another: `first.then(second)`."""

    _method = "then"

    first: Schedule
    second: Schedule
    after: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.after is not None:
            self._check_lengths("after", at_least=0)
        elif self.first.steps is None:
            rule = "an endless schedule has no end to go on from"
            fix = "Say where: first.then(second, after=1000)"
            raise ValueError(complaint(self._owner, rule, fix, first=self.first))
        check_end(self._owner, self._join)

    @property
    def _join(self) -> int:
        return self.after if self.after is not None else self.first.steps or 0

    @property
    def steps(self) -> int | None:
        """The length of both together."""
        return None if self.second.steps is None else self._join + self.second.steps

    @property
    def greatest(self) -> float:
        """The higher one of the two bounds."""
        return max(self.first.greatest, self.second.greatest)

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
        return f"{operand(self.first)}.then({self.second!r}{after})"


@schedule
class Warmup(Operator):
    """A linear rise before a schedule: `schedule.warmup(warmup_steps)`."""

    _method = "warmup"

    schedule: Schedule
    warmup_steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_lengths("warmup_steps")
        self._check_rates("start")
        if self.schedule.steps is not None and self.warmup_steps > self.schedule.steps:
            rule = f"the warm-up is longer than the schedule of {self.schedule.steps} steps"
            fix = "Pass fewer steps, or write Linear(...).then(schedule) if this is meant"
            raise ValueError(complaint(self._owner, rule, fix, warmup_steps=self.warmup_steps))
        check_end(self._owner, self.steps)

    @property
    def steps(self) -> int | None:
        """The length with the warm-up."""
        inner = self.schedule.steps
        return None if inner is None else self.warmup_steps + inner

    @property
    def greatest(self) -> float:
        """The start, or the bound of the schedule."""
        return max(self.schedule.greatest, self.start)

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
        return f"{operand(self.schedule)}.warmup({self.warmup_steps}{start})"


@schedule
class Repeat(Operator):
    """A schedule run several times, or forever: `schedule.repeat(times)`."""

    _method = "repeat"

    schedule: Schedule
    times: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.schedule.steps:
            rule = "only a finite schedule can be repeated"
            fix = "Cut it: schedule.then(other, after=n)"
            raise ValueError(complaint(self._owner, rule, fix, schedule=self.schedule))
        if self.times is not None:
            fix = "Pass how often it runs in all"
            check_integer(self._owner, fix, at_least=1, times=self.times)
            self._set("times", int(self.times))
        check_end(self._owner, self.steps)

    @property
    def steps(self) -> int | None:
        """The length of all repetitions."""
        return None if self.times is None else self._cycle * self.times

    @property
    def _cycle(self) -> int:
        return self.schedule.steps or 0

    @property
    def greatest(self) -> float:
        """The bound of the schedule."""
        return self.schedule.greatest

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
        return f"{operand(self.schedule)}.repeat({times})"


@schedule
class Skip(Operator):
    """A schedule without its first steps: `schedule.skip(skipped_steps)`."""

    _method = "skip"

    schedule: Schedule
    skipped_steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_lengths("skipped_steps", at_least=0)
        if self.schedule.steps is not None and self.skipped_steps >= self.schedule.steps:
            rule = f"nothing is left of a schedule of {self.schedule.steps} steps"
            raise ValueError(
                complaint(self._owner, rule, "Skip fewer steps", skipped_steps=self.skipped_steps)
            )

    @property
    def steps(self) -> int | None:
        """The length of the rest."""
        inner = self.schedule.steps
        return None if inner is None else inner - self.skipped_steps

    @property
    def greatest(self) -> float:
        """The bound of the schedule."""
        return self.schedule.greatest

    def value(self, step: Any) -> Any:
        """Read the schedule further on."""
        step = ops.minimum(step, LAST_STEP - self.skipped_steps)  # int32 must not overflow
        return self.schedule(step + self.skipped_steps)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends that are left."""
        ends = self.schedule.cycle_ends(min(LAST_STEP, last + self.skipped_steps))
        return [end - self.skipped_steps for end in ends if end > self.skipped_steps]

    def __repr__(self) -> str:
        return f"{operand(self.schedule)}.skip({self.skipped_steps})"


@frozen
class Modified(Operator):
    """A schedule that changes another's values and, by default, keeps its length and cycles."""

    schedule: Schedule

    @property
    def steps(self) -> int | None:
        """The length of the schedule."""
        return self.schedule.steps

    @property
    def greatest(self) -> float:
        """The bound of the schedule."""
        return self.schedule.greatest

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the ends of the schedule."""
        return self.schedule.cycle_ends(last)


@schedule
class Staircase(Modified):
    """A schedule whose value changes only every few steps: `schedule.staircase(every_steps)`."""

    _method = "staircase"

    every_steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_lengths("every_steps")
        check_end(self._owner, self.steps)

    @property
    def steps(self) -> int | None:
        """The first step of the stair that holds the last value."""
        inner = self.schedule.steps
        return None if inner is None else self._stair_after(inner)

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return, for each end, the first step of the first stair that begins at or after it."""
        ends = map(self._stair_after, self.schedule.cycle_ends(last))
        return sorted({end for end in ends if end <= last})

    def _stair_after(self, step: int) -> int:
        return -(-step // self.every_steps) * self.every_steps

    def value(self, step: Any) -> Any:
        """Read the schedule where the stair began."""
        return self.schedule(step - ops.mod(step, self.every_steps))

    def __repr__(self) -> str:
        return f"{operand(self.schedule)}.staircase({self.every_steps})"


def operand(part: object) -> str:
    """Print `part` so that a method call or an operator binds to all of it."""
    return f"({part!r})" if isinstance(part, Schedule) and part.infix else repr(part)


def check_schedules(owner: str, **parts: object) -> None:
    """Raise a TypeError unless all parts are schedules."""
    for name, part in parts.items():
        if not isinstance(part, Schedule):
            fix = "Wrap a function as schedules.FromCallable(function)"
            raise TypeError(complaint(owner, f"{name} must be a schedule", fix, **{name: part}))


def check_end(owner: str, end: int | None) -> None:
    """Raise a ValueError if a schedule would end after `LAST_STEP`."""
    if end is not None and end > LAST_STEP:
        rule = f"the whole must not be longer than {LAST_STEP} steps"
        raise ValueError(complaint(owner, rule, "Pass shorter lengths", steps=end))
