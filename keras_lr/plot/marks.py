"""Labels of suggestions above a curve, with stems down to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox, ScaledTranslation

from keras_lr.plot import style
from keras_lr.search.range_test.picture import Mark

_ROW_FONTS = 1.35  # the height of a row of labels, in sizes of their font
_MOST_SHARE = 0.6  # of the height, for the labels


def draw(ax: Axes, marks: Sequence[Mark], rows: int = 0) -> float:
    """Name each suggestion on a row of its own above the curve, with a stem down to it.

    A label stands to the right of its stem, or to the left where it would run out of the Axes or
    cross the stem of such a one. Rows are fixed in points, so that labels never overlap, however
    large the picture is.

    Args:
        ax: The Axes, settled.
        marks: The suggestions, from the smallest learning rate to the largest.
        rows: Rows to leave free where there are none.

    Returns:
        The share of the height that the rows take.
    """
    size = style.font_points(ax)
    row = _ROW_FONTS * size
    leftwards = _leftwards(ax, marks, size)
    # On the right, a label crosses no stem if smaller rates are above; on the left, if larger are.
    order = sorted(range(len(leftwards)), key=lambda i: (leftwards[i], -i if leftwards[i] else i))
    for place, index in enumerate(order):
        mark, left = marks[index], leftwards[index]
        chosen = mark.rule == "consensus"
        color = style.accent(ax) if chosen else style.muted(ax)
        look: dict[str, Any] = {"color": color, "ms": 6 if chosen else 4, "zorder": 4 + chosen}
        ax.plot(mark.learning_rate, mark.loss, "o", **look)
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
    rows = len(order) or rows
    return min(_MOST_SHARE, row * (rows + 0.5) * ax.figure.dpi / 72.0 / ax.bbox.height)


def _label(mark: Mark) -> str:
    return f" {mark.rule} {mark.learning_rate:.1e} "


def _weight(mark: Mark) -> str:
    return "bold" if mark.rule == "consensus" else "normal"


def _leftwards(ax: Axes, marks: Sequence[Mark], size: float) -> list[bool]:
    """Return which labels stand to the left of their stems, of marks from left to right.

    A label that would leave the Axes on the right does, and so does each whose stem is in the reach
    of such a label: their rows would have to be above each other.
    """
    left = [False] * len(marks)
    reach = np.inf
    for index in reversed(range(len(marks))):
        box = _label_box(ax, marks[index], size)
        fits = box.x0 - box.width >= ax.bbox.x0
        left[index] = fits and bool(box.x1 > ax.bbox.x1 or box.x0 >= reach)
        if left[index]:
            reach = min(reach, float(box.x0 - box.width))
    return left


def _label_box(ax: Axes, mark: Mark, size: float) -> Bbox:
    """Return what a label to the right of its stem covers, in pixels."""
    text = ax.text(mark.learning_rate, 0.5, _label(mark), fontsize=size, fontweight=_weight(mark))
    box = text.get_window_extent()
    text.remove()
    return box
