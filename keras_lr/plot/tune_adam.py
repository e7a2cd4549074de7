"""Drawing of `tune_adam`: its runs, the curves or contours fitted to them, and the choice."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.plot.given import check_axes, picture_of
from keras_lr.plot.tune_adam_map import draw_map
from keras_lr.search.tune_adam.map_picture import MapPicture
from keras_lr.search.tune_adam.picture import AdamTunePicture, Curve, CurvesPicture

_COLORS = {"constant": "C0", "linear": "C1", "decay": "C2"}
_SMALL_WIDTH = 4.5  # inches


def plot_tune_adam(result: Any, ax: Axes | None = None) -> Axes:
    """Draw how learning rate and shape were found.

    One curve for each shape, the fitted loss over the learning rate, in a band as wide as the noise
    of a run; the runs as dots, those that diverged as crosses at the top; the choice as a star.
    Where learning rate and share were searched without a surface: the runs over both, coloured by
    their losses, and the contours of a quadratic fit to these.

    Args:
        result: What `tune_adam` returned.
        ax: Where to draw; None makes a figure. Nothing is shown and no global style changed.

    Returns:
        The Axes.

    Raises:
        TypeError: If `result` is none, or `ax` is no Axes.

    Example:
        >>> from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult
        >>> from keras_lr.search.tune_adam.surface import Surface
        >>> trials = [
        ...     AdamTrial(number=n, lr=lr, decay=0.0, final_share=1.0, weight_decay=None,
        ...               momentum=None, repeat=0, state="complete", loss=loss, steps=100,
        ...               shape="constant")
        ...     for n, (lr, loss) in enumerate([(0.01, 1.2), (0.03, 1.0), (0.1, 1.5)])]
        >>> surface = Surface([(t.shape, t.lr, t.loss) for t in trials], {"constant": 0.03})
        >>> result = AdamTuneResult(
        ...     lr=0.025, decay=0.0, final_share=1.0, weight_decay=None, momentum=None, loss=1.0,
        ...     standard_error=None, within_noise=None, ties=(trials[1],), chosen=trials[1],
        ...     trials=tuple(trials), lr_range=(0.01, 0.1), total_steps=100, cost_steps=300,
        ...     finished=True, momentum_name=None, study=None, shape="constant", surface=surface)
        >>> plot_tune_adam(result).get_xscale()
        'log'
    """
    check_axes("plot_tune_adam", ax)
    drawn = picture_of("plot_tune_adam", AdamTunePicture, "tune_adam", result)
    if ax is None:
        _, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    if isinstance(drawn, MapPicture):
        draw_map(drawn, ax)
    elif isinstance(drawn, CurvesPicture):
        _draw_curves(drawn, ax)
    return ax


def _draw_curves(drawn: CurvesPicture, ax: Axes) -> None:
    for shape, curve in drawn.curves.items():
        _draw_curve(ax, shape, curve)
    _draw_choice(ax, drawn)
    ax.set_xscale("log")
    ax.set_ylim(*drawn.limits)
    ax.set_xlabel("Learning rate (highest, log scale)")
    ax.set_ylabel("Validation loss")
    width = ax.get_window_extent().width / ax.figure.dpi
    small = width < _SMALL_WIDTH
    options: dict[str, Any] = {"fontsize": 6.5 if small else 8.5, "ncols": 3 if small else 5}
    options |= {"columnspacing": 1.0, "handlelength": 1.4}
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, **options)


def _draw_curve(ax: Axes, shape: str, curve: Curve) -> None:
    color = _COLORS.get(shape)
    if curve.noise is not None:
        band = curve.noise * np.abs(curve.loss)
        shade: dict[str, Any] = {"color": color, "alpha": 0.15, "lw": 0}
        ax.fill_between(curve.lr, curve.loss - band, curve.loss + band, **shade)
    ax.plot(curve.lr, curve.loss, color=color, lw=1.6, label=shape)
    ax.plot(*curve.runs, "o", color=color, ms=5.5, zorder=3)
    if curve.others.size:
        ax.plot(*curve.others, ".", color=color, ms=5, alpha=0.5, zorder=3)
    if curve.beyond.size:
        top = np.full(curve.beyond.size, 0.97)
        marks: dict[str, Any] = {"color": color, "ms": 7, "zorder": 4, "clip_on": False}
        ax.plot(curve.beyond, top, "x", transform=ax.get_xaxis_transform(), **marks)


def _draw_choice(ax: Axes, drawn: CurvesPicture) -> None:
    star: dict[str, Any] = {"marker": "*", "s": 190, "color": "C3", "edgecolors": "white"}
    label = f"chosen: {drawn.choice[0]:.2g}"
    ax.scatter(*drawn.choice, label=label, zorder=6, **star)
    if any(curve.beyond.size for curve in drawn.curves.values()):
        ax.plot([], [], "x", color="0.5", label="diverged")
    if any(curve.others.size for curve in drawn.curves.values()):
        ax.plot([], [], ".", color="0.5", label="other axes")
