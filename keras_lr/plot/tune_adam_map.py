"""The picture of a search over learning rate and share: its runs, and contours fitted to them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from keras_lr.search.range_test.curve import Floats
from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult
from keras_lr.search.tune_adam.surface import heights

_CELLS = 80
_RIDGE = 0.02
_REACH = 0.2  # of the width of the map: no contour is further than this from a run
_WORST_SHOWN = 0.9  # quantile of the losses where the colours end
_LEVELS = 7
_SMALL_WIDTH = 4.0  # inches
_SHARES = (1.0, 0.3, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class MapPicture:
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
            losses; NaN where no whole run is near.
        limits: The losses at both ends of the colours.
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


def map_picture(result: AdamTuneResult) -> MapPicture:
    """Compute what is to be drawn. Pruned trials are not fitted: they ended at another time."""
    groups: dict[tuple[float, float, float | None, float | None], list[float]] = {}
    for trial in result.trials:
        if trial.state == "complete":
            key = (trial.lr, trial.final_share, trial.weight_decay, trial.momentum)
            groups.setdefault(key, []).append(trial.loss)
    lr, share = np.array([key[0] for key in groups]), np.array([key[1] for key in groups])
    loss = np.array([np.mean(losses) for losses in groups.values()])
    grid_lr = np.geomspace(*result.lr_range, _CELLS)
    grid_share = np.geomspace(min(_SHARES[-1], share.min()), 1.0, _CELLS)
    return MapPicture(
        lr=lr,
        final_share=share,
        loss=loss,
        pruned=_points(result.trials, "pruned"),
        diverged=_points(result.trials, "diverged"),
        grid_lr=grid_lr,
        grid_share=grid_share,
        fitted=_fitted(lr, share, loss, grid_lr, grid_share),
        limits=(float(loss.min()), float(np.quantile(loss, _WORST_SHOWN))),
    )


def draw_map(result: AdamTuneResult, ax: Axes) -> None:
    """Draw the runs over learning rate and share, and contours of the fit to their losses."""
    drawn = map_picture(result)
    low, high = drawn.limits
    colors: dict[str, Any] = {"norm": Normalize(low, high), "cmap": "viridis"}
    lowest = float(np.nanmin(drawn.fitted)) if np.isfinite(drawn.fitted).any() else high
    if lowest < high:
        levels = np.linspace(min(low, lowest), high, _LEVELS + 1)[1:]
        ax.contour(drawn.grid_lr, drawn.grid_share, drawn.fitted, levels, linewidths=1.2, **colors)
    ax.scatter(drawn.pruned[0], drawn.pruned[1], s=14, color="0.55", label="pruned", zorder=3)
    if drawn.diverged.size:
        lost: dict[str, Any] = {"marker": "x", "color": "0.5", "label": "diverged", "zorder": 3}
        ax.scatter(drawn.diverged[0], drawn.diverged[1], s=30, **lost)
    points: dict[str, Any] = {"c": drawn.loss, "edgecolors": "0.5", "clip_on": False, **colors}
    shown = ax.scatter(drawn.lr, drawn.final_share, s=40, label="whole run", zorder=4, **points)
    small = ax.get_window_extent().width / ax.figure.dpi < _SMALL_WIDTH
    _draw_choice(ax, result, small)
    ax.set(xscale="log", yscale="log", xlim=result.lr_range)
    ax.set_ylim(drawn.grid_share[0] * 0.85, 1.2)
    ax.set_yticks(_SHARES, [f"{share:.0%}" for share in _SHARES])
    ax.minorticks_off()
    ticks = _ticks(*result.lr_range, (1,) if small else (1, 3))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xlabel("Learning rate (log scale)")
    ax.set_ylabel("Share left at the end")
    ax.figure.colorbar(shown, ax=ax, label="Validation loss", extend="max")
    ax.legend(
        fontsize=6 if small else 8,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=4,
        frameon=False,
        columnspacing=0.8,
        handletextpad=0.4,
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
    apart = np.hypot(grid_x[..., None] - x, grid_y[..., None] - y).min(axis=-1)
    near: Floats = np.where(apart <= _REACH, losses.reshape(grid_x.shape), np.nan)
    return near


def _terms(x: Floats, y: Floats) -> Floats:
    x, y = x - 0.5, y - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _draw_choice(ax: Axes, result: AdamTuneResult, small: bool) -> None:
    others = [tie for tie in result.ties if tie != result.chosen]
    if others:
        x, y = [tie.lr for tie in others], [tie.final_share for tie in others]
        ax.scatter(x, y, s=110, facecolors="none", edgecolors="C3", label="as good", zorder=5)
    star: dict[str, Any] = {"marker": "*", "s": 190, "color": "C3", "edgecolors": "white"}
    label = "chosen" if small else f"chosen: lr={result.lr:.1e}, decay={result.decay:.1e}"
    ax.scatter(result.lr, result.final_share, label=label, zorder=6, **star)


def _points(trials: tuple[AdamTrial, ...], state: str) -> Floats:
    found = [(t.lr, t.final_share) for t in trials if t.state == state]
    return np.array(found, dtype=np.float64).reshape(-1, 2).T


def _place(values: Floats, grid: Floats) -> Floats:
    """Return where values lie between the ends of a grid, on a log scale, from 0 to 1."""
    low, high = np.log(grid[[0, -1]])
    place: Floats = (np.log(values) - low) / (high - low)
    return place


def _ticks(low: float, high: float, digits: tuple[int, ...]) -> list[float]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]
