"""The data of the picture of a `FitResult`: plain numbers, nothing drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lr.search.range_test.curve import Floats

if TYPE_CHECKING:
    from keras_lr.one_call.result import FitResult


@dataclass(frozen=True)
class Line:
    """Values at the ends of epochs.

    Attributes:
        updates: float64[n], where the epochs end.
        values: float64[n].
    """

    updates: Floats
    values: Floats


@dataclass(frozen=True)
class FitPicture:
    """What `plot_fit` draws. Places in the training are in updates.

    Attributes:
        trial_rates: float64[k], the learning rates of the trials, increasing; empty without trials.
        trial_losses: float64[k], the probe's loss after each; NaN for one that diverged.
        untrained: The probe's loss before; None without trials.
        peak: The peak that was chosen.
        rates: float64[n], the rate applied in each update.
        losses: The lines by their labels, `"training"` and such as `"val_loss"`.
        kept: Where the weights that were kept are from, and their value; None if nothing was
            chosen.
        kept_label: What they are called.
    """

    trial_rates: Floats
    trial_losses: Floats
    untrained: float | None
    peak: float
    rates: Floats
    losses: Mapping[str, Line]
    kept: tuple[float, float] | None
    kept_label: str


def picture_of(result: "FitResult") -> FitPicture:
    """Return what is to be drawn of a result."""
    tuning = result.tuning
    trials = [] if tuning is None else sorted(tuning.trials)
    scores = np.array([trial.score for trial in trials], np.float64)
    logs, ends = result.history.history, np.array(result.epoch_ends, np.float64)
    names = {"loss": "training", "val_loss": "validation"}
    losses = {
        label: _line(logs[name], ends, result.history.epoch)
        for name, label in names.items()
        if len(logs.get(name, ()))
    }
    kept = None
    if result.kept_value is not None and len(ends) and result.monitor == "val_loss":
        epochs = list(result.history.epoch)
        place = len(ends) - 1
        if result.kept_epoch in epochs:
            place = min(epochs.index(result.kept_epoch), place)
        kept = (float(ends[place]), result.kept_value)
    return FitPicture(
        trial_rates=10.0 ** np.array([trial.x for trial in trials], np.float64),
        trial_losses=np.where(np.isfinite(scores), scores, np.nan),
        untrained=None if tuning is None else tuning.untrained,
        peak=result.peak,
        rates=np.array(result.learning_rates, np.float64),
        losses=losses,
        kept=kept,
        kept_label="last weights" if result.kept == "last" else result.kept,
    )


def _line(values: Sequence[float], ends: Floats, epochs: Sequence[int]) -> Line:
    """Return values at the ends of their epochs; Keras does not say in which it has validated."""
    count = min(len(values), len(ends))
    places = np.arange(count)
    if 0 < count < len(ends):
        due = [
            place for place, epoch in enumerate(epochs) if (epoch + 1) % (len(ends) // count) == 0
        ]
        spread = np.linspace(0, len(ends) - 1, count + 1).round().astype(int)[1:]
        places = np.array(due) if len(due) == count else spread
    return Line(ends[places], np.array(values[:count], np.float64))
