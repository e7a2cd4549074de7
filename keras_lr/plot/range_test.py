"""Drawing of a range test: losses over the learning rate, and the suggestions."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.errors import check_choice
from keras_lr.plot import marks, style
from keras_lr.plot.given import check_axes, name_list, picture_of
from keras_lr.search.range_test.picture import RangeTestPicture
from keras_lr.search.suggest import RULES


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
        >>> import numpy as np
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
    style.label_decades(ax)
    _write_note(ax, drawn.note)
    style.settle(ax)
    _make_room(ax, drawn, marks.draw(ax, drawn.marks, rows=bool(drawn.note)))
    return ax


def _write_note(ax: Axes, note: str) -> None:
    look: dict[str, Any] = {"color": style.accent(ax), "fontsize": style.font_points(ax)}
    look["bbox"] = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1}
    ax.text(0.5, 0.97, note, transform=ax.transAxes, ha="center", va="top", zorder=5, **look)


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
