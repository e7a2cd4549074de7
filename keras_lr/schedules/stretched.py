"""`Stretch`: a schedule read faster or slower, to have another length."""

from __future__ import annotations

from typing import Any

from keras_lr.errors import complaint
from keras_lr.schedules.decorators import schedule
from keras_lr.schedules.operators import Modified, operand
from keras_lr.schedules.steps import LAST_STEP, real


@schedule
class Stretch(Modified):
    """A schedule that takes another number of steps to its end: `schedule.stretch(steps)`."""

    _method = "stretch"

    length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_lengths("length")
        if self.schedule.steps is None:
            rule, fix = "an endless schedule has no length to change", "Pass one that ends"
            raise ValueError(complaint(self._owner, rule, fix, schedule=self.schedule))

    @property
    def steps(self) -> int | None:
        """The new length."""
        return self.length

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return, for each end, the first step at or after it."""
        inner = self.schedule.steps or 1
        ends = self.schedule.cycle_ends(inner)
        return [end for end in (-(-each * self.length // inner) for each in ends) if end <= last]

    def value(self, step: Any) -> Any:
        """Read the schedule at the same share of its length."""
        return self.schedule(real(step) * ((self.schedule.steps or 1) / self.length))

    def __repr__(self) -> str:
        return f"{operand(self.schedule)}.stretch({self.length})"
