"""The choice between settings: the noise of paired differences, ties, and the larger rate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_lr.search.tune_adam.choice import choose

TABLES = arrays(np.float64, (4, 5), elements=st.floats(0, 10, width=16))


def test_of_settings_run_once_the_best_is_taken_and_the_noise_is_unknown():
    choice = choose([0.1, 0.2, 0.3], [[1.0], [0.5], [0.6]])
    assert (choice.index, choice.ties, choice.standard_error) == (1, (1,), None)


def test_the_standard_error_is_that_of_paired_differences():
    losses = np.array([[1.0, 1.2, 0.9], [1.1, 1.5, 0.8], [1.3, 1.4, 1.2]])
    variances = [np.var(row - losses[0], ddof=1) for row in losses[1:]]
    assert choose([1, 2, 3], losses).standard_error == pytest.approx(
        math.sqrt(np.mean(variances) / 3)
    )


def test_what_repeats_have_in_common_is_no_noise():
    shared = np.array([0.0, 5.0, -3.0])
    choice = choose([0.1, 0.2], [1.0 + shared, 1.01 + shared])
    assert choice.ties == (0,)
    assert choice.standard_error == pytest.approx(0, abs=1e-12)


def test_the_lowest_mean_is_taken_and_what_is_as_good_told():
    losses = [[1.0, 1.2], [1.12, 1.09], [1.1, 1.15], [3.0, 3.0]]
    choice = choose([0.01, 0.1, 0.03, 0.9], losses)
    assert choice.ties == (0, 1, 2)
    assert choice.index == 0


def test_what_diverged_in_one_repeat_is_out():
    choice = choose([0.1, 0.9], [[1.0, 1.0], [0.1, math.inf]])
    assert (choice.index, choice.ties, choice.standard_error) == (0, (0,), None)


def test_nothing_can_be_chosen_if_all_diverged():
    with pytest.raises(ValueError, match="end with a finite loss"):
        choose([0.1, 0.2], [[math.inf], [math.inf]])


@given(TABLES)
def test_the_choice_is_the_best_and_ties_are_within_one_standard_error(losses):
    rates = [0.3, 0.1, 0.4, 0.2]
    choice = choose(rates, losses)
    means = losses.mean(axis=1)
    slack = choice.standard_error + 1e-12
    assert choice.index == int(np.argmin(means))
    assert choice.index in choice.ties
    assert all(means[k] <= means.min() + slack for k in choice.ties)
