"""Drawing of a search over learning rate and share: its runs, and contours fitted to them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from keras_lr.search.tune_adam.map_picture import LEAST_SHARE, MapPicture

_LEVELS = 7
_SMALL_WIDTH = 4.0  # inches
_SHARES = (1.0, 0.3, 0.1, 0.03, LEAST_SHARE)


def draw_map(drawn: MapPicture, ax: Axes) -> None:
    """Draw the runs over learning rate and share, and contours of the fit to their losses."""
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
    _draw_choice(ax, drawn, small)
    ax.set(xscale="log", yscale="log", xlim=drawn.lr_range)
    ax.set_ylim(drawn.grid_share[0] * 0.85, 1.2)
    ax.set_yticks(_SHARES, [f"{share:.0%}" for share in _SHARES])
    ax.minorticks_off()
    ticks = _ticks(*drawn.lr_range, (1,) if small else (1, 3))
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


def _draw_choice(ax: Axes, drawn: MapPicture, small: bool) -> None:
    if drawn.ties.size:
        x, y = drawn.ties
        ax.scatter(x, y, s=110, facecolors="none", edgecolors="C3", label="as good", zorder=5)
    star: dict[str, Any] = {"marker": "*", "s": 190, "color": "C3", "edgecolors": "white"}
    label = "chosen" if small else f"chosen: lr={drawn.choice[0]:.1e}, decay={drawn.decay:.1e}"
    ax.scatter(*drawn.choice, label=label, zorder=6, **star)


def _ticks(low: float, high: float, digits: tuple[int, ...]) -> list[float]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]
