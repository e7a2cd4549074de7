"""The way of a learning rate down to zero, and the time there is for it: plain numbers."""

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any, Literal

from keras_lr._keras.workers import agreed
from keras_lr.errors import check_number, complaint

OWNER = "Cooldown"  # the public name, for messages
Shape = Literal["linear", "1-sqrt"]
SHAPES: tuple[Shape, ...] = ("linear", "1-sqrt")
_SECONDS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_MARGIN = 1.05  # steps may come slower than they did
_RECENT = 5  # batches whose median tells that they do


def factor(shape: Shape, progress: float) -> float:
    """Return what the learning rate is multiplied by, 1 at progress 0 and 0 at progress 1."""
    return 1.0 - (math.sqrt(progress) if shape == "1-sqrt" else progress)


def seconds_of(within: Any) -> float:
    """Return a time limit in seconds, given as a number or such as `"2h"`, `"1h30m"`, `"45s"`.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is not above 0, or not of this form.
    """
    fix = 'Pass seconds, or "2h", "1h30m", "45s"'
    if not isinstance(within, str):
        check_number(OWNER, fix, above=0.0, within=within)
        return float(within)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(h|min|m|s)\s*", within)
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not re.fullmatch(r"\s*(\d+(\.\d+)?\s*(h|min|m|s)\s*)+", within) or total <= 0:
        raise ValueError(complaint(OWNER, "within must be a length of time", fix, within=within))
    return total


@dataclass
class Descent:
    """How far a cooldown has come, in updates.

    Args:
        left: Updates that are left.
        begin: The progress at which the present stretch begins, 0 unless it has been shortened.
        done: Updates made in the present stretch.
    """

    left: int
    begin: float = 0.0
    done: int = 0

    @property
    def progress(self) -> float:
        """From 0, the first update, to 1, when nothing is left."""
        return self.begin + (1.0 - self.begin) * self.done / max(self.done + self.left, 1)

    def advance(self, updates: int = 1) -> None:
        """Count updates."""
        updates = min(updates, self.left)
        self.done, self.left = self.done + updates, self.left - updates

    def shorten(self, left: int) -> None:
        """Leave no more updates than these, at least one, for the same way down."""
        self.change(min(max(left, 1), self.left))

    def change(self, left: int) -> None:
        """Leave this many updates for the same way down."""
        if left != self.left:
            self.begin, self.done, self.left = self.progress, 0, left

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers."""
        return {"left": self.left, "begin": self.begin, "done": self.done}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Descent":
        """Make it again from `to_dict()`."""
        return cls(int(state["left"]), float(state["begin"]), int(state["done"]))


class Pace:
    """How long updates take, measured from batch to batch, and what is left of a limit.

    Args:
        limit: Seconds from now on.
        accumulation: Batches per update.

    Attributes:
        accumulation: As above; that of the present optimizer.
    """

    def __init__(self, limit: float, accumulation: int) -> None:
        self._deadline = monotonic() + limit
        self.accumulation = accumulation
        self._last: tuple[int, float] | None = None
        self._time, self._batches = 0.0, 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._calls = 0
        self._between = 0.0
        self._epoch_end: float | None = None

    def begin_batch(self, batch: int) -> None:
        """Note that a batch of an epoch begins.

        The first execution is not counted, as it compiles the step.
        """
        now = monotonic()
        if batch == 0 and self._epoch_end is not None:
            self._between = max(self._between, now - self._epoch_end)
        if batch > 0 and self._last is not None:
            self._calls += 1
            if self._calls > 1:
                made, took = batch - self._last[0], now - self._last[1]
                self._batches, self._time = self._batches + made, self._time + took
                self._recent.append(took / made)
        self._last, self._epoch_end = (batch, now), None

    def end_batch(self) -> None:
        """Note that one has ended, perhaps the last of its epoch."""
        self._epoch_end = monotonic()

    def affordable(self, epoch_ends: int = 1) -> int | None:
        """Return how many updates can be made in time; None before any has been measured.

        Args:
            epoch_ends: How many epochs end meanwhile, the last one included.
        """
        own = self._affordable(epoch_ends)
        shared = agreed(math.nan if own is None else own)
        return None if math.isnan(shared) else int(shared)

    def _affordable(self, epoch_ends: int) -> int | None:
        """Return it by this process' clock."""
        left = self._deadline - monotonic()
        if left <= 0 or not self._batches:
            return 0 if left <= 0 else None
        batch = max(self._time / self._batches, median(self._recent), 1e-9)
        update = batch * self.accumulation
        left -= epoch_ends * self._between
        return max(0, int(left / (update * _MARGIN)))
