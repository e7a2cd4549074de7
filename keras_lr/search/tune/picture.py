"""The picture of a tuning, as plain data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lr.search.range_test.curve import Floats

if TYPE_CHECKING:
    from keras_lr.search.tune.result import TuneResult


@dataclass(frozen=True)
class TunePicture:
    """What `plot_tune` draws, x in learning rates.

    Attributes:
        rates: float64[n], the learning rates of the trials, increasing.
        scores: float64[n], the probe's loss after each; the untrained model's where it was above.
        beyond: bool[n], the trials that ended above the untrained model.
        parabola: Learning rates and losses of the fitted curve, float64[2, m]; empty if the best
            trial has only one neighbour. Where no loss is below zero it ends there, too.
        untrained: The score of the untrained model.
        trial_steps: Updates per trial.
        total_steps: Updates of the run that was tuned for.
        short: The learning rate for a run as long as a trial.
        choice: The learning rate that was chosen.
        validated: Whether the scores are of validation data, too.
    """

    rates: Floats
    scores: Floats
    beyond: np.ndarray
    parabola: Floats
    untrained: float
    trial_steps: int
    total_steps: int
    short: float
    choice: float
    validated: bool


def picture_of(result: "TuneResult") -> TunePicture:
    """Return what is to be drawn."""
    ordered = sorted(result.trials)
    x = np.array([trial.x for trial in ordered])
    raw = np.array([trial.score for trial in ordered])
    scores = np.minimum(raw, result.untrained)
    best = int(np.argmin(scores))
    parabola = np.empty((2, 0))
    if 0 < best < len(x) - 1:
        near = slice(best - 1, best + 2)
        curve = np.polyfit(x[near], scores[near], 2)
        grid = np.linspace(x[best - 1], x[best + 1], 101)
        floor = 0.0 if scores.min() >= 0 else -np.inf
        parabola = np.stack([10**grid, np.maximum(np.polyval(curve, grid), floor)])
    return TunePicture(
        rates=10**x,
        scores=scores,
        beyond=raw > result.untrained,
        parabola=parabola,
        untrained=result.untrained,
        trial_steps=result.trial_steps,
        total_steps=result.total_steps,
        short=result.short_run_learning_rate,
        choice=result.learning_rate,
        validated=result.validated,
    )
