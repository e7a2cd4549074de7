"""Pictures of any width and on any ground: nothing is cut and no label covers another."""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from keras_lr import (
    AdamTuneResult,
    FitResult,
    RangeTestResult,
    SweepResult,
    TuneResult,
    plot_fit,
    plot_history,
    plot_schedule,
    plot_tune,
    plot_tune_adam,
    schedules,
)
from keras_lr.plot import marks as suggestions
from keras_lr.plot import style
from keras_lr.search.range_test.picture import Mark
from keras_lr.search.suggest import RULES
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune_adam.result import AdamTrial
from keras_lr.search.tune_adam.surface import Surface

WIDTHS = (3.3, 6.5)
RATES = np.geomspace(1e-6, 100.0, 161)
TUNE = partial(
    TuneResult,
    learning_rate=0.021,
    untrained=2.4,
    short_run_learning_rate=0.03,
    trial_steps=50,
    total_steps=1140,
    beta=0.1,
    cost_steps=200,
)
CLEAN = 2.0 - 1.5 / (1.0 + 1e-3 / RATES) + RATES


def adam_run(number, lr, loss, *, final_share=1.0, state="complete"):
    return AdamTrial(
        number=number, lr=lr, decay=0.0, final_share=final_share, weight_decay=None,
        momentum=None, repeat=0, state=state, loss=loss, steps=100,
    )  # fmt: skip


def adam_result(runs, surface, ties=()):
    best = min(runs, key=lambda each: each.loss)
    return AdamTuneResult(
        lr=best.lr, decay=0.0015, final_share=best.final_share, weight_decay=None, momentum=None,
        loss=best.loss, standard_error=None, within_noise=None, ties=ties, chosen=best,
        trials=tuple(runs), lr_range=(0.001, 0.1), total_steps=100, cost_steps=300, finished=True,
        momentum_name=None, study=None, surface=surface,
    )  # fmt: skip


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


def tuning(ax):
    trials = [Trial(-3.1, 1.9), Trial(-2.3, 0.9), Trial(-1.5, 0.02), Trial(-0.7, np.inf)]
    plot_tune(TUNE(trials=tuple(trials)), ax)


def shapes_of_adam(ax):
    tried = ((0.003, 2.0), (0.01, 1.0), (0.03, 1.5))
    runs = [adam_run(number, lr, loss) for number, (lr, loss) in enumerate(tried)]
    runs.append(adam_run(3, 0.1, np.inf, state="diverged"))
    surface = Surface([(t.shape, t.lr, t.loss) for t in runs], {"decay": 0.01})
    plot_tune_adam(adam_result(runs, surface), ax)


def map_of_adam(ax):
    places = [(lr, share) for lr in (0.001, 0.01, 0.1) for share in (0.02, 0.2, 1.0)]
    runs = [
        adam_run(n, lr, 1.0 + np.log10(lr / 0.01) ** 2, final_share=share)
        for n, (lr, share) in enumerate(places)
    ]
    plot_tune_adam(adam_result(runs, None, ties=tuple(runs[:2])), ax)


def fitted(ax):
    done = SimpleNamespace(
        history={"loss": [2.0, 1.0, 0.1], "val_loss": [2.1, 1.3, 0.2]}, epoch=[0, 1, 2]
    )
    result = FitResult(
        history=done,
        tuning=None,
        schedule=schedules.Trapezoid(0.1, 30),
        peak=0.1,
        peak_source="given",
        total_steps=30,
        training_steps=30,
        learning_rates=schedules.Trapezoid(0.1, 30).values(np.arange(30)),
        epoch_ends=(10, 20, 30),
        kept="average 0.98",
        kept_value=0.2,
        kept_epoch=2,
    )
    plot_fit(result, [ax.figure.add_axes((0.0, 0.0, 0.01, 0.01)), ax])


DRAWN = {
    "range_test": range_test,
    "schedule": rates,
    "history": run,
    "tune": tuning,
    "adam": shapes_of_adam,
    "adam_map": map_of_adam,
    "fit": fitted,
}


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


RATES_OF_MARKS = ((1e-5, 2e-3, 3e-3, 4e-3), (0.01, 0.02, 0.5, 0.6), (1e-6, 0.3, 0.5, 0.9), (1e-6,))


@pytest.mark.parametrize("rates", RATES_OF_MARKS, ids=str)
def test_no_label_of_a_suggestion_covers_the_stem_of_another(ax, rates):
    marks = [Mark(rule, rate, 1.0) for rule, rate in zip(RULES, rates, strict=False)]
    ax.set(xscale="log", xlim=(1e-6, 1.0), ylim=(0.0, 1.5))
    style.settle(ax)
    suggestions.draw(ax, marks)
    boxes_of_labels, stems = [], []
    ax.figure.canvas.draw()
    for text in ax.texts:
        box = plt.Text.get_window_extent(text)
        foot = ax.transData.transform(text.xy)
        boxes_of_labels.append(box)
        stems.append((foot[0], foot[1], (box.y0 + box.y1) / 2))
    for place, box in enumerate(boxes_of_labels):
        for other, (x, low, high) in enumerate(stems):
            crossed = box.x0 < x - 1 and x + 1 < box.x1 and low < box.y1 and high > box.y0
            assert place == other or not crossed, (ax.texts[place].get_text(), rates)


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
