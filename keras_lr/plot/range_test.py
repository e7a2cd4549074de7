"""Drawing of a range test: losses over the learning rate, and the suggestions."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.errors import check_choice
from keras_lr.plot.given import check_axes, name_list, picture_of
from keras_lr.search.range_test.picture import RangeTestPicture
from keras_lr.search.suggest import RULES

_ROW_POINTS = 12.0  # the height of one label
_FONT_POINTS = 8.5
_LABEL_SHARE = 0.3  # of the width, enough for a label in a figure of the usual size


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
    _draw_marks(ax, drawn)
    ax.text(0.5, 0.97, drawn.note, transform=ax.transAxes, ha="center", va="top", color="C3")
    ax.set_xlabel("Learning rate (per update, log scale)")
    ax.set_ylabel("Loss (mean per sample)")
    ax.legend(loc="lower left", fontsize=_FONT_POINTS)
    return ax


def _draw_losses(ax: Axes, drawn: RangeTestPicture) -> None:
    rates, losses = drawn.steps
    if drawn.spread is not None:
        lower, upper = drawn.spread
        ax.fill_between(rates, lower, upper, color="C0", alpha=0.2, lw=0, label="quartiles")
    name = "batch loss (median)" if drawn.repeated else "batch loss"
    ax.plot(rates, losses, ".", color="C0", alpha=0.4, ms=5, label=name)
    if drawn.probe_losses is not None:
        ax.plot(rates, drawn.probe_losses, ".", color="C1", ms=5, label="probe loss")
    if drawn.validation_losses is not None:
        known = np.isfinite(drawn.validation_losses)
        ax.plot(
            rates[known], drawn.validation_losses[known], "--", color="C2", label="validation loss"
        )
    ax.plot(drawn.learning_rates, drawn.smoothed, color="C0", lw=2, label="smoothed")


def _draw_marks(ax: Axes, drawn: RangeTestPicture) -> None:
    """Name each suggestion on a row of its own above the curve, with a stem down to it.

    The smallest learning rate has the top row, so that no label crosses the stem of another.
    """
    low, high = drawn.limits
    span = (high - low) or abs(high) or 1.0
    row = _ROW_POINTS / (ax.bbox.height * 72.0 / ax.figure.dpi)
    band = min(0.6, row * (len(drawn.marks) + 0.5))
    first, last = drawn.learning_rates[[0, -1]]
    room = (last / first) ** _LABEL_SHARE
    ax.set_xlim(
        first / 1.4, max([1.4 * last, *(room * mark.learning_rate for mark in drawn.marks)])
    )
    ax.set_ylim(low - 0.05 * span, low + 1.05 * span / (1.0 - band))
    for index, mark in enumerate(drawn.marks):
        chosen = mark.rule == "consensus"
        color = "C3" if chosen else "0.35"
        ax.plot(mark.learning_rate, mark.loss, "o", color=color, ms=7 if chosen else 4.5, zorder=4)
        ax.annotate(
            f" {mark.rule} {mark.learning_rate:.1e}",
            xy=(mark.learning_rate, mark.loss),
            xytext=(mark.learning_rate, 1.0 - row * (index + 0.75)),
            textcoords=ax.get_xaxis_transform(),
            va="center",
            color=color,
            bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.7, "pad": 0},
            fontsize=_FONT_POINTS,
            fontweight="bold" if chosen else "normal",
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.8, "relpos": (0, 0.5)},
        )
