"""Colours, lines and legends that the pictures share, for any width, background and printer."""

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

# Okabe and Ito's colours, told apart by colour-blind readers too: blue, orange, green, purple, and
# red for what was chosen; lighter ones for dark backgrounds.
_ON_LIGHT = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
_ON_DARK = ("#56B4E9", "#E69F00", "#2FC99A", "#CC79A7", "#FF7F3F")
_LINES = ("-", "--", "-.", ":")  # told apart in grey
_NARROW_INCHES = 4.0
_FONT_POINTS = (7.0, 8.5)  # of legends and labels in narrow axes and others
_TICK_INCHES = 0.25  # between labels of an upright axis
_PASSES = 2  # the layout moves once more when limits have changed
_GAP_POINTS = 4.0  # below a legend: half a marker at the top of what is drawn
_LETTER = 0.56  # the width of a letter, in sizes of its font
_HANDLE = 7  # letters that a line and the room around it take
_DECADES = (3.0, 1.5)  # of a logarithmic axis, and of a narrow one: more have powers of ten alone
Corner = Literal["upper left", "lower left"]
_COMPACT: dict[str, Any] = {
    "edgecolor": "none",
    "framealpha": 1.0,
    "borderpad": 0.2,
    "borderaxespad": 0.3,
    "handlelength": 1.6,
    "labelspacing": 0.25,
    "columnspacing": 1.2,
}


def is_dark(ax: Axes) -> bool:
    """Return whether light colours stand out on the Axes."""
    face = ax.get_facecolor()
    seen = face if to_rgba(face)[3] > 0 else ax.figure.get_facecolor()
    return float(np.dot(to_rgb(seen), (0.299, 0.587, 0.114))) < 0.5


def color(ax: Axes, number: int) -> str:
    """Return a colour of a curve, counted from 0."""
    colors = (_ON_DARK if is_dark(ax) else _ON_LIGHT)[:-1]
    return colors[number % len(colors)]


def line(number: int) -> str:
    """Return the line of a curve: another one where colours are repeated, too."""
    colors = len(_ON_LIGHT) - 1
    return _LINES[(number + number // colors) % len(_LINES)]


def accent(ax: Axes) -> str:
    """Return the colour of what was chosen."""
    return (_ON_DARK if is_dark(ax) else _ON_LIGHT)[-1]


def muted(ax: Axes) -> str:
    """Return the colour of what was not chosen, readable on the Axes."""
    return "0.75" if is_dark(ax) else "0.3"


def width_inches(ax: Axes) -> float:
    """Return the width of the Axes."""
    return float(ax.bbox.width / ax.figure.dpi)


def is_narrow(ax: Axes) -> bool:
    """Return whether the Axes are as wide as a column of a paper, not a page."""
    return width_inches(ax) < _NARROW_INCHES


def font_points(ax: Axes) -> float:
    """Return the size of small print that suits the width of the Axes."""
    return _FONT_POINTS[not is_narrow(ax)]


def settle(ax: Axes) -> None:
    """Let the layout take place, so that sizes are those of the picture."""
    ax.figure.canvas.figure.draw_without_rendering()


def legend(ax: Axes, corner: Corner, handles: Sequence[Any], labels: Sequence[str]) -> Bbox:
    """Put a legend into a corner, with as many columns as fit: at the top, or one below another.

    Args:
        ax: The Axes, settled.
        corner: `"upper left"`, for a band above what is drawn, or `"lower left"`.
        handles: What is drawn.
        labels: Its names, wrapped where they are longer than the Axes are wide.

    Returns:
        What it covers, in pixels.
    """
    size = font_points(ax)
    characters = max(8, int(width_inches(ax) * 72.0 / (_LETTER * size)) - _HANDLE)
    wrapped = [textwrap.fill(label, characters) for label in labels]
    box = Bbox.null()
    for columns in range(min(len(handles), 4) if corner == "upper left" else 1, 0, -1):
        made = ax.legend(handles, wrapped, ncols=columns, loc=corner, fontsize=size, **_COMPACT)
        made.set_in_layout(False)
        box = made.get_window_extent()
        if box.width <= 0.97 * ax.bbox.width:
            break
    return box


def legend_above(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend into a band of its own above what is drawn."""
    limits = ax.get_ylim()
    for _ in range(_PASSES if handles else 0):
        settle(ax)
        box = legend(ax, "upper left", handles, labels)
        ax.set_ylim(limits)
        gap = _GAP_POINTS * ax.figure.dpi / 72.0
        raise_top(ax, float((ax.bbox.y1 - box.y0 + gap) / ax.bbox.height))


def label_decades(ax: Axes) -> None:
    """Give short logarithmic axes a few plain numbers, in place of powers of ten with factors."""
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        low, high = min(limits), max(limits)
        most = _DECADES[axis is ax.xaxis and is_narrow(ax)]
        if axis.get_scale() == "log" and low > 0.0 and high < low * 10.0**most:
            wide = high > 10.0 * low
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if wide else (1.0, 2.0, 3.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


def decades(ax: Axes, first: int, last: int) -> list[float]:
    """Return powers of ten to label, from the highest down, as many as the height has room for.

    Args:
        ax: The Axes, on whose axis there is a decade below the first for what is lower, and 0.
        first: The exponent of the lowest one.
        last: That of the highest.
    """
    room = max(2, int(ax.bbox.height / ax.figure.dpi / _TICK_INCHES))
    every = -(-(last - first + 2) // room)
    return [10.0**n for n in range(last, first - 1, -every) if n - first + 1 >= every]


def raise_top(ax: Axes, share: float) -> None:
    """Extend the view upwards, so that a share of the Axes' height is free above what is drawn."""
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(ax.get_ylim())
    top = low + (high - low) / (1.0 - min(share, 0.7))
    ax.set_ylim(top=float(transform.inverted().transform(top)))
