"""Drawing of a `FitResult`: the trials, the learning rate that was applied, and the loss."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.one_call.picture import FitPicture
from keras_lr.plot import style
from keras_lr.plot.given import picture_of, several_axes

_PANEL_INCHES = 1.9
_MARGIN = 0.03  # of the length of the run, on both sides
_MOST_POINTS = 30  # of a curve that are marked one by one
_FACTOR_OF_LOG = 5.0  # between the highest and the lowest loss, for a logarithmic axis


def plot_fit(result: Any, axes: Any = None) -> "np.ndarray[Any, np.dtype[np.object_]]":
    """Draw how a model was trained: its trials, the learning rate of each update, the loss.

    Args:
        result: What `fit` returned.
        axes: Where to draw, one for each panel: three, or two where there were no trials. None
            makes a figure. Nothing is shown and no global style changed.

    Returns:
        The axes, object[n].

    Raises:
        TypeError: If `result` is something else, or `axes` are no Axes.
        ValueError: If there are too few or too many of them.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import plot_fit
        >>> from keras_lr import fit
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 4))
        >>> result = fit(model, x, x[:, :1], epochs=5, tune=0.05, verbose=0)
        >>> [ax.get_ylabel() for ax in plot_fit(result)]
        ['Learning rate', 'Loss']
    """
    drawn = picture_of("plot_fit", FitPicture, "fit", result)
    panels = [_draw_rates, _draw_losses]
    if drawn.untrained is not None:
        panels.insert(0, _draw_trials)
    if axes is None:
        width = plt.rcParams["figure.figsize"][0]
        figure = plt.figure(figsize=(width, _PANEL_INCHES * len(panels)), layout="constrained")
        listed = list(figure.subplots(len(panels), squeeze=False)[:, 0])
    else:
        rule = f"there must be one of axes for each of the {len(panels)} panels"
        listed = several_axes("plot_fit", axes, len(panels), rule, "Pass a list of them")
    for draw, ax in zip(panels, listed, strict=True):
        draw(ax, drawn)
        ax.grid(alpha=0.2)
    length = len(drawn.rates)
    for ax in listed[-2:]:
        ax.set_xlim(-_MARGIN * length, (1.0 + _MARGIN) * length)
    if axes is None:
        listed[-2].sharex(listed[-1])
        listed[-2].tick_params(labelbottom=False)
        listed[-2].set_xlabel("")
        figure.align_ylabels(listed)
    for ax in listed:
        style.label_decades(ax)
        style.legend_above(ax, *ax.get_legend_handles_labels())
    return np.array(listed, dtype=object)


def _draw_trials(ax: Axes, drawn: FitPicture) -> None:
    rates, losses = drawn.trial_rates, drawn.trial_losses
    good = losses < (drawn.untrained or np.inf)
    gray = style.muted(ax)
    ax.set_xscale("log")
    ax.axhline(drawn.untrained or 0.0, color=gray, lw=1, ls=":", label="untrained")
    ax.plot(rates[good], losses[good], "o", color=style.color(ax, 0), label="trials")
    if not good.all():
        beyond = np.full(int((~good).sum()), drawn.untrained)
        ax.plot(rates[~good], beyond, "x", color=gray, ms=7, label="no better")
    ax.axvline(drawn.peak, color=style.accent(ax), lw=1.5, label=f"peak {drawn.peak:.2g}")
    ax.margins(x=0.15, y=0.15)
    ax.set_xlabel("Learning rate")
    ax.set_ylabel("Probe loss")


def _draw_rates(ax: Axes, drawn: FitPicture) -> None:
    values = np.append(drawn.rates, drawn.rates[-1:])  # the last one holds for an update, too
    color = style.color(ax, 0)
    ax.plot(np.arange(len(values)), values, color=color, drawstyle="steps-post")
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("Update")
    ax.set_ylabel("Learning rate")


def _draw_losses(ax: Axes, drawn: FitPicture) -> None:
    for number, (label, line) in enumerate(drawn.losses.items()):
        look: dict[str, Any] = {"color": style.color(ax, number), "ls": style.line(number)}
        look["marker"] = "." if len(line.values) <= _MOST_POINTS else None
        ax.plot(line.updates, line.values, label=label, **look)
    if drawn.kept is not None:
        ring: dict[str, Any] = {"mfc": "none", "color": style.accent(ax), "ms": 8, "zorder": 4}
        ax.plot(*drawn.kept, "o", label=f"kept: {drawn.kept_label}", **ring)
    values = np.concatenate([line.values for line in drawn.losses.values()] or [np.ones(1)])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > _FACTOR_OF_LOG * values.min():
        ax.set_yscale("log")
    ax.set_xlabel("Update")
    ax.set_ylabel("Loss")
