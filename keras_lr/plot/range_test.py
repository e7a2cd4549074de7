"""Drawing of a range test: losses over the learning rate, and the suggestions."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from keras_lr.errors import check_choice
from keras_lr.plot import style
from keras_lr.plot.given import check_axes, name_list, picture_of
from keras_lr.search.range_test.picture import Mark, RangeTestPicture
from keras_lr.search.suggest import RULES

_ROW_FONTS = 1.35  # the height of a row of labels, in sizes of their font
_MOST_SHARE = 0.6  # of the height, for the labels


def plot_range_test(
    result: Any, ax: Axes | None = None, *, rules: str | Sequence[str] | None = None
) -> Axes:
    """Draw the losses of a range test over the learning rate, with every suggestion named.

    Points are the losses of single batches, the line is their average without lag, or the probe's
    if there was one. Quartiles are shaded if the sweep was repeated. The view ends where the
    losses have diverged.

    Args:
        result: What `lr_find` returned, or `LRRangeTest.result`.
        ax: Where to draw; None makes a figure. Nothing is shown and no global style changed.
        rules: Which suggestions to mark, one name or several; None for all that there are.

    Returns:
        The Axes.

    Raises:
        TypeError: If `result` is none, or `ax` is no Axes.
        ValueError: If there is no such rule.

    Example:
        >>> from keras_lr import RangeTestResult, plot_range_test
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> result = RangeTestResult(
        ...     learning_rates=rates, losses=losses, smoothed_losses=losses,
        ...     stop_reason="completed")
        >>> plot_range_test(result).get_xscale()
        'log'
    """
    check_axes("plot_range_test", ax)
    rules = name_list("plot_range_test", f"Pass some of {', '.join(RULES)}", rules=rules)
    for rule in rules or ():
        check_choice("plot_range_test", tuple(RULES), rules=rule)
    drawn = picture_of("plot_range_test", RangeTestPicture, "lr_find", result, rules)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ax.set_xscale("log")
    _draw_losses(ax, drawn)
    ax.set_xlim(drawn.learning_rates[0] / 1.4, 1.4 * drawn.learning_rates[-1])
    ax.set_xlabel("Learning rate (per update, log scale)")
    ax.set_ylabel("Loss (mean per sample)")
    ax.text(
        *(0.5, 0.97),
        drawn.note,
        transform=ax.transAxes,
        ha="center",
        va="top",
        color=style.accent(ax),
        fontsize=style.font_points(ax),
    )
    style.settle(ax)
    _make_room(ax, drawn, _draw_marks(ax, drawn))
    return ax


def _draw_losses(ax: Axes, drawn: RangeTestPicture) -> None:
    rates, losses = drawn.steps
    first = style.color(ax, 0)
    if drawn.spread is not None:
        lower, upper = drawn.spread
        ax.fill_between(rates, lower, upper, color=first, alpha=0.25, lw=0, label="quartiles")
    name = "batch loss (median)" if drawn.repeated else "batch loss"
    ax.plot(rates, losses, ".", color=first, alpha=0.5, ms=4, label=name)
    if drawn.probe_losses is not None:
        color = style.color(ax, 1)
        ax.plot(rates, drawn.probe_losses, "x", color=color, ms=3.5, label="probe loss")
    if drawn.validation_losses is not None:
        known = np.isfinite(drawn.validation_losses)
        ax.plot(
            rates[known],
            drawn.validation_losses[known],
            "--",
            color=style.color(ax, 2),
            label="validation loss",
        )
    ax.plot(drawn.learning_rates, drawn.smoothed, color=first, lw=2, label="smoothed")


def _draw_marks(ax: Axes, drawn: RangeTestPicture) -> float:
    """Name each suggestion on a row of its own above the curve, with a stem down to it.

    A label stands to the right of its stem, or to the left where it would run out of the Axes.
    Rows are fixed in points, so that labels never overlap, however large the picture is.

    Returns:
        The share of the height that the rows take.
    """
    size = style.font_points(ax)
    row = _ROW_FONTS * size
    leftwards = [_leaves_on_the_right(ax, mark, size) for mark in drawn.marks]
    # On the right, a label crosses no stem if smaller rates are above; on the left, if larger are.
    order = sorted(range(len(leftwards)), key=lambda i: (leftwards[i], -i if leftwards[i] else i))
    for place, index in enumerate(order):
        mark, left = drawn.marks[index], leftwards[index]
        chosen = mark.rule == "consensus"
        color = style.accent(ax) if chosen else style.muted(ax)
        ax.plot(mark.learning_rate, mark.loss, "o", color=color, ms=6 if chosen else 4, zorder=4)
        down = ScaledTranslation(0.0, -row * (place + 0.75) / 72.0, ax.figure.dpi_scale_trans)
        ax.annotate(
            _label(mark),
            xy=(mark.learning_rate, mark.loss),
            xytext=(mark.learning_rate, 1.0),
            textcoords=ax.get_xaxis_transform() + down,
            ha="right" if left else "left",
            va="center",
            color=color,
            bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.7, "pad": 0},
            fontsize=size,
            fontweight=_weight(mark),
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "lw": 0.8,
                "relpos": (1 if left else 0, 0.5),
            },
        )
    rows = len(order) or bool(drawn.note)
    return min(_MOST_SHARE, row * (rows + 0.5) * ax.figure.dpi / 72.0 / ax.bbox.height)


def _label(mark: Mark) -> str:
    return f" {mark.rule} {mark.learning_rate:.1e} "


def _weight(mark: Mark) -> str:
    return "bold" if mark.rule == "consensus" else "normal"


def _leaves_on_the_right(ax: Axes, mark: Mark, size: float) -> bool:
    """Return whether a label to the right of its stem would leave the Axes, but not to the left."""
    text = ax.text(mark.learning_rate, 0.5, _label(mark), fontsize=size, fontweight=_weight(mark))
    box = text.get_window_extent()
    text.remove()
    return bool(box.x1 > ax.bbox.x1 and box.x0 - box.width >= ax.bbox.x0)


def _make_room(ax: Axes, drawn: RangeTestPicture, labels: float) -> None:
    """Set the limits so that labels stand above what is drawn and the legend below or beside it."""
    low, high = drawn.limits
    span = (high - low) or abs(high) or 1.0
    low, high = low - 0.05 * span, high + 0.05 * span
    box = style.legend(ax, "lower left", *ax.get_legend_handles_labels())
    legend = (box.y1 - ax.bbox.y0) / ax.bbox.height + 0.01
    beside = _lowest(ax, float(ax.transData.inverted().transform((box.x1, box.y1))[0]))
    share = 1.0 - labels - legend
    if share > 0.1:  # what is above the legend must not come below its upper edge
        low = min(low, (beside * (1.0 - labels) - legend * high) / share)
    ax.set_ylim(low, low + (high - low) / (1.0 - labels))


def _lowest(ax: Axes, right: float) -> float:
    """Return the lowest value that is drawn up to a learning rate."""
    points = np.concatenate([line.get_xydata() for line in ax.lines])
    values = points[(points[:, 0] <= right) & np.isfinite(points[:, 1])][:, 1]
    return float(values.min()) if len(values) else np.inf
