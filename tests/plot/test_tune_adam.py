"""The picture of lr and decay: its map, its points, its labels."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from keras_lr.plot.tune_adam import picture, plot_tune_adam
from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult


def trial(number, lr, share, loss, state="complete", repeat=0):
    return AdamTrial(
        number=number, lr=lr, decay=0.0, final_share=share, weight_decay=None, momentum=None,
        repeat=repeat, state=state, loss=loss, steps=100,
    )  # fmt: skip


TRIALS = (
    trial(0, 0.01, 1.0, 3.0),
    trial(1, 0.1, 0.1, 1.0),
    trial(2, 0.1, 0.1, 2.0, repeat=1),
    trial(3, 0.02, 0.02, 9.0, "pruned"),
    trial(4, 0.3, 1.0, np.inf, "diverged"),
)
RESULT = AdamTuneResult(
    lr=0.1, decay=0.09, final_share=0.1, weight_decay=None, momentum=None, loss=1.5,
    standard_error=0.1, within_noise=True, ties=TRIALS[:2], chosen=TRIALS[1], trials=TRIALS,
    lr_range=(0.003, 0.3), total_steps=100, cost_steps=500, finished=True, momentum_name=None,
    study=None,
)  # fmt: skip


def test_one_other_setting_is_no_plural():
    assert "within the noise of 1 other setting;" in repr(RESULT)


@pytest.fixture
def ax():
    drawn = RESULT.plot()
    yield drawn
    plt.close(drawn.figure)


def test_repeats_of_a_setting_are_one_point_at_their_mean():
    drawn = picture(RESULT)
    assert drawn.lr.tolist() == [0.01, 0.1]
    assert drawn.loss.tolist() == [3.0, 1.5]
    assert drawn.pruned.T.tolist() == [[0.02, 0.02]]
    assert drawn.diverged.T.tolist() == [[0.3, 1.0]]


def test_the_map_is_near_a_trial_its_loss_and_far_from_all_or_among_pruned_ones_nothing():
    drawn = picture(RESULT)

    def at(lr, share):
        row = np.searchsorted(drawn.share_edges, share) - 1
        return drawn.map[row, np.searchsorted(drawn.lr_edges, lr) - 1]

    assert at(0.01, 0.99) == pytest.approx(3.0, abs=0.01)
    assert at(0.1, 0.1) == pytest.approx(1.5, abs=0.01)
    assert 1.5 <= at(0.09, 0.13) < 1.6
    assert np.isnan(at(0.02, 0.02))
    assert np.isnan(at(0.0031, 0.011))


def test_what_is_drawn_is_named(ax):
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    chosen = "chosen: lr=1.0e-01, decay=9.0e-02"
    assert names == ["pruned", "diverged", "whole run", "as good", chosen]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlim() == pytest.approx((0.003, 0.3))
    assert "Learning rate" in ax.get_xlabel()


def test_it_draws_where_it_is_told():
    figure, ax = plt.subplots()
    assert plot_tune_adam(RESULT, ax) is ax
    plt.close(figure)
