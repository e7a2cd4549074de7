"""The picture of a range test, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lr.errors import complaint
from keras_lr.search.range_test.curve import Floats, capped, finite_steps, smooth

if TYPE_CHECKING:
    from keras_lr.search.range_test.result import RangeTestResult


@dataclass(frozen=True)
class Mark:
    """A suggestion and the point of the smoothed line where it lies."""

    rule: str
    learning_rate: float
    loss: float


@dataclass(frozen=True)
class RangeTestPicture:
    """What `plot_range_test` draws.

    Attributes:
        learning_rates: float64[m], up to where the losses have risen off the picture.
        smoothed: float64[m], the line without lag that the rules read.
        limits: The lowest and the highest loss worth showing.
        marks: The suggestions, from the smallest learning rate to the largest.
        note: What to say where there is no suggestion at all, else empty.
        steps: Learning rate and loss of every step, float64[n] each.
        repeated: Whether the losses are medians of repeats.
        spread: float64[2, n], the quartiles, or None.
        probe_losses: float64[n], or None.
        validation_losses: float64[n], NaN where there is none, or None.
    """

    learning_rates: Floats
    smoothed: Floats
    limits: tuple[float, float]
    marks: tuple[Mark, ...]
    note: str
    steps: tuple[Floats, Floats]
    repeated: bool
    spread: Floats | None
    probe_losses: Floats | None
    validation_losses: Floats | None


def picture_of(result: "RangeTestResult", rules: Sequence[str] | None) -> RangeTestPicture:
    """Return the smoothed line, the limits that leave the diverged part out, and the marks."""
    end = finite_steps(result.observed_losses)
    if end == 0:
        rule = "a record needs a finite loss to be drawn"
        raise ValueError(complaint("plot_range_test", rule, "Repeat the range test", result=result))
    rates, losses = result.learning_rates[:end], result.observed_losses[:end]
    suggestions = result.suggestions()
    if suggestions:
        losses = capped(losses)
        smoothed = smooth(rates, losses)
        lowest = int(smoothed.argmin())
        limits = float(losses[: lowest + 1].min()), float(losses[: lowest + 1].max())
        above = np.flatnonzero(smoothed[lowest:] > limits[1])
        stop = lowest + int(above[0]) + 1 if above.size else end
    else:  # no descent to go by, so that only the extremes are left out
        limits = float(losses.min()), float(np.quantile(losses, 0.9))
        smoothed, stop = smooth(rates, np.minimum(losses, limits[1])), end
    marks = [
        Mark(rule, rate, float(np.interp(np.log(rate), np.log(rates), smoothed)))
        for rule, rate in suggestions.items()
        if rules is None or rule in rules
    ]
    repeated = result.repeat_losses is not None and len(result.repeat_losses) > 1
    return RangeTestPicture(
        learning_rates=rates[:stop],
        smoothed=smoothed[:stop],
        limits=limits,
        marks=tuple(sorted(marks, key=lambda mark: mark.learning_rate)),
        note="" if suggestions else "no suggestion: see refusals()",
        steps=(result.learning_rates, result.losses),
        repeated=repeated,
        spread=result.spread,
        probe_losses=result.probe_losses,
        validation_losses=result.validation_losses,
    )
