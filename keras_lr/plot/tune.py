"""Drawing of a tuning: trials, parabola, correction and choice."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from keras_lr.plot import style
from keras_lr.plot.given import check_axes, picture_of
from keras_lr.search.tune.picture import TunePicture


def plot_tune(result: Any, ax: Axes | None = None) -> Axes:
    """Draw how a learning rate was found: the trials, the parabola, the correction, the choice.

    Args:
        result: What `tune_lr` returned.
        ax: Where to draw; None makes a figure. Nothing is shown and no global style changed.

    Returns:
        The Axes.

    Raises:
        TypeError: If `result` is none, or `ax` is no Axes.

    Example:
        >>> from keras_lr import plot_tune
        >>> from keras_lr import TuneResult
        >>> from keras_lr.search.tune.climb import Trial
        >>> result = TuneResult(
        ...     learning_rate=0.006, trials=(Trial(-2.0, 0.5), Trial(-1.1, 0.9), Trial(-2.9, 0.8)),
        ...     untrained=1.0, short_run_learning_rate=0.01, trial_steps=100, total_steps=500,
        ...     beta=0.3, cost_steps=300)
        >>> plot_tune(result).get_xscale()
        'log'
    """
    check_axes("plot_tune", ax)
    drawn = picture_of("plot_tune", TunePicture, "tune_lr", result)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ax.set_xscale("log")
    first, muted = style.color(ax, 0), style.muted(ax)
    ax.axhline(drawn.untrained, color=muted, lw=1, ls=":", label="untrained model")
    (parabola,) = ax.plot(*drawn.parabola, color=first, lw=1.5, label="parabola")
    inside = ~drawn.beyond
    name = f"trials of {drawn.trial_steps} steps"
    (dots,) = ax.plot(drawn.rates[inside], drawn.scores[inside], "o", color=first, label=name)
    if drawn.beyond.any():
        rates, scores = drawn.rates[drawn.beyond], drawn.scores[drawn.beyond]
        ax.plot(rates, scores, "x", color=muted, ms=7, label="trial diverged or got worse")
    _draw_choice(ax, drawn)
    ax.set_xlabel("Learning rate (per update, log scale)")
    ax.set_ylabel(f"{'Probe and validation' if drawn.validated else 'Probe'} loss after the trial")
    _set_limits(ax, drawn)
    style.label_decades(ax)
    handles, labels = ax.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    if drawn.parabola.size:  # they share a line of the legend
        named.pop("parabola")
        named[name] = (dots, parabola)
    style.legend_above(ax, list(named.values()), list(named))
    return ax


def _draw_choice(ax: Axes, drawn: TunePicture) -> None:
    """Mark the best learning rate of a trial, and the one it was corrected to."""
    short, choice, color = drawn.short, drawn.choice, style.accent(ax)
    ax.axvline(short, color=color, lw=1, ls="--", label=f"best for a trial: {short:.1e}")
    label = f"chosen for {drawn.total_steps} steps: {choice:.1e}"
    ax.axvline(choice, color=color, lw=1.8, label=label)


def _set_limits(ax: Axes, drawn: TunePicture) -> None:
    losses = np.concatenate([drawn.scores, drawn.parabola[1]])
    low, high = float(losses.min()), drawn.untrained
    room = (high - low) or abs(high) or 1.0
    ax.set_ylim(low - 0.06 * room, high + 0.08 * room)
    if low >= 0:  # there may be room below zero, but no loss
        bottom, top = ax.get_ylim()
        ax.set_yticks([tick for tick in ax.get_yticks() if max(0.0, bottom) <= tick <= top])
