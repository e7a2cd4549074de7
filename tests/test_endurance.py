"""Threads, files, compiled functions and objects that many searches and fits leave behind: none."""

import pytest

from benchmarks.endurance import USES, growth, long_fit, use_of

LONG = {"tune_adam", "fit"}  # seconds each


@pytest.mark.parametrize("name", USES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_is_left_behind(name):
    left = growth(use_of(name), 2 if name in LONG else 5)
    del left["mib"]  # of which five calls say nothing
    assert left == dict.fromkeys(left, 0)


def test_a_long_driven_fit_is_exact():
    shown = long_fit(steps=600, epochs=30)
    assert shown["largest_error"] < 1e-8
