"""Drawing of `tune_adam`: its runs, the curves or contours fitted to them, and the choice."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.plot import style
from keras_lr.plot.given import check_axes, picture_of
from keras_lr.plot.tune_adam_map import draw_map, star
from keras_lr.search.tune_adam.map_picture import MapPicture
from keras_lr.search.tune_adam.picture import AdamTunePicture, Curve, CurvesPicture

_LOOKS = {"constant": (0, "o"), "linear": (1, "s"), "decay": (2, "^")}  # colour and marker


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
        >>> from keras_lr import plot_tune_adam
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
        _, ax = plt.subplots(layout="constrained")
    if isinstance(drawn, MapPicture):
        draw_map(drawn, ax)
    elif isinstance(drawn, CurvesPicture):
        _draw_curves(drawn, ax)
    return ax


def _draw_curves(drawn: CurvesPicture, ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_ylim(*drawn.limits)
    shapes = {shape: _draw_curve(ax, shape, curve) for shape, curve in drawn.curves.items()}
    _draw_choice(ax, drawn)
    ax.set_xlabel("Learning rate (highest, log scale)")
    ax.set_ylabel("Validation loss")
    style.label_decades(ax)
    handles, labels = ax.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True)) | shapes
    style.legend_above(ax, list(named.values()), list(named))


def _draw_curve(ax: Axes, shape: str, curve: Curve) -> tuple[Any, Any]:
    """Draw the fitted loss and the runs of a shape, and return both for the legend."""
    number, marker = _LOOKS.get(shape, (3, "D"))
    color = style.color(ax, number)
    if curve.noise is not None:
        band = curve.noise * np.abs(curve.loss)
        shade: dict[str, Any] = {"color": color, "alpha": 0.15, "lw": 0}
        ax.fill_between(curve.lr, curve.loss - band, curve.loss + band, **shade)
    look: dict[str, Any] = {"color": color, "ls": style.line(number), "lw": 1.6}
    (line,) = ax.plot(curve.lr, curve.loss, label=shape, **look)
    dots: dict[str, Any] = {"color": color, "marker": marker, "ls": "", "zorder": 3}
    (runs,) = ax.plot(*curve.runs, ms=5, **dots)
    if curve.others.size:
        ax.plot(*curve.others, ms=3, alpha=0.5, **dots)
    if curve.beyond.size:
        top = np.full(curve.beyond.size, ax.get_ylim()[1])
        ax.plot(curve.beyond, top, "x", color=color, ms=6, zorder=4)
    return line, runs


def _draw_choice(ax: Axes, drawn: CurvesPicture) -> None:
    gray = style.muted(ax)
    star(ax, drawn.choice, f"chosen: {drawn.choice[0]:.2g}")
    if any(curve.beyond.size for curve in drawn.curves.values()):
        ax.plot([], [], "x", color=gray, label="diverged")
    if any(curve.others.size for curve in drawn.curves.values()):
        ax.plot([], [], ".", color=gray, label="other settings")
