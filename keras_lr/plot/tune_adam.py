"""The picture of `tune_adam`: its runs, the curves or contours fitted to them, and the choice."""

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.plot.given import check_axes, check_result
from keras_lr.plot.tune_adam_map import MapPicture, draw_map, map_picture
from keras_lr.search.range_test.curve import Floats
from keras_lr.search.tune_adam.result import AdamTuneResult
from keras_lr.search.tune_adam.surface import Surface

_POINTS = 101
_COLORS = {"constant": "C0", "linear": "C1", "decay": "C2"}
_CAP = np.e  # over the lowest loss: what lies above counts the same for the surface
_SMALL_WIDTH = 4.5  # inches


@dataclass(frozen=True)
class Curve:
    """The runs of one shape, and what was fitted to them.

    Attributes:
        lr: float64[m], learning rates within reach of the runs, increasing.
        loss: float64[m], the fitted loss.
        noise: The standard deviation of a run around it, relative to the loss; None if not known.
        runs: float64[2, n], learning rates and losses of the runs that the surface was fitted to.
        others: float64[2, k], those of runs with another weight decay or momentum.
        beyond: float64[j], learning rates of runs that diverged or ended above all that is drawn.
    """

    lr: Floats
    loss: Floats
    noise: float | None
    runs: Floats
    others: Floats
    beyond: Floats


@dataclass(frozen=True)
class CurvesPicture:
    """What `plot_tune_adam` draws of a surface.

    Attributes:
        curves: One for each shape, by its name.
        limits: The lowest and the highest loss that is drawn.
    """

    curves: dict[str, Curve]
    limits: tuple[float, float]


def picture(result: AdamTuneResult) -> CurvesPicture | MapPicture:
    """Compute what is to be drawn: curves of a result with a surface, else a map."""
    check_result("plot_tune_adam", AdamTuneResult, "tune_adam", result)
    return map_picture(result) if result.surface is None else _curves(result, result.surface)


def plot_tune_adam(result: AdamTuneResult, ax: Axes | None = None) -> Axes:
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
        >>> from keras_lr.search.tune_adam.result import AdamTrial
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
    check_result("plot_tune_adam", AdamTuneResult, "tune_adam", result)
    if ax is None:
        _, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    if result.surface is None:
        draw_map(result, ax)
        return ax
    drawn = _curves(result, result.surface)
    for shape, curve in drawn.curves.items():
        _draw_curve(ax, shape, curve)
    _draw_choice(ax, result, drawn)
    ax.set_xscale("log")
    ax.set_ylim(*drawn.limits)
    ax.set_xlabel("Learning rate (highest, log scale)")
    ax.set_ylabel("Validation loss")
    width = ax.get_window_extent().width / ax.figure.dpi
    small = width < _SMALL_WIDTH
    options: dict[str, Any] = {"fontsize": 6.5 if small else 8.5, "ncols": 3 if small else 5}
    options |= {"columnspacing": 1.0, "handlelength": 1.4}
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, **options)
    return ax


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


def _draw_choice(ax: Axes, result: AdamTuneResult, drawn: CurvesPicture) -> None:
    star: dict[str, Any] = {"marker": "*", "s": 190, "color": "C3", "edgecolors": "white"}
    label = f"chosen: {result.lr:.2g}"
    ax.scatter(result.lr, result.loss, label=label, zorder=6, **star)
    if any(curve.beyond.size for curve in drawn.curves.values()):
        ax.plot([], [], "x", color="0.5", label="diverged")
    if any(curve.others.size for curve in drawn.curves.values()):
        ax.plot([], [], ".", color="0.5", label="other axes")


def _curves(result: AdamTuneResult, surface: Surface) -> CurvesPicture:
    finite = [point.loss for point in surface.points if np.isfinite(point.loss)]
    lowest = min([*finite, *(surface.lowest(shape).loss for shape in surface.shapes)])
    lowest = min([lowest, *(t.loss for t in result.trials if t.state == "complete")])
    room = (_CAP - 1) * abs(lowest) if lowest else max(finite) or 1.0
    top = min(max([*finite, *_ends(surface)]), lowest + room)
    margin = 0.06 * ((top - lowest) or abs(lowest) or 1.0)
    limits = (lowest - margin, top + margin)
    return CurvesPicture({s: _curve(result, surface, s, limits) for s in surface.shapes}, limits)


def _curve(
    result: AdamTuneResult, surface: Surface, shape: str, limits: tuple[float, float]
) -> Curve:
    lr = np.geomspace(*surface.reach(shape), _POINTS)
    runs = np.array([(p.lr, p.loss) for p in surface.points if p.shape == shape]).T
    inside = runs[1] <= limits[1]  # not so where it is infinite
    whole = [t for t in result.trials if t.shape == shape and t.state == "complete"]
    whole = [t for t in whole if (t.weight_decay, t.momentum) != (None, None)]
    others = np.array([(t.lr, t.loss) for t in whole if t.loss <= limits[1]]).reshape(-1, 2).T
    return Curve(
        lr=lr,
        loss=surface.loss(shape, lr),
        noise=surface.noise,
        runs=runs[:, inside],
        others=others,
        beyond=runs[0, ~inside],
    )


def _ends(surface: Surface) -> list[float]:
    return [float(surface.loss(s, edge)) for s in surface.shapes for edge in surface.reach(s)]
