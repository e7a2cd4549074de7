"""The picture of a search over learning rate and share, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lr.search.range_test.curve import Floats
from keras_lr.search.tune_adam.picture import AdamTunePicture
from keras_lr.search.tune_adam.surface import heights

if TYPE_CHECKING:
    from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult

LEAST_SHARE = 0.01  # the lowest that is drawn, unless a run had less
_CELLS = 80
_RIDGE = 0.02
_MARGIN = 0.05  # of the width of the map: contours end so far outside of the runs
_DIRECTIONS = 72  # in which the runs' convex hull is measured
_WORST_SHOWN = 0.9  # quantile of the losses where the colours end


@dataclass(frozen=True)
class MapPicture(AdamTunePicture):
    """What is drawn over learning rate and share.

    Attributes:
        lr: float64[n], learning rates of the settings that were run to the end.
        final_share: float64[n], the shares of them left at the end.
        loss: float64[n], their losses, the means over repeats.
        pruned: float64[2, m], learning rates and shares of the trials that were pruned.
        diverged: float64[2, k], those of the trials that diverged.
        grid_lr: float64[c], the columns of `fitted`.
        grid_share: float64[c], its rows.
        fitted: float64[c, c], a quadratic in both logarithms, fitted to the logarithms of the
            losses; NaN outside of the whole runs' convex hull.
        limits: The losses at both ends of the colours.
        lr_range: The learning rates searched.
        choice: Learning rate and share that were chosen.
        decay: The decay of the choice.
        ties: float64[2, t], learning rates and shares of the settings that are as good.
    """

    lr: Floats
    final_share: Floats
    loss: Floats
    pruned: Floats
    diverged: Floats
    grid_lr: Floats
    grid_share: Floats
    fitted: Floats
    limits: tuple[float, float]
    lr_range: tuple[float, float]
    choice: tuple[float, float]
    decay: float
    ties: Floats


def map_of(result: "AdamTuneResult") -> MapPicture:
    """Return what is to be drawn. Pruned trials are not fitted: they ended at another time."""
    groups: dict[tuple[float, float, float | None, float | None], list[float]] = {}
    for trial in result.trials:
        if trial.state == "complete":
            key = (trial.lr, trial.final_share, trial.weight_decay, trial.momentum)
            groups.setdefault(key, []).append(trial.loss)
    lr, share = np.array([key[0] for key in groups]), np.array([key[1] for key in groups])
    loss = np.array([np.mean(losses) for losses in groups.values()])
    grid_lr = np.geomspace(*result.lr_range, _CELLS)
    grid_share = np.geomspace(min(LEAST_SHARE, share.min()), 1.0, _CELLS)
    return MapPicture(
        lr=lr,
        final_share=share,
        loss=loss,
        pruned=_in_state(result, "pruned"),
        diverged=_in_state(result, "diverged"),
        grid_lr=grid_lr,
        grid_share=grid_share,
        fitted=_fitted(lr, share, loss, grid_lr, grid_share),
        limits=(float(loss.min()), float(np.quantile(loss, _WORST_SHOWN))),
        lr_range=result.lr_range,
        choice=(result.lr, result.final_share),
        decay=result.decay,
        ties=_places([tie for tie in result.ties if tie != result.chosen]),
    )


def _fitted(lr: Floats, share: Floats, loss: Floats, grid_lr: Floats, grid_share: Floats) -> Floats:
    """Return the fit at each learning rate (columns) and share (rows)."""
    x, y = _place(lr, grid_lr), _place(share, grid_share)
    grid_x, grid_y = np.meshgrid(*[np.linspace(0, 1, _CELLS)] * 2)
    terms = _terms(x, y)
    ridge = _RIDGE * np.eye(terms.shape[1])
    ridge[0, 0] = 0.0
    height = heights(loss.tolist())
    weights = np.linalg.solve(terms.T @ terms + ridge, terms.T @ height)
    fitted = _terms(grid_x.ravel(), grid_y.ravel()) @ weights
    lowest = float(loss.min())
    unit = abs(lowest) or 1.0
    losses = lowest * np.exp(fitted) if lowest > 0 else lowest + unit * fitted
    return np.where(_is_among(x, y, grid_x, grid_y), losses.reshape(grid_x.shape), np.nan)


def _is_among(x: Floats, y: Floats, grid_x: Floats, grid_y: Floats) -> np.ndarray:
    """Return which places of a grid are in the convex hull of points, or hardly outside."""
    angle = np.linspace(0.0, 2.0 * np.pi, _DIRECTIONS, endpoint=False)[:, None]
    furthest = (np.cos(angle) * x + np.sin(angle) * y).max(axis=1, keepdims=True)
    places = np.cos(angle) * grid_x.ravel() + np.sin(angle) * grid_y.ravel()
    among: np.ndarray = (places <= furthest + _MARGIN).all(axis=0).reshape(grid_x.shape)
    return among


def _terms(x: Floats, y: Floats) -> Floats:
    x, y = x - 0.5, y - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _in_state(result: "AdamTuneResult", state: str) -> Floats:
    return _places([trial for trial in result.trials if trial.state == state])


def _places(trials: "Sequence[AdamTrial]") -> Floats:
    places = [(trial.lr, trial.final_share) for trial in trials]
    return np.array(places, dtype=np.float64).reshape(-1, 2).T


def _place(values: Floats, grid: Floats) -> Floats:
    """Return where values lie between the ends of a grid, on a log scale, from 0 to 1."""
    low, high = np.log(grid[[0, -1]])
    place: Floats = (np.log(values) - low) / (high - low)
    return place
