"""The picture of a search for lr and decay: a map of the loss, the trials, the choice."""

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from keras_lr.plot.given import check_axes, check_result
from keras_lr.search.range_test.curve import Floats
from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult

_CELLS = 120
_REACH = 0.12  # of the width of the map: how far a trial says something about its surroundings
_FAINT = 0.1  # no map where all trials together weigh less than one does at 2.1 times its reach
_WORST_SHOWN = 0.9  # quantile of the losses where the colours end
_SHARES = (1.0, 0.3, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class TuneAdamPicture:
    """What `plot_tune_adam` draws.

    Attributes:
        lr: float64[n], learning rates of the settings that were run to the end.
        final_share: float64[n], the shares of them left at the end.
        loss: float64[n], their losses, the means over repeats.
        pruned: float64[2, m], learning rates and shares of the trials that were pruned.
        diverged: float64[2, k], those of the trials that diverged.
        lr_edges: float64[c + 1], where the cells of the map begin and end.
        share_edges: float64[c + 1].
        map: float64[c, c], loss by share and learning rate; NaN where no whole run is near, or more
            of the trials around were pruned.
        limits: The losses at both ends of the colours.
    """

    lr: Floats
    final_share: Floats
    loss: Floats
    pruned: Floats
    diverged: Floats
    lr_edges: Floats
    share_edges: Floats
    map: Floats
    limits: tuple[float, float]


def picture(result: AdamTuneResult) -> TuneAdamPicture:
    """Compute what is to be drawn.

    The map is the mean of the losses around, weighted by a Gaussian of the distance in the logs of
    learning rate and share. Pruned trials are not in it: they ended at another time of the run.
    """
    check_result("plot_tune_adam", AdamTuneResult, "tune_adam", result)
    groups: dict[tuple[float, float, float | None, float | None], list[float]] = {}
    for trial in result.trials:
        if trial.state == "complete":
            key = (trial.lr, trial.final_share, trial.weight_decay, trial.momentum)
            groups.setdefault(key, []).append(trial.loss)
    lr = np.array([key[0] for key in groups])
    share = np.array([key[1] for key in groups])
    loss = np.array([np.mean(losses) for losses in groups.values()])
    lr_edges = np.geomspace(*result.lr_range, _CELLS + 1)
    share_edges = np.geomspace(min(_SHARES[-1], share.min()), 1.0, _CELLS + 1)
    x, y = _place(lr, lr_edges), _place(share, share_edges)
    pruned = _points(result.trials, "pruned")
    weights = _weights(x, y)
    total = weights.sum(axis=-1)
    stopped = _weights(_place(pruned[0], lr_edges), _place(pruned[1], share_edges)).sum(axis=-1)
    smoothed = (weights * loss).sum(axis=-1) / np.maximum(total, 1e-300)
    return TuneAdamPicture(
        lr=lr,
        final_share=share,
        loss=loss,
        pruned=pruned,
        diverged=_points(result.trials, "diverged"),
        lr_edges=lr_edges,
        share_edges=share_edges,
        map=np.where(total > np.maximum(_FAINT, stopped), smoothed, np.nan),
        limits=(float(loss.min()), float(np.quantile(loss, _WORST_SHOWN))),
    )


def plot_tune_adam(result: AdamTuneResult, ax: Axes | None = None) -> Axes:
    """Draw the loss over lr and decay: a smoothed map, every trial on it, the choice as a star.

    Args:
        result: What `tune_adam` returned.
        ax: Where to draw; None makes a figure. Nothing is shown and no global style changed.

    Returns:
        The Axes.

    Example:
        >>> from keras_lr.search.tune_adam.result import AdamTrial
        >>> trials = [
        ...     AdamTrial(number=n, lr=lr, decay=0.0, final_share=share, weight_decay=None,
        ...               momentum=None, repeat=0, state="complete", loss=n + 1.0, steps=100)
        ...     for n, (lr, share) in enumerate([(0.01, 0.1), (0.1, 1.0), (0.03, 0.3)])]
        >>> result = AdamTuneResult(
        ...     lr=0.01, decay=0.09, final_share=0.1, weight_decay=None, momentum=None, loss=1.0,
        ...     standard_error=None, within_noise=None, ties=(trials[0],), chosen=trials[0],
        ...     trials=tuple(trials), lr_range=(0.003, 0.3), total_steps=100, cost_steps=300,
        ...     finished=True, momentum_name=None, study=None)
        >>> plot_tune_adam(result).get_yscale()
        'log'
    """
    check_axes("plot_tune_adam", ax)
    drawn = picture(result)
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
    colors: dict[str, Any] = {"norm": Normalize(*drawn.limits), "cmap": "viridis"}
    ax.pcolormesh(drawn.lr_edges, drawn.share_edges, drawn.map, rasterized=True, **colors)
    ax.scatter(drawn.pruned[0], drawn.pruned[1], s=14, color="0.55", label="pruned", zorder=3)
    if drawn.diverged.size:
        lost: dict[str, Any] = {"marker": "x", "color": "0.3", "label": "diverged", "zorder": 3}
        ax.scatter(drawn.diverged[0], drawn.diverged[1], s=30, **lost)
    points: dict[str, Any] = {"c": drawn.loss, "edgecolors": "white", "clip_on": False, **colors}
    shown = ax.scatter(drawn.lr, drawn.final_share, s=44, label="whole run", zorder=4, **points)
    _draw_choice(ax, result)
    ax.set(xscale="log", yscale="log", xlim=drawn.lr_edges[[0, -1]])
    ax.set_ylim(drawn.share_edges[0] * 0.85, 1.2)
    ax.set_yticks(_SHARES, [f"{share:.0%}" for share in _SHARES])
    ax.minorticks_off()
    ax.set_xticks(_ticks(*result.lr_range))
    ax.set_xticklabels([f"{tick:g}" for tick in ax.get_xticks()])
    ax.set_xlabel("Learning rate of the first update (log scale)")
    ax.set_ylabel("Share of it left in the last update (log scale)")
    ax.figure.colorbar(shown, ax=ax, label="Validation loss after the run", extend="max")
    ax.legend(fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=5, frameon=False)
    return ax


def _weights(x: Floats, y: Floats) -> Floats:
    """Return what each trial weighs in each cell, float64[c, c, n]."""
    grid_x, grid_y = np.meshgrid(*[(np.arange(_CELLS) + 0.5) / _CELLS] * 2)
    apart = (grid_x[..., None] - x) ** 2 + (grid_y[..., None] - y) ** 2
    weights: Floats = np.exp(-apart / (2 * _REACH**2))
    return weights


def _draw_choice(ax: Axes, result: AdamTuneResult) -> None:
    others = [tie for tie in result.ties if tie != result.chosen]
    if others:
        x, y = [tie.lr for tie in others], [tie.final_share for tie in others]
        ax.scatter(x, y, s=130, facecolors="none", edgecolors="C3", label="as good", zorder=5)
    star: dict[str, Any] = {
        "marker": "*",
        "s": 260,
        "color": "C3",
        "edgecolors": "white",
        "zorder": 6,
    }
    label = f"chosen: lr={result.lr:.1e}, decay={result.decay:.1e}"
    ax.scatter(result.lr, result.final_share, label=label, **star)


def _points(trials: tuple[AdamTrial, ...], state: str) -> Floats:
    found = [(t.lr, t.final_share) for t in trials if t.state == state]
    return np.array(found, dtype=np.float64).reshape(-1, 2).T


def _place(values: Floats, edges: Floats) -> Floats:
    """Return where values lie between the first and the last edge, on a log scale, from 0 to 1."""
    low, high = np.log(edges[[0, -1]])
    place: Floats = (np.log(values) - low) / (high - low)
    return place


def _ticks(low: float, high: float) -> list[float]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 3)]
    return [tick for tick in ticks if low <= tick <= high]
