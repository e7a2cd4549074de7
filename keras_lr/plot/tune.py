"""Drawing of a tuning: trials, parabola, correction and choice."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

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
    ax.axhline(drawn.untrained, color="0.6", lw=1, ls=":", label="untrained model")
    ax.plot(*drawn.parabola, color="C0", lw=1.5, label="parabola")
    inside = ~drawn.beyond
    name = f"trials of {drawn.trial_steps} steps"
    ax.plot(drawn.rates[inside], drawn.scores[inside], "o", color="C0", label=name)
    if drawn.beyond.any():
        rates, scores = drawn.rates[drawn.beyond], drawn.scores[drawn.beyond]
        ax.plot(rates, scores, "x", color="0.4", ms=8, label="trial diverged or got worse")
    _draw_choice(ax, drawn)
    ax.set_xlabel("Learning rate (per update, log scale)")
    judged = "Mean of probe and validation loss" if drawn.validated else "Probe loss"
    ax.set_ylabel(f"{judged} after the trial")
    ax.legend(fontsize=8.5)
    return ax


def _draw_choice(ax: Axes, drawn: TunePicture) -> None:
    losses = np.concatenate([drawn.scores, drawn.parabola[1]])
    low, high = float(losses.min()), drawn.untrained
    room = (high - low) or 1.0
    ax.set_ylim(low - 0.15 * room, high + 0.08 * room)
    if low >= 0:  # there is room for the choice below zero, but no loss
        bottom, top = ax.get_ylim()
        ax.set_yticks([tick for tick in ax.get_yticks() if max(0.0, bottom) <= tick <= top])
    height = low - 0.07 * room
    short, choice = drawn.short, drawn.choice
    label = f"chosen for {drawn.total_steps} steps: {choice:.1e}"
    ax.plot(
        short,
        height,
        "o",
        mfc="none",
        color="C3",
        label=f"best for a trial: {short:.1e}",
    )
    ax.plot(choice, height, "o", color="C3", ms=8, label=label)
    arrow = {"arrowstyle": "->", "color": "C3", "shrinkA": 4, "shrinkB": 5}
    ax.annotate("", xy=(choice, height), xytext=(short, height), arrowprops=arrow)
