"""Drawing of a search over learning rate and share: its runs, and contours fitted to them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from keras_lr.plot import style
from keras_lr.search.tune_adam.map_picture import LEAST_SHARE, MapPicture

_LEVELS = 7
_SHARES = (1.0, 0.3, 0.1, 0.03, LEAST_SHARE)


def draw_map(drawn: MapPicture, ax: Axes) -> None:
    """Draw the runs over learning rate and share, and contours of the fit to their losses."""
    low, high = drawn.limits
    colors: dict[str, Any] = {"norm": Normalize(low, high), "cmap": "viridis"}
    lowest = float(np.nanmin(drawn.fitted)) if np.isfinite(drawn.fitted).any() else high
    if lowest < high:
        levels = np.linspace(min(low, lowest), high, _LEVELS + 1)[1:]
        ax.contour(drawn.grid_lr, drawn.grid_share, drawn.fitted, levels, linewidths=1.2, **colors)
    gray = style.muted(ax)
    if drawn.pruned.size:
        few: dict[str, Any] = {"color": gray, "label": "pruned", "zorder": 3, "clip_on": False}
        ax.scatter(drawn.pruned[0], drawn.pruned[1], s=14, **few)
    if drawn.diverged.size:
        lost: dict[str, Any] = {"marker": "x", "color": gray, "label": "diverged", "zorder": 3}
        ax.scatter(drawn.diverged[0], drawn.diverged[1], s=30, clip_on=False, **lost)
    points: dict[str, Any] = {"c": drawn.loss, "edgecolors": gray, "clip_on": False, **colors}
    shown = ax.scatter(drawn.lr, drawn.final_share, s=40, label="whole run", zorder=4, **points)
    ax.set(xscale="log", yscale="log", xlim=drawn.lr_range)
    ax.set_ylim(drawn.grid_share[0] * 0.85, 1.2)
    ax.set_yticks(_SHARES, [f"{share:.0%}" for share in _SHARES])
    ax.minorticks_off()
    ax.set_xlabel("Learning rate (highest, log scale)")
    ax.set_ylabel("Share left at the end")
    ax.figure.colorbar(shown, ax=ax, label="Validation loss", extend="max")
    style.settle(ax)
    narrow = style.is_narrow(ax)
    numbers = f": lr={drawn.choice[0]:.1e}, decay={drawn.decay:.1e}"
    _draw_choice(ax, drawn, "" if narrow else numbers)
    ticks = _ticks(*drawn.lr_range, (1,) if narrow else (1, 3))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    style.legend_above(ax, *ax.get_legend_handles_labels())


def star(ax: Axes, place: tuple[float, float], label: str) -> None:
    """Mark what was chosen."""
    look: dict[str, Any] = {"color": style.accent(ax), "edgecolors": ax.get_facecolor()}
    ax.scatter(*place, marker="*", s=150, zorder=6, clip_on=False, label=label, **look)


def _draw_choice(ax: Axes, drawn: MapPicture, numbers: str) -> None:
    if drawn.ties.size:
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": style.accent(ax)}
        lr, share = drawn.ties
        ax.scatter(lr, share, s=110, label="as good", zorder=5, clip_on=False, **ring)
    star(ax, drawn.choice, f"chosen{numbers}")


def _ticks(low: float, high: float, digits: tuple[int, ...]) -> list[float]:
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]
