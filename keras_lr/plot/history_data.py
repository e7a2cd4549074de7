"""The data of the picture of a run: panels and marks, read off what `fit` has logged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_lr.errors import complaint
from keras_lr.plot.given import name_list

_RATE = "learning_rate"
_DRIVEN = (_RATE, "momentum", "weight_decay")


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
    driven = [name for name in logs if _driven(name) is not None]
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
        names = [name for name in driven if _driven(name) == title]
        whole = "base" if any("/" in name for name in names) else "applied"
        lines = {
            name.removeprefix(title).strip("_/") or whole: _values(logs[name], epochs)
            for name in names
        }
        if lines:
            panels.append(HistoryPanel(title.replace("_", " "), epochs, lines, stairs=True))
    return panels


def _driven(name: str) -> str | None:
    """Return which hyperparameter a log is of: the whole optimizer's, or that of one or a group."""
    if name.startswith(f"{_RATE}_") or name.startswith(f"{_RATE}/"):  # optimizers, or groups
        return _RATE
    return name if name in _DRIVEN else None


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
