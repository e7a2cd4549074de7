"""The smoothed loss against its closed form, and when a sweep stops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lr.search.range_test.loss_watch import LossWatch

LOSSES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


@given(losses=LOSSES, smoothing=st.floats(0, 0.99))
def test_smoothed_loss_is_the_weighted_mean_of_its_definition(losses, smoothing):
    watch = LossWatch(smoothing, None)
    for loss in losses:
        watch.update(loss)
    weights = smoothing ** np.arange(len(losses))[::-1]
    expected = np.average(losses, weights=weights)
    assert watch.smoothed[-1] == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(losses=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50))
def test_a_probe_stops_exactly_where_the_smoothed_loss_exceeds_its_best(losses):
    watch = LossWatch(0.9, 4.0, noisy=False)
    for count, loss in enumerate(losses, 1):
        stopped = watch.update(loss) is not None
        assert stopped == (watch.smoothed[-1] > 4.0 * min(watch.smoothed[:count]))
        if stopped:
            break


@given(losses=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50))
def test_batches_stop_it_only_where_the_smoothed_loss_exceeds_its_best(losses):
    watch = LossWatch(0.9, 4.0)
    for count, loss in enumerate(losses, 1):
        if watch.update(loss) is not None:
            assert watch.smoothed[-1] > 4.0 * min(watch.smoothed[:count])
            break


@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
def test_a_curve_without_noise_stops_where_fastai_stops(middle):
    rates = np.geomspace(1e-6, 100.0, 100)
    watch = LossWatch(0.98, 4.0)
    for count, loss in enumerate(2.0 - 1.9 / (1.0 + middle / rates) + rates**2, 1):
        stopped = watch.update(float(loss)) is not None
        assert stopped == (watch.smoothed[-1] > 4.0 * min(watch.smoothed[:count]))
        if stopped:
            break
    assert stopped


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_stops_at_a_loss_that_is_not_finite(loss):
    watch = LossWatch(0.98, None)
    assert watch.update(1.0) is None
    assert watch.update(loss).startswith("the loss is not finite")


def test_never_stops_on_finite_losses_without_a_factor():
    watch = LossWatch(0.0, None)
    assert [watch.update(loss) for loss in (1.0, 0.1, 1e9)] == [None, None, None]


def test_a_negative_loss_may_rise_by_a_multiple_of_its_fall():
    watch = LossWatch(0.0, 4.0, noisy=False)  # falls by 3 to -2, so it may come up to -2 + 3 * 3
    assert [watch.update(loss) for loss in (1.0, -2.0, 6.9)] == [None, None, None]
    assert watch.update(7.1).startswith("diverged")
