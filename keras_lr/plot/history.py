"""The picture of a run: loss, metrics and the learning rate that was applied, epoch by epoch."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_lr.errors import complaint
from keras_lr.plot import style
from keras_lr.plot.given import items, several_axes
from keras_lr.plot.history_data import HistoryMark, HistoryPanel, history_marks, history_panels

_MAX_MARKS = 60  # of one action: more hide the curves
_PANEL_SHARE = 0.35  # the height of a panel, of its width
_MOST_POINTS = 60  # of a curve that are marked one by one
_DECADES = 4.0  # of the rate's axis: what is lower is drawn at 0
_MARKS: dict[str, tuple[int | None, Any]] = {  # the number of the colour, and the line
    "reduce": (None, ":"),
    "increase": (2, (0, (1, 3))),
    "restart": (3, "-."),
    "rescue": (-1, "--"),
    "stop": (None, "-"),
}


def plot_history(
    history: Any,
    *,
    callbacks: Any = (),
    metrics: str | Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Draw the loss, the metrics and the learning rate of a run, one above the other.

    The learning rate is what the run logged as `learning_rate`, which is what was applied; every
    learning-rate callback of this library logs it. A vertical line marks each event of the
    callbacks: reductions, increases, restarts, rescues and the stop. More than 60 of a kind, which
    would hide the curves, are left out.

    Keras keeps no record of the epochs at which it validated. The values are drawn as the smallest
    `validation_freq` that fits their number would place them; if none does, it was a list, and they
    are spread evenly. Of a `History` that was passed to several fits, the last fit is drawn, with
    the metrics that were logged in every epoch of all of them.

    Args:
        history: What `fit` returned.
        callbacks: A callback of the run with `events`, such as `ReduceOnPlateauPlus`, or several.
        metrics: The metrics to show, one name or several, without `val_`. Default: the loss, then
            all others.
        axes: Where to draw, one for each panel. Default: a new figure.

    Returns:
        The axes, object[n], not yet shown: the metrics', then those of the learning rate, the
        momentum and the weight decay, if they were logged.

    Raises:
        TypeError: If `history` is not what `fit` returned, or `callbacks`, `metrics` or `axes` are
            something else than these.
        ValueError: If nothing was logged, a metric was not, or `axes` are too few or too many.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr.callbacks.plateau import ReduceOnPlateauPlus
        >>> from keras_lr.plot.history import plot_history
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> plateau = ReduceOnPlateauPlus("loss", patience=1)
        >>> x = np.ones((8, 1))
        >>> history = model.fit(x, x, epochs=2, verbose=0, callbacks=[plateau])
        >>> axes = plot_history(history, callbacks=plateau)
        >>> [ax.get_ylabel() for ax in axes]
        ['loss', 'learning rate']
    """
    panels = history_panels(history, metrics)
    steps = (getattr(history, "params", None) or {}).get("steps")
    listed = items(callbacks)
    for each in listed:
        if not (hasattr(each, "events") or isinstance(each, keras.callbacks.Callback)):
            rule, fix = "callbacks must be callbacks of the run", "Pass those given to fit"
            raise TypeError(complaint("plot_history", rule, fix, callbacks=each))
    marks = history_marks(listed, steps)
    counts = Counter(mark.action for mark in marks)
    marks = [mark for mark in marks if counts[mark.action] <= _MAX_MARKS]
    if axes is None:
        width = plt.rcParams["figure.figsize"][0]
        height = _PANEL_SHARE * width
        figure = plt.figure(figsize=(width, height * len(panels)), layout="constrained")
        drawn = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    else:
        fix = "Pass one for each panel, or name fewer metrics"
        rule = f"there must be one of axes for each of the {len(panels)} panels"
        listed_axes = several_axes("plot_history", axes, len(panels), rule, fix)
        drawn = np.array(listed_axes, dtype=object)
    for ax, panel in zip(drawn, panels, strict=True):
        _draw(ax, panel, marks)
    drawn[-1].set_xlabel("epoch")
    shown: set[str] = set()
    for ax in drawn:
        shown = _draw_legend(ax, shown)
    return drawn


def _draw(ax: Axes, panel: HistoryPanel, marks: Sequence[HistoryMark]) -> None:
    look: dict[str, Any] = {"drawstyle": "steps-pre"} if panel.stairs else {}
    if not panel.stairs and len(panel.epochs) <= _MOST_POINTS:
        look = {"marker": "."}
    for number, (label, values) in enumerate(panel.lines.items()):
        epochs = panel.epochs
        if panel.stairs:  # the first value holds from the beginning
            epochs, values = np.append(epochs[0] - 1, epochs), np.append(values[0], values)
        look |= {"color": style.color(ax, number), "linestyle": style.line(number)}
        ax.plot(epochs, values, label=label, **look)
    if panel.stairs:
        _scale(ax, np.concatenate(list(panel.lines.values())))
    named: set[str] = set()
    for mark in marks:
        which, line = _MARKS.get(mark.action, (None, ":"))
        color = style.muted(ax) if which is None else style.color(ax, which)
        color = style.accent(ax) if which == -1 else color
        label = f"{'_' * (mark.action in named)}{mark.action}"  # a legend names each once
        ax.axvline(mark.epochs, color=color, linestyle=line, linewidth=1, label=label)
        named.add(mark.action)
    ax.set_ylabel(panel.title)
    ax.grid(alpha=0.2)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _scale(ax: Axes, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Take a logarithmic axis where a value changes by a factor: of so many decades, and 0."""
    highest = float(np.nanmax(values))
    if not highest > 0.0:
        return
    floor = highest * 10.0**-_DECADES
    lowest = float(np.min(values[values > floor]))
    if highest <= 3.0 * lowest:
        return
    if np.nanmin(values) > floor:
        ax.set_yscale("log")
        style.label_decades(ax)
    else:
        first = int(np.floor(np.log10(lowest)))
        ax.set_yscale("symlog", linthresh=10.0**first)
        ax.set_ylim(bottom=0.0)
        ax.set_yticks([0.0, *style.decades(ax, first, int(np.floor(np.log10(1.1 * highest))))])


def _draw_legend(ax: Axes, shown: set[str]) -> set[str]:
    """Name what the panels above have not named, and return the names of all of them."""
    handles, labels = ax.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    if len([label for label in named if label not in _MARKS]) == 1:
        named.pop("applied", None)  # the axis says so
    new = {label: handle for label, handle in named.items() if label not in shown}
    style.legend_above(ax, list(new.values()), list(new))
    return shown | set(new)
