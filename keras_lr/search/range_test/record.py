"""The record of a range test while it runs, and the summary of several."""

import math
from dataclasses import dataclass

import numpy as np

from keras_lr.search.range_test.loss_watch import LossWatch
from keras_lr.search.range_test.settings import RangeTestSettings


@dataclass
class Record:
    """The losses of one repeat of a sweep so far; the lists grow by one a step."""

    watch: LossWatch
    losses: list[float]
    probe_losses: list[float]
    validation_losses: list[float]
    stop_reason: str | None = None

    @classmethod
    def empty(cls, settings: RangeTestSettings, *, noisy: bool) -> "Record":
        """Return the record of a repeat that has not begun."""
        return cls(LossWatch(settings.smoothing, settings.stop_factor, noisy=noisy), [], [], [])


def padded(rows: list[list[float]], length: int) -> np.ndarray:
    """Return rows of different lengths as a table, NaN where one has ended."""
    return np.array([row + [math.nan] * (length - len(row)) for row in rows])


def median(rows: list[list[float]], length: int) -> np.ndarray:
    """Return the median of each column, of the rows that have not ended."""
    if len(rows) == 1:
        return np.array(rows[0], dtype=float)
    table = padded(rows, length)
    seen = ~np.isnan(table).all(axis=0)
    found = np.full(length, math.nan)
    found[seen] = np.nanmedian(table[:, seen], axis=0)
    return found
