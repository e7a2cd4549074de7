"""Drawing of a sweep: how every learning rate ended, and how it got there."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from keras_lr.plot import style
from keras_lr.plot.given import picture_of, several_axes
from keras_lr.search.sweep.picture import SweepPicture

_NAMES = {"loss": "training (last quarter)", "val_loss": "validation"}
_BESIDE_INCHES = 5.0  # the narrowest figure with both panels beside each other
_WIDER = 1.5  # than matplotlib is set to: there are two panels
_CURVES = {"loss": (0, "o-"), "val_loss": (1, "s--")}


def plot_sweep(result: Any, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw a sweep: the U-curve of final losses, and the fan of losses over the steps.

    Left, what each learning rate ended at, with crosses at the top for those that diverged and
    quartiles shaded if the sweep was repeated. Right, the running means on the way, coloured by
    learning rate. The best one is marked in both.

    Args:
        result: What `lr_sweep` returned.
        axes: Where to draw the two; None makes a figure, with one below the other if figures are
            set to be as narrow as a column. Nothing is shown and no global style changed.

    Returns:
        The two Axes, U-curve and fan.

    Raises:
        TypeError: If `result` is none, or `axes` are no Axes.
        ValueError: If there is no finite loss to draw, or `axes` are not two.

    Example:
        >>> import numpy as np
        >>> from keras_lr import plot_sweep
        >>> from keras_lr.search.sweep.result import SweepResult
        >>> rates = np.geomspace(1e-3, 1.0, 4)
        >>> losses = np.exp(-np.outer(rates, np.arange(50.0)))
        >>> result = SweepResult(
        ...     learning_rates=rates, losses=losses, repeat_losses=losses[None],
        ...     final={"loss": losses[:, -12:].mean(axis=1)}, diverged=np.zeros(4, bool),
        ...     stopped_at=np.full(4, 50), cost_steps=200)
        >>> [ax.get_xscale() for ax in plot_sweep(result)]
        ['log', 'linear']
    """
    drawn = picture_of("plot_sweep", SweepPicture, "lr_sweep", result)
    if axes is None:
        axes = _new_axes()
    else:
        fix = "Pass two, or None for a new figure"
        first, second = several_axes("plot_sweep", axes, 2, "axes must be two", fix)
        axes = first, second
    for ax in axes:
        ax.set_ylim(*drawn.limits)
        if ax is axes[0] or ax.bbox.y0 != axes[0].bbox.y0:  # beside each other, they share it
            ax.set_ylabel("Loss (mean per sample)")
    _draw_u_curve(axes[0], drawn)
    _draw_fan(axes[1], drawn)
    style.label_decades(axes[0])
    style.legend_above(axes[0], *axes[0].get_legend_handles_labels())
    axes[1].set_ylim(axes[0].get_ylim())
    return axes


def _new_axes() -> tuple[Axes, Axes]:
    """Return two Axes, beside each other unless figures are set to be as narrow as a column."""
    width = plt.rcParams["figure.figsize"][0]
    if width < _BESIDE_INCHES:
        _, made = plt.subplots(2, figsize=(width, 1.4 * width), layout="constrained")
    else:
        size = (_WIDER * width, 0.4 * _WIDER * width)
        _, made = plt.subplots(1, 2, figsize=size, layout="constrained", sharey=True)
    return made[0], made[1]


def _draw_u_curve(ax: Axes, drawn: SweepPicture) -> None:
    rates = drawn.learning_rates
    ax.set_xscale("log")
    for name, values in drawn.final.items():
        number, look = _CURVES[name]
        ax.plot(rates, values, look, color=style.color(ax, number), ms=4, label=_NAMES[name])
    if drawn.quartiles is not None:
        lower, upper = drawn.quartiles
        ax.fill_between(
            rates, lower, upper, color=style.color(ax, 0), alpha=0.25, lw=0, label="quartiles"
        )
    if drawn.beyond.any():
        top = np.full(int(drawn.beyond.sum()), drawn.limits[1])
        gray = style.muted(ax)
        ax.plot(rates[drawn.beyond], top, "x", color=gray, label="diverged", clip_on=False)
    label = f"best {drawn.best_lr:.1e}"
    ax.axvline(drawn.best_lr, color=style.accent(ax), lw=1, ls="-.", label=label)
    ax.set_xlabel("Learning rate (per update)")


def _draw_fan(ax: Axes, drawn: SweepPicture) -> None:
    rates = drawn.learning_rates
    norm = LogNorm(rates[0], rates[-1]) if len(rates) > 1 else LogNorm(rates[0] / 2, rates[0] * 2)
    colors = ScalarMappable(norm, "viridis")
    steps = np.arange(drawn.fan.shape[1])
    for rate, losses in zip(rates, drawn.fan, strict=True):
        best = rate == drawn.best_lr
        color = style.accent(ax) if best else colors.to_rgba(rate)
        ax.plot(steps, losses, color=color, lw=2.2 if best else 1.0, zorder=3 if best else 2)
    ax.set_xlabel("Step (updates)")
    ax.figure.colorbar(colors, ax=ax, label="Learning rate (per update)")
