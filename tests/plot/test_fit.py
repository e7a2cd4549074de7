"""The picture of a fit."""

import itertools
import math

import keras
import numpy as np
import pytest
from matplotlib import pyplot as plt

from keras_lr.one_call import FitResult
from keras_lr.plot.fit import plot_fit
from keras_lr.schedules import Trapezoid
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune.result import TuneResult


def result(*trials, val=(0.8, 0.4, 0.5), **fields):
    history = keras.callbacks.History()
    history.epoch = [0, 1, 2]
    history.history = {"loss": [0.9, 0.3, 0.1], "val_loss": list(val)}
    tuning = TuneResult(
        learning_rate=0.006,
        trials=tuple(Trial(*trial) for trial in trials),
        untrained=1.0,
        short_run_learning_rate=0.012,
        trial_steps=50,
        total_steps=500,
        beta=0.0,
        cost_steps=150,
    )
    return FitResult(
        history=history,
        tuning=tuning if trials else None,
        schedule=Trapezoid(0.006, 30),
        peak=0.006,
        peak_source="trials" if trials else "given",
        total_steps=180,
        training_steps=30,
        learning_rates=Trapezoid(0.006, 30).values(np.arange(30)),
        epoch_ends=(10, 20, 30),
        **{"kept": "average 0.98", "kept_value": 0.4, "kept_epoch": 1, **fields},
    )


TRIED = result((-2.0, 0.5), (-1.1, math.inf), (-2.9, 0.8))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_trials_the_rates_and_the_losses_are_there():
    drawn = TRIED.picture()
    np.testing.assert_allclose(drawn.trial_rates, 10.0 ** np.array([-2.9, -2.0, -1.1]))
    np.testing.assert_array_equal(drawn.trial_losses, [0.8, 0.5, np.nan])
    assert drawn.untrained == 1.0
    np.testing.assert_array_equal(drawn.rates, TRIED.learning_rates)
    assert drawn.losses["training"].updates.tolist() == [10, 20, 30]
    assert drawn.losses["validation"].values.tolist() == [0.8, 0.4, 0.5]
    assert (drawn.kept, drawn.kept_label) == ((20.0, 0.4), "average 0.98")


def test_validation_that_is_not_in_every_epoch_is_placed_where_it_was():
    drawn = result(val=(0.4,), kept_epoch=None).picture()
    assert drawn.losses["validation"].updates.tolist() == [30]
    assert drawn.kept == (30.0, 0.4)


def test_a_panel_for_each():
    axes = plot_fit(TRIED)
    assert [ax.get_ylabel() for ax in axes] == ["Probe loss", "Learning rate", "Loss"]
    assert axes[0].get_xscale() == "log"
    said = [text.get_text() for text in axes[2].get_legend().get_texts()]
    assert said == ["training", "validation", "kept: average 0.98"]
    axes = result().plot()
    assert [ax.get_ylabel() for ax in axes] == ["Learning rate", "Loss"]


@pytest.mark.parametrize("given", [False, True])
def test_the_whole_run_is_in_view(given):
    axes = plot_fit(TRIED, plt.subplots(3)[1] if given else None)
    for ax in axes[1:]:
        low, high = ax.get_xlim()
        assert low <= 0
        assert high >= 30


def test_it_is_drawn_where_it_is_wanted():
    _figure, wanted = plt.subplots(3)
    axes = plot_fit(TRIED, wanted)
    assert list(axes) == list(wanted)
    with pytest.raises(ValueError, match="one of axes for each of the 3 panels"):
        plot_fit(TRIED, wanted[:2])
    with pytest.raises(TypeError, match="result must be a FitResult"):
        plot_fit({})


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("width", [3.3, 6.5])
def test_nothing_overlaps_in_a_column_or_a_page(style, width):
    with plt.style.context(style), plt.rc_context({"figure.figsize": (width, 4.0)}):
        axes = plot_fit(TRIED)
        figure = axes[0].figure
        figure.canvas.draw()
        boxes = [ax.get_tightbbox() for ax in axes]
        for upper, lower in itertools.pairwise(boxes):
            assert upper.y0 >= lower.y1 - 1.0
        assert all(ax.get_window_extent().width > 0.6 * figure.bbox.width for ax in axes)
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width + 1 for box in boxes)
