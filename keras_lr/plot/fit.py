"""Drawing of a `FitResult`: the trials, the learning rate that was applied, and the loss."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.one_call.picture import FitPicture
from keras_lr.plot.given import picture_of, several_axes

_PANEL_INCHES, _NARROW_INCHES = 1.9, 5.0


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
    if axes is None:
        listed[-2].sharex(listed[-1])
        listed[-2].tick_params(labelbottom=False)
        listed[-2].set_xlabel("")
        figure.align_ylabels(listed)
    return np.array(listed, dtype=object)


def _draw_trials(ax: Axes, drawn: FitPicture) -> None:
    rates, losses = drawn.trial_rates, drawn.trial_losses
    good = losses < (drawn.untrained or np.inf)
    ax.set_xscale("log")
    ax.axhline(drawn.untrained or 0.0, color="0.5", lw=1, ls=":", label="untrained")
    ax.plot(rates[good], losses[good], "o", color="C0", label="trials")
    if not good.all():
        beyond = np.full(int((~good).sum()), drawn.untrained)
        ax.plot(rates[~good], beyond, "x", color="0.5", ms=7, label="no better")
    ax.axvline(drawn.peak, color="C3", lw=1.5, label=f"peak {drawn.peak:.2g}")
    ax.margins(x=0.15, y=0.15)
    ax.set_xlabel("Learning rate")
    ax.set_ylabel("Probe loss")
    _legend(ax)


def _draw_rates(ax: Axes, drawn: FitPicture) -> None:
    ax.plot(np.arange(len(drawn.rates)), drawn.rates, color="C3", drawstyle="steps-post")
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("Update")
    ax.set_ylabel("Learning rate")


def _draw_losses(ax: Axes, drawn: FitPicture) -> None:
    for color, (label, line) in zip(("C0", "C1"), drawn.losses.items(), strict=False):
        marker = "." if len(line.values) < 30 else None
        ax.plot(line.updates, line.values, color=color, marker=marker, label=label)
    if drawn.kept is not None:
        ax.plot(*drawn.kept, "o", mfc="none", color="C3", ms=8, label=f"kept: {drawn.kept_label}")
    values = np.concatenate([line.values for line in drawn.losses.values()] or [np.ones(1)])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 5 * values.min():
        ax.set_yscale("log")
    ax.set_xlabel("Update")
    ax.set_ylabel("Loss")
    if drawn.losses:
        _legend(ax)


def _legend(ax: Axes) -> None:
    figure = ax.get_figure(root=True)
    narrow = figure is not None and figure.get_figwidth() < _NARROW_INCHES
    ax.legend(
        fontsize="small",
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.0,
        ncols=2 if narrow else 4,
        columnspacing=1.2,
        handlelength=1.5,
    )
