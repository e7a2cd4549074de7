"""The space of `tune_adam`: decay as a share left at the end, points, grid."""

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lr.search.tune_adam.shapes import decay_for
from keras_lr.search.tune_adam.space import AdamSettings, AdamSpace, grid_size


@given(st.floats(1e-3, 1.0), st.integers(2, 10**6))
def test_decay_leaves_the_share_in_the_last_update(share, steps):
    decay = decay_for(share, steps)
    assert 1 / (1 + decay * (steps - 1)) == pytest.approx(share, rel=1e-9)


def test_the_rates_are_hyperbolic():
    rates = AdamSettings(lr=0.2, final_share=0.25).rates(31)
    assert rates.tolist() == pytest.approx([0.2 / (1 + 0.1 * i) for i in range(31)])


def test_no_decay_is_a_constant():
    assert set(AdamSettings(lr=0.2, final_share=1.0).rates(50)) == {0.2}


def test_a_point_is_asked_for_within_the_ranges():
    space = AdamSpace(lr=(0.01, 0.1), start=0.05, weight_decay=(1e-3, 1e-1), momentum=(0.8, 0.9))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = [space.suggest(study.ask()) for _ in range(50)]
    for name, (low, high) in {
        "lr": (0.01, 0.1),
        "final_share": (0.01, 1.0),
        "weight_decay": (1e-3, 1e-1),
        "momentum": (0.8, 0.9),
    }.items():
        values = np.array([getattr(point, name) for point in points])
        assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("others", [{}, {"momentum": (0.8, 0.9)}])
def test_the_grid_has_the_corners_and_the_size_it_says(others):
    grid = AdamSpace(lr=(0.01, 0.1), start=0.05, **others).grid()
    assert len(grid) == grid_size(len(others))
    corners = {(round(point["lr"], 6), round(point["final_share"], 6)) for point in grid}
    assert {(0.01, 0.01), (0.01, 1.0), (0.1, 0.01), (0.1, 1.0)} <= corners
    assert len({tuple(point.values()) for point in grid}) == len(grid)
