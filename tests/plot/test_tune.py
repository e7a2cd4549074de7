"""The picture of a tuning."""

import math

import numpy as np
import pytest
from matplotlib import pyplot as plt

from keras_lr.plot.tune import plot_tune
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune.result import TuneResult


def result(*trials):
    return TuneResult(
        learning_rate=0.006,
        trials=tuple(Trial(*trial) for trial in trials),
        untrained=1.0,
        short_run_learning_rate=0.01,
        trial_steps=100,
        total_steps=500,
        beta=0.3,
        cost_steps=300,
    )


BRACKETED = result((-2.0, 0.5), (-1.1, math.inf), (-2.9, 0.8))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_parabola_goes_through_the_trials_it_was_read_from():
    drawn = BRACKETED.picture()
    np.testing.assert_allclose(drawn.rates, 10.0 ** np.array([-2.9, -2.0, -1.1]))
    np.testing.assert_allclose(drawn.scores, [0.8, 0.5, 1.0])
    assert drawn.beyond.tolist() == [False, False, True]
    at_trials = np.interp(np.log(drawn.rates), np.log(drawn.parabola[0]), drawn.parabola[1])
    np.testing.assert_allclose(at_trials, drawn.scores, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.9), (0.0, 0.99), (0.1, 0.5)])
def test_the_parabola_shows_no_loss_below_zero_where_there_is_none(low, high):
    steep = result((-2.9, high), (-2.0, low), (-1.1, 0.3 * high))
    drawn = steep.picture()
    assert drawn.parabola[1].min() >= 0
    ax = plot_tune(steep)
    assert min(ax.get_yticks()) >= 0
    assert all(line.get_ydata().min() >= 0 for line in ax.lines if line.get_label() == "parabola")
    below = result((-2.9, 0.5), (-2.0, -1.0), (-1.1, 0.2)).picture()
    assert below.parabola[1].min() <= -1.0


def test_without_two_neighbours_there_is_no_parabola():
    assert result((-2.0, 0.5), (-1.1, 0.8)).picture().parabola.size == 0


def test_choice_and_correction_are_named():
    ax = plot_tune(BRACKETED)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "chosen for 500 steps: 6.0e-03" in labels
    assert "best for a trial: 1.0e-02" in labels
    assert "trial diverged or got worse" in labels
    assert "Learning rate" in ax.get_xlabel()


def test_given_axes_are_used():
    _, ax = plt.subplots()
    assert BRACKETED.plot(ax) is ax
