"""Pictures of any width and on any ground: nothing is cut and no label covers another."""

from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from keras_lr import RangeTestResult, SweepResult, plot_history, plot_schedule, schedules
from keras_lr.plot import style

WIDTHS = (3.3, 6.5)
RATES = np.geomspace(1e-6, 100.0, 161)
CLEAN = 2.0 - 1.5 / (1.0 + 1e-3 / RATES) + RATES


def range_test(ax):
    noisy = CLEAN + np.random.default_rng(0).normal(0.0, 0.1, (5, len(RATES)))
    result = RangeTestResult(
        learning_rates=RATES,
        losses=np.median(noisy, axis=0),
        smoothed_losses=CLEAN,
        stop_reason="completed",
        default_learning_rate=1e-3,
        probe_losses=CLEAN,
        validation_losses=CLEAN + 0.2,
        repeat_losses=noisy,
    )
    result.plot(ax=ax)


def rates(ax):
    cosine = schedules.Cosine(0.1, 0.0, steps=900).warmup(100).clip(low=0.001)
    plot_schedule(cosine, schedules.OneCycle(0.1, 1000), schedules.WSD(0.1, 1000, 200), ax=ax)


def run(ax):
    logs = {"loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.3, 1.0]}
    history = SimpleNamespace(history=logs, epoch=[0, 1, 2], params={})
    actions = ("reduce", "rescue", "restart", "stop")
    done = [SimpleNamespace(epoch=1, action=action) for action in actions]
    plot_history(history, callbacks=SimpleNamespace(events=done), axes=[ax])


DRAWN = {"range_test": range_test, "schedule": rates, "history": run}


@pytest.fixture(params=WIDTHS, ids=str)
def ax(request):
    figure, axes = plt.subplots(figsize=(request.param, 0.75 * request.param), layout="constrained")
    yield axes
    plt.close(figure)


def boxes(ax):
    """Return the places of the labels and of the legend, after the figure has been drawn."""
    ax.figure.canvas.draw()
    texts = [each for each in ax.texts if each.get_text()]
    plain = [plt.Text.get_window_extent(text) for text in texts]  # without stems
    return plain, ax.get_legend().get_window_extent()


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_runs_out_of_the_axes(ax, name):
    DRAWN[name](ax)
    labels, legend = boxes(ax)
    for box in [*labels, legend]:
        assert box.x0 >= ax.bbox.x0 - 1
        assert box.x1 <= ax.bbox.x1 + 1
        assert box.y0 >= ax.bbox.y0 - 1
        assert box.y1 <= ax.bbox.y1 + 1


@pytest.mark.parametrize("name", DRAWN)
def test_the_legend_covers_no_curve_and_no_label(ax, name):
    DRAWN[name](ax)
    labels, legend = boxes(ax)
    for line in ax.get_legend_handles_labels()[0]:
        if hasattr(line, "get_xydata") and line.get_transform() == ax.transData:
            points = ax.transData.transform(line.get_xydata())
            seen = points[np.isfinite(points).all(axis=1)]
            covered = (
                (seen[:, 0] > legend.x0)
                & (seen[:, 0] < legend.x1)
                & (seen[:, 1] > legend.y0)
                & (seen[:, 1] < legend.y1)
            )
            assert not covered.any(), line.get_label()
    assert not any(legend.overlaps(box) for box in labels)


def test_labels_of_suggestions_never_overlap(ax):
    range_test(ax)
    labels, _ = boxes(ax)
    assert len(labels) >= 5
    rows = sorted((box.y0, box.y1) for box in labels)
    assert all(below[1] <= above[0] + 1.0 for below, above in pairwise(rows))


@pytest.mark.parametrize("ground", ["white", "black"])
def test_colours_stand_out_from_the_ground_and_from_each_other_in_grey(ground):
    figure, ax = plt.subplots(facecolor=ground, subplot_kw={"facecolor": ground})
    grey = [0.299, 0.587, 0.114]
    shades = [np.dot(to_rgb(color), grey) for color in [style.color(ax, n) for n in range(4)]]
    shades += [np.dot(to_rgb(style.accent(ax)), grey), np.dot(to_rgb(style.muted(ax)), grey)]
    assert min(abs(np.array(shades) - np.dot(to_rgb(ground), grey))) > 0.2
    curves = {(style.color(ax, number), style.line(number)) for number in range(16)}
    assert len(curves) == 16
    assert len({style.line(number) for number in range(4)}) == 4  # what is alike in grey
    plt.close(figure)


def test_the_ground_is_that_of_the_figure_where_axes_have_none():
    figure, ax = plt.subplots(facecolor="black")
    ax.set_facecolor("none")
    assert style.is_dark(ax)
    plt.close(figure)


def test_a_sweep_beside_and_below(ax):
    losses = np.exp(-np.outer([0.01, 0.1], np.arange(20.0)))
    result = SweepResult(
        learning_rates=np.array([0.01, 0.1]),
        losses=losses,
        repeat_losses=losses[None],
        final={"loss": losses[:, -5:].mean(axis=1)},
        diverged=np.zeros(2, bool),
        stopped_at=np.full(2, 20),
        cost_steps=40,
    )
    for shape, shared in (((1, 2), True), ((2, 1), False)):
        axes = ax.figure.subplots(*shape)
        result.plot(axes)
        assert (axes[1].get_ylabel() == "") == shared
        assert axes[0].get_ylim() == axes[1].get_ylim()
