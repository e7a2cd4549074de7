"""The picture of lr and decay: its map, its points, its labels."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from keras_lr.plot.tune_adam import plot_tune_adam
from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult
from keras_lr.search.tune_adam.surface import Surface


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
    drawn = RESULT.picture()
    assert drawn.lr.tolist() == [0.01, 0.1]
    assert drawn.loss.tolist() == [3.0, 1.5]
    assert drawn.pruned.T.tolist() == [[0.02, 0.02]]
    assert drawn.diverged.T.tolist() == [[0.3, 1.0]]


GRID = tuple(
    trial(n, lr, share, 2.0 * np.exp(0.4 * (np.log10(lr) + 2) ** 2 + 0.1 * np.log10(share) ** 2))
    for n, (lr, share) in enumerate((r, s) for r in (0.003, 0.01, 0.1) for s in (0.03, 0.2, 1.0))
)


def test_the_contours_are_of_a_fit_and_go_no_further_than_there_are_runs():
    result = replace(RESULT, trials=GRID, chosen=GRID[5], ties=(GRID[5],))
    drawn = result.picture()

    def at(lr, share):
        row = np.abs(np.log(drawn.grid_share / share)).argmin()
        return drawn.fitted[row, np.abs(np.log(drawn.grid_lr / lr)).argmin()]

    for each in GRID:
        assert at(each.lr, each.final_share) == pytest.approx(each.loss, rel=0.08)
    assert at(0.01, 0.5) < at(0.003, 0.5) < at(0.1, 0.5)
    few = RESULT.picture()
    assert np.isnan(few.fitted[0, -1])  # far from every whole run
    ax = plot_tune_adam(result)
    assert any(len(line.get_paths()) > 1 for line in ax.collections if hasattr(line, "levels"))
    plt.close(ax.figure)


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


def run(number, shape, lr, loss, **changed):
    made = trial(number, lr, 1.0, loss, **changed)
    return replace(made, shape=shape)


CENTRES = {"constant": 0.01, "linear": 0.03}
RUNS = (
    run(0, "constant", 0.01, 1.0),
    run(1, "linear", 0.03, 0.8),
    run(2, "constant", 0.003, 1.2),
    run(3, "linear", 0.01, 1.0),
    run(4, "constant", 0.03, 1.3),
    run(5, "linear", 0.1, np.inf, state="diverged"),
)


def by_surface(trials=RUNS, factor=1.0, **changed):
    points = [(t.shape, t.lr, factor * t.loss if factor > 0 else t.loss - 3) for t in trials]
    surface = Surface(points, CENTRES)
    lowest = surface.lowest("linear")
    fields = {"shape": "linear", "lr": lowest.lr, "loss": lowest.loss, "surface": surface}
    runs = [replace(t, loss=point[2]) for t, point in zip(trials, points, strict=True)]
    return replace(RESULT, **fields, trials=tuple(runs), chosen=runs[1], ties=(runs[1],), **changed)


def test_a_curve_is_the_fitted_loss_within_reach_of_the_runs():
    result = by_surface()
    drawn = result.picture()
    assert set(drawn.curves) == {"constant", "linear"}
    for shape, curve in drawn.curves.items():
        assert (curve.lr[0], curve.lr[-1]) == pytest.approx(result.surface.reach(shape))
        np.testing.assert_allclose(curve.loss, result.surface.loss(shape, curve.lr))
        assert curve.noise == result.surface.noise
    assert drawn.curves["linear"].runs.T.tolist() == [[0.03, 0.8], [0.01, 1.0]]
    assert drawn.curves["linear"].beyond.tolist() == [0.1]
    assert drawn.limits[0] < result.loss < drawn.limits[1]


def test_what_is_drawn_of_a_surface_is_named():
    result = by_surface()
    ax = plot_tune_adam(result)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["constant", "linear", f"chosen: {result.lr:.2g}", "diverged"]
    assert ax.get_xscale() == "log"
    low, high = result.picture().limits  # and a band for the legend above
    assert ax.get_ylim()[0] == pytest.approx(low)
    assert high < ax.get_ylim()[1] < high + 0.5 * (high - low)
    fitted = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(fitted["linear"], result.picture().curves["linear"].loss)
    plt.close(ax.figure)


@pytest.mark.parametrize("factor", [1e-6, 1e6, -1])
def test_losses_of_any_size_and_sign_are_drawn(factor):
    result = by_surface(factor=factor)
    ax = plot_tune_adam(result)
    low, high = ax.get_ylim()
    assert low < result.loss < high
    assert high - low < 4 * abs(result.loss)
    plt.close(ax.figure)


def test_runs_with_other_weight_decay_are_shown_apart():
    other = replace(run(6, "linear", 0.02, 0.9), weight_decay=0.1, momentum=0.8)
    result = by_surface()
    drawn = replace(result, trials=(*result.trials, other)).picture()
    assert drawn.curves["linear"].others.T.tolist() == [[0.02, 0.9]]
    assert drawn.curves["linear"].runs.shape == (2, 2)
