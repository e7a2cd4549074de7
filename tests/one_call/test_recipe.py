"""The arithmetic of `fit`, without a model."""

import math

import keras
import numpy as np
import pytest

from keras_lr import schedules
from keras_lr.one_call.recipe import delayed, peak_of, shaped, trial_steps
from keras_lr.search.tune.climb import ProbeClimb


def climbed(*trials, untrained=3.0):
    climb = ProbeClimb(start=-2.0, untrained=untrained)
    for x, score in trials:
        climb = climb.tell(x, score)
    return climb


def test_the_peak_is_half_of_the_vertex():
    a, b, c = (-2.9, 1.5), (-2.0, 1.0), (-1.1, 1.2)
    curve = np.polyfit(*np.array([a, b, c]).T, 2)
    vertex = -curve[1] / (2 * curve[0])
    assert peak_of(climbed(b, c, a)) == pytest.approx(0.5 * 10**vertex)


@pytest.mark.parametrize("beyond", [math.inf, 3.0, 4.0])
def test_a_cliff_above_the_best_trial_says_nothing_of_the_slope(beyond):
    climb = climbed((-2.0, 1.0), (-1.1, beyond), (-2.9, 1.5))
    assert climb.vertex() < -2.0
    assert peak_of(climb) == pytest.approx(0.5 * 10**-2.0)


def test_a_vertex_above_the_best_trial_stays():
    climb = climbed((-2.0, 1.0), (-1.1, 3.5), (-2.9, 2.99))
    assert peak_of(climb) == pytest.approx(0.5 * 10 ** max(climb.vertex(), -2.0))
    slope = climbed((-2.0, 1.0), (-1.1, 1.1), (-2.9, 2.9))
    assert slope.vertex() > -2.0
    assert peak_of(slope) == pytest.approx(0.5 * 10 ** slope.vertex())


def test_a_best_trial_at_the_edge_is_the_peak_s_own():
    assert peak_of(climbed((-2.0, 2.0), (-1.1, 1.0))) == pytest.approx(0.5 * 10**-1.1)


def closed_form(peak, steps):
    i = np.arange(steps)
    return peak * np.minimum(1, np.minimum((i + 1) / (0.05 * steps), (steps - i) / (0.3 * steps)))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 19, 20, 21, 33, 100, 350, 1000, 12345])
def test_the_usual_shape_has_its_closed_form(steps):
    shape = shaped(None, 0.02, steps)
    np.testing.assert_allclose(
        shape.values(np.arange(steps)), closed_form(0.02, steps), rtol=1e-4, atol=1e-9
    )
    assert shape.steps == steps


def test_a_function_of_peak_and_length_makes_the_schedule():
    shape = shaped(lambda peak, total: schedules.Cosine(peak, 0.0, steps=total), 0.2, 40)
    assert shape == schedules.Cosine(0.2, 0.0, steps=40)


def test_a_schedule_is_scaled_to_the_peak_and_stretched_to_the_run():
    shape = shaped(schedules.Cosine(7.0, 0.0, steps=1000), 0.2, 40)
    np.testing.assert_allclose(
        shape.values(np.arange(41)), schedules.Cosine(0.2, 0.0, steps=40).values(np.arange(41)),
        atol=1e-7,
    )  # fmt: skip
    rising = shaped(schedules.Linear(0.0, 3.0, steps=10), 0.2, 10)
    assert rising.values(np.arange(10)).max() == pytest.approx(0.2)


@pytest.mark.parametrize(
    "given",
    [
        schedules.InverseTime(3.0, 0.1),
        keras.optimizers.schedules.ExponentialDecay(3.0, 10, 0.5),
        lambda step: 3.0 * 0.9**step,
        lambda step: 3.0 if step < 5 else 1.0,
    ],
)
def test_an_endless_shape_is_scaled_to_the_peak(given):
    values = np.array([float(given(step)) for step in range(30)])
    found = shaped(given, 0.2, 30).values(np.arange(30))
    np.testing.assert_allclose(found, values / values.max() * 0.2, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (lambda step: 0.0, ValueError, "somewhere positive"),
        (schedules.Constant(0.0), ValueError, "somewhere positive"),
        (lambda peak, total: "cosine", TypeError, "schedule must be a schedule"),
        (lambda peak, total: None, TypeError, "schedule must be a schedule"),
        (lambda step: 1.0 - step, ValueError, "not negative"),
        (lambda step: float("nan"), ValueError, "must be finite"),
    ],
)
def test_a_shape_of_nothing_is_refused(shape, error, message):
    with pytest.raises(error, match=message):
        shaped(shape, 0.1, 30)


def test_a_delayed_schedule_begins_later():
    late = delayed(schedules.Linear(1.0, 0.0, steps=4), 3)
    assert late.values(range(8)).tolist() == [1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_short_runs_have_short_trials_or_none():
    lengths = {1: 0, 199: 0, 200: 20, 333: 33, 449: 44, 450: 50, 10**6: 50}
    assert {total: trial_steps(total) for total in lengths} == lengths
