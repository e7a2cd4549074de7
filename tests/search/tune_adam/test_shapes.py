"""The shapes: what a run is trained with is what the schedule says, and ends where it should."""

import numpy as np
import pytest

from keras_lr.search.tune_adam.shapes import SHAPES, rates_of, schedule_of, share_left

LENGTHS = (2, 3, 20, 101, 1000)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", LENGTHS)
def test_the_rates_of_a_run_are_those_of_its_schedule(shape, steps):
    rates = rates_of(shape, 0.3, 0.1, steps)
    values = schedule_of(shape, 0.3, 0.1, steps).values(range(steps))
    np.testing.assert_allclose(rates, values, rtol=1e-4)
    assert rates[-1] / 0.3 == pytest.approx(share_left(shape, 0.1, steps))
    assert rates.max() == pytest.approx(0.3)
    assert (rates > 0).all()


def test_linear_warms_up_through_a_twentieth_and_falls_to_zero():
    rates = rates_of("linear", 1.0, 0.1, 1000)
    assert int(np.argmax(rates)) == 50
    np.testing.assert_allclose(np.diff(rates[:51]), 1 / 51)
    np.testing.assert_allclose(np.diff(rates[50:]), -1 / 950)
    assert float(schedule_of("linear", 1.0, 0.1, 1000)(1000)) == pytest.approx(0.0, abs=1e-6)
