"""The picture of a sweep, as plain data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_lr.errors import complaint

if TYPE_CHECKING:
    from keras_lr.search.sweep.result import SweepResult

Floats = NDArray[np.float64]

MEASURES = ("loss", "val_loss")
_WINDOW_SHARE = 0.05  # of the steps: what a point of the fan is the mean of


@dataclass(frozen=True)
class SweepPicture:
    """What `plot_sweep` draws.

    Attributes:
        final: float64[K] by name, NaN where a lane ended above `limits`.
        beyond: bool[K], the lanes that ended above `limits` or diverged.
        fan: float64[K, steps], the losses as running means, NaN above `limits`.
        limits: The lowest and the highest loss worth showing.
        learning_rates: float64[K].
        best_lr: The one with the lowest final loss.
        quartiles: float64[2, K], of the final training losses over the repeats, or None.
    """

    final: dict[str, Floats]
    beyond: np.ndarray
    fan: Floats
    limits: tuple[float, float]
    learning_rates: Floats
    best_lr: float
    quartiles: Floats | None


def picture_of(result: "SweepResult") -> SweepPicture:
    """Return what is to be drawn: a loss twice the first one is out of the picture."""
    final = {name: result.final[name] for name in MEASURES if name in result.final}
    limits = _limits(result, np.concatenate(list(final.values())))
    beyond = result.diverged | ~(final["loss"] <= limits[1])
    window = max(1, round(_WINDOW_SHARE * result.losses.shape[1]))
    return SweepPicture(
        final={name: np.where(v <= limits[1], v, np.nan) for name, v in final.items()},
        beyond=beyond,
        fan=_running_mean(result.losses, window),
        limits=limits,
        learning_rates=result.learning_rates,
        best_lr=result.best_lr,
        quartiles=_quartiles(result),
    )


def _limits(result: "SweepResult", ends: Floats) -> tuple[float, float]:
    first = float(result.losses[0, 0])
    ends = ends[np.isfinite(ends)]
    kept = ends[ends <= first + abs(first)]
    if not kept.size:  # every lane rose: then that is what there is to see
        kept = ends if ends.size else result.losses[np.isfinite(result.losses)]
    if not kept.size:
        rule, fix = "a sweep needs a finite loss to be drawn", "Sweep smaller learning rates"
        raise ValueError(complaint("plot_sweep", rule, fix, result=result))
    low, high = float(kept.min()), float(np.nanmax([*kept, first]))
    room = 0.05 * (high - low or abs(high) or 1.0)
    return low - room, high + room


def _quartiles(result: "SweepResult") -> Floats | None:
    if len(result.repeat_losses) < 2:
        return None
    quarter = max(1, result.losses.shape[1] // 4)
    ends = result.repeat_losses[:, :, -quarter:].mean(axis=2)
    quartiles: Floats = np.quantile(ends, (0.25, 0.75), axis=0)
    return quartiles


def _running_mean(losses: Floats, window: int) -> Floats:
    """The mean of the last `window` losses; of as many as there are at the start."""
    steps = np.arange(losses.shape[1])
    means = [losses[:, max(0, step - window + 1) : step + 1].mean(axis=1) for step in steps]
    return np.stack(means, axis=1)
