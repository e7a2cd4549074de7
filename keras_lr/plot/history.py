"""The picture of a run: loss, metrics and the learning rate that was applied, epoch by epoch."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_lr.errors import complaint
from keras_lr.plot import style
from keras_lr.plot.given import items, name_list, several_axes

_RATE = "learning_rate"
_DRIVEN = (_RATE, "momentum", "weight_decay")
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


@dataclass(frozen=True)
class HistoryPanel:
    """What one panel of the picture shows.

    Attributes:
        title: The metric's name, or `"learning rate"`.
        epochs: int64[n], the number of epochs done, from 1.
        lines: The values by label: float64[n], NaN in epochs that logged none.
        stairs: Whether a value holds throughout its epoch instead of being taken at its end.
    """

    title: str
    epochs: np.ndarray[Any, np.dtype[np.int64]]
    lines: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]
    stairs: bool = False


@dataclass(frozen=True)
class HistoryMark:
    """Something a callback did.

    Attributes:
        epochs: How many epochs were done by then.
        action: `"reduce"`, `"increase"`, `"restart"`, `"rescue"` or `"stop"`.
    """

    epochs: float
    action: str


def history_panels(history: Any, metrics: str | Sequence[str] | None = None) -> list[HistoryPanel]:
    """Compute what is to be drawn.

    Args:
        history: What `fit` returned.
        metrics: The metrics to show, without `val_`. Default: the loss, then all others.

    Returns:
        A panel per metric, with its validation values if there are any; then one of the learning
        rate, of the momentum and of the weight decay, if they were logged.

    Raises:
        TypeError: If it is something else.
        ValueError: If nothing was logged, or a metric was not.
    """
    if not isinstance(getattr(history, "history", None), Mapping):
        rule, fix = "history must be what fit returned", "Pass the History, not its dictionary"
        raise TypeError(complaint("plot_history", rule, fix, history=type(history)))
    logs, epochs = _last_fit(history)
    driven = [name for name in logs if name in _DRIVEN or name.startswith(f"{_RATE}_")]
    known = list(dict.fromkeys(name.removeprefix("val_") for name in logs if name not in driven))
    known.sort(key=lambda name: name != "loss")
    if not logs:
        rule, fix = "there must be an epoch to draw", "Pass what fit returned"
        raise ValueError(complaint("plot_history", rule, fix, history=history))
    metrics = name_list("plot_history", f"Pass some of {', '.join(known)}", metrics=metrics)
    if metrics is not None and len(metrics) == 0:
        rule, fix = "metrics must name at least one", "Leave it out for all of them"
        raise ValueError(complaint("plot_history", rule, fix, metrics=metrics))
    for name in metrics or ():
        if name not in known:
            fix = f"Pass some of {', '.join(map(repr, known))}"
            rule = "metrics must be in the history"
            raise ValueError(complaint("plot_history", rule, fix, metrics=name))
    panels = []
    for name in known if metrics is None else metrics:
        pair = {"training": name, "validation": f"val_{name}"}
        lines = {label: _values(logs[key], epochs) for label, key in pair.items() if key in logs}
        panels.append(HistoryPanel(name, epochs, lines))
    for title in _DRIVEN:
        names = [name for name in driven if name.startswith(title)]
        lines = {
            name.removeprefix(title).strip("_") or "applied": _values(logs[name], epochs)
            for name in names
        }
        if lines:
            panels.append(HistoryPanel(title.replace("_", " "), epochs, lines, stairs=True))
    return panels


def history_marks(callbacks: Iterable[Any], steps: int | None = None) -> list[HistoryMark]:
    """Return what the callbacks did, from their `events`, in order.

    Args:
        callbacks: Callbacks of the run. Those without events are passed over.
        steps: Steps in an epoch, to place what was done inside of one. Default: that stands at the
            epoch's end.

    Returns:
        A mark per event.
    """
    events = [event for callback in callbacks for event in getattr(callback, "events", ())]
    return [HistoryMark(_epochs_done(event, steps), event.action) for event in events]


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
    for mark in marks:
        which, line = _MARKS.get(mark.action, (None, ":"))
        color = style.muted(ax) if which is None else style.color(ax, which)
        color = style.accent(ax) if which == -1 else color
        ax.axvline(mark.epochs, color=color, linestyle=line, linewidth=1, label=mark.action)
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
        ax.set_yscale("symlog", linthresh=10.0 ** np.floor(np.log10(lowest)), linscale=0.5)
        ax.set_ylim(bottom=0.0)


def _draw_legend(ax: Axes, shown: set[str]) -> set[str]:
    """Name what the panels above have not named, and return the names of all of them."""
    handles, labels = ax.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    if len([label for label in named if label not in _MARKS]) == 1:
        named.pop("applied", None)  # the axis says so
    new = {label: handle for label, handle in named.items() if label not in shown}
    style.legend_above(ax, list(new.values()), list(new))
    return shown | set(new)


def _epochs_done(event: Any, steps: int | None) -> float:
    end: int = event.epoch + 1
    done = event.step / steps if steps and hasattr(event, "step") else end
    # Steps can be those of an optimizer's whole life, or updates of several batches.
    return done if event.epoch < done < end else end


def _values(logged: Sequence[float], epochs: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return logged values as floats, NaN in the epochs that logged none."""
    values = np.full(len(epochs), np.nan)
    try:
        values[_logging_epochs(len(logged), epochs)] = np.asarray(logged, np.float64)
    except (TypeError, ValueError) as error:
        rule, fix = "the history must hold a number for each epoch", "Leave what is none out"
        raise TypeError(complaint("plot_history", rule, fix, logged=logged)) from error
    return np.where(np.isfinite(values), values, np.nan)


def _last_fit(history: Any) -> tuple[dict[str, Sequence[float]], Any]:
    """Return what a fit logged and the numbers of its epochs, from 1.

    A History that the user passed to several fits has the values of all of them, but the epochs of
    the last only. Which values are of the last can be told where every epoch logged one.
    """
    values = (*history.history.values(), getattr(history, "epoch", ()))
    if not all(isinstance(each, list | tuple | np.ndarray) for each in values):
        rule, fix = "the history must hold lists", "Pass what fit returned"
        raise TypeError(complaint("plot_history", rule, fix, history=history.history))
    epochs = np.asarray(getattr(history, "epoch", ()), np.int64) + 1  # none before the first fit
    total = max(map(len, history.history.values()), default=0)
    if len(epochs) == 0 or total <= len(epochs):
        return dict(history.history) if len(epochs) else {}, epochs
    whole = {name: values for name, values in history.history.items() if len(values) == total}
    return {name: values[-len(epochs) :] for name, values in whole.items()}, epochs


def _logging_epochs(count: int, epochs: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the indices of the epochs that logged a metric `count` times.

    Keras keeps no record of `validation_freq`: it is the one that gives as many, the smallest where
    several do. Where none does, it was a list, and the values are spread evenly.
    """
    for every in range(1, int(epochs[-1]) + 1):
        due = np.flatnonzero(epochs % every == 0)
        if len(due) == count:
            return due
    return np.linspace(0, len(epochs) - 1, count + 1).round().astype(np.int64)[1:]
