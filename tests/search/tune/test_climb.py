"""The probe climb against closed forms and simulated losses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lr.search.tune.climb import (
    ProbeClimb,
    Trial,
    horizon_correction,
    parabola_vertex,
)


def climb_on(score, start, untrained, **options):
    climb = ProbeClimb(start, untrained, **options)
    while (x := climb.ask()) is not None:
        climb = climb.tell(x, score(x))
    return climb


def gradient_descent_loss(x, curvatures, steps):
    """The loss of a quadratic after gradient descent from 1 in every direction."""
    with np.errstate(over="ignore"):
        return float(0.5 * np.sum(curvatures * (1 - 10**x * curvatures) ** (2 * steps)))


@given(
    minimum=st.floats(-4, 1),
    start=st.floats(-4, 1),
    width=st.floats(0.2, 5),
    floor=st.floats(0, 5),
)
def test_a_parabola_in_reach_is_found_exactly(minimum, start, width, floor):
    def score(x):
        return floor + width * (x - minimum) ** 2

    climb = climb_on(score, start, untrained=floor + 1e3)
    bracketed = climb.trials[0].x != climb.best.x or len(climb.trials) == 3
    inside = min(climb.trials).x < climb.best.x < max(climb.trials).x
    if bracketed and inside:
        assert climb.vertex() == pytest.approx(minimum, abs=1e-6)
    else:
        assert climb.vertex() == climb.best.x
        assert len(climb.trials) == 4


@given(st.lists(st.floats(0, 10) | st.just(math.inf) | st.just(math.nan), min_size=6, max_size=6))
def test_any_scores_end_within_the_trials_allowed(scores):
    values = iter(scores)
    climb = climb_on(lambda _: next(values), start=-2.0, untrained=5.0)
    tried = [trial.x for trial in climb.trials]
    assert len(tried) == len(set(tried)) <= 4
    if climb.best.score < 5.0:
        assert min(tried) <= climb.vertex() <= max(tried)
        assert abs(climb.vertex() - climb.best.x) <= 0.9 + 1e-9
    else:
        with pytest.raises(ValueError, match="must lower the loss"):
            climb.vertex()


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_the_unit_of_the_loss_does_not_matter(offset, factor):
    def score(x):
        return min((x + 1.3) ** 2, 4.0) if x < 0.5 else math.inf

    plain = climb_on(score, -2.4, untrained=4.0)
    scaled = climb_on(lambda x: offset + factor * score(x), -2.4, untrained=offset + factor * 4.0)
    assert scaled.vertex() == pytest.approx(plain.vertex(), abs=1e-3)


def test_gradient_descent_on_a_quadratic_is_led_to_its_best_learning_rate():
    curvatures = np.geomspace(0.05, 4.0, 8)
    grid = np.linspace(-4, 1, 2001)
    losses = [gradient_descent_loss(x, curvatures, 50) for x in grid]
    best = grid[int(np.argmin(losses))]
    untrained = 0.5 * curvatures.sum()
    for start in np.linspace(best - 2, best + 0.8, 15):
        climb = climb_on(lambda x: gradient_descent_loss(x, curvatures, 50), start, untrained)
        assert abs(climb.vertex() - best) < 1.5 * climb.step  # a cliff stands right above it
        assert climb.vertex() < math.log10(2 / curvatures.max())


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 2.0, 2.0], [-2.0, -1.1, -2.9]),  # bracketed at once
        ([2.0, 1.0, 2.0], [-2.0, -1.1, -0.2]),  # uphill first
        (
            [3.0, 2.0, 1.0, 4.0],
            [-2.0, -1.1, -0.2, 0.7],
        ),  # the best is at the upper edge
        (
            [9.0, 1.0, 2.0],
            [-2.0, -2.9, -3.8],
        ),  # too high: one step down, bracketed from below
        (
            [9.0, math.inf, 1.0, 2.0],
            [-2.0, -2.9, -4.7, -5.6],
        ),  # far too high: two steps down
    ],
)
def test_where_the_trials_stand(scores, expected):
    values = iter(scores)
    climb = climb_on(lambda _: next(values), start=-2.0, untrained=5.0)
    assert [trial.x for trial in climb.trials] == pytest.approx(expected)


def test_how_badly_a_neighbour_diverged_does_not_matter():
    results = {
        climb_on(lambda x, bad=bad: bad if x > -1 else (x + 2) ** 2, -2.0, 5.0).vertex()
        for bad in (5.0, 1e9, math.inf, math.nan)
    }
    assert len(results) == 1


def test_telling_leaves_the_old_climb_as_it_was():
    climb = ProbeClimb(-2.0, 3.0)
    later = climb.tell(-2.0, 1.0)
    assert climb.trials == ()
    assert later.trials == (Trial(-2.0, 1.0),)
    assert climb.ask() == -2.0


@pytest.mark.parametrize(
    ("scores", "on_the_best"),
    [
        ([1.0, 5.0, 1.1], True),  # a cliff above: the parabola is drawn below the best
        ([1.0, math.inf, 1.1], True),
        ([1.0, 4.9, 1.1], False),  # an upper neighbour that has learned a little
        ([3.0, 1.0, 9.0], True),  # uphill first, then a cliff
        ([9.0, 1.0, 4.0], True),  # the first one was too high
        ([3.0, 2.0, 1.0, 4.0], False),
    ],
)
def test_a_peak_is_not_drawn_below_the_best_by_a_cliff(scores, on_the_best):
    values = iter(scores)
    climb = climb_on(lambda _: next(values), start=-2.0, untrained=5.0)
    vertex, best = climb.vertex(), climb.best.x
    assert climb.peak() == (best if on_the_best else vertex)
    assert climb.peak() >= vertex
    assert on_the_best == (vertex < best - 1e-3 < climb.peak())


@given(
    st.tuples(st.floats(-3, -0.1), st.floats(0.1, 3)),
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.floats(0.1, 10),
)
def test_the_vertex_is_the_parabola_s(gaps, middle, minimum, width):
    points = [(x, width * (x - minimum) ** 2) for x in (middle + gaps[0], middle, middle + gaps[1])]
    assert parabola_vertex(points, math.nan) == pytest.approx(minimum, abs=1e-6)


def test_a_flat_or_short_parabola_stays_at_the_best():
    assert parabola_vertex([(-1.0, 2.0), (0.0, 2.0), (1.0, 2.0)], 0.0) == 0.0
    assert parabola_vertex([(-1.0, 2.0), (0.0, 1.0)], 0.0) == 0.0


@given(st.integers(1, 200), st.integers(0, 10**7), st.floats(0, 1))
def test_the_horizon_correction_is_a_power_law_within_a_decade(steps, more, beta):
    total = steps + more
    corrected = horizon_correction(0.3, steps, total, beta)
    assert corrected == pytest.approx(0.3 * max(0.1, (steps / total) ** beta))
    assert 0.03 - 1e-12 <= corrected <= 0.3


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4))
def test_seeing_samples_more_often_never_raises_the_learning_rate(fewer, more):
    fewer, more = sorted((fewer, more))
    few, many = (horizon_correction(1.0, 100, 500, 0.2, epochs=e) for e in (fewer, more))
    assert many <= few
    assert more > 8 or many == few == pytest.approx(0.2**0.2)


@pytest.mark.parametrize(
    "bad",
    [
        {"start": math.nan},
        {"untrained": math.inf},
        {"untrained": math.nan},
        {"step": 0.0},
        {"max_trials": 1},
    ],
)
def test_bad_climbs_are_refused(bad):
    with pytest.raises(ValueError, match="ProbeClimb"):
        ProbeClimb(**{"start": -2.0, "untrained": 1.0} | bad)


def test_a_run_shorter_than_a_trial_is_refused():
    with pytest.raises(ValueError, match=r"total_steps must be at least 100"):
        horizon_correction(0.1, steps=100, total_steps=99, beta=0.3)


def test_less_is_taken_off_while_the_trials_have_hardly_learned():
    corrected = [horizon_correction(1.0, 1, 100, 0.25, learned=f) for f in (0, 0.025, 0.05, 1)]
    assert corrected == pytest.approx([1.0, 0.1**0.25, 0.1**0.5, 0.1**0.5])


def test_what_was_learned_is_a_share_of_the_untrained_loss():
    assert ProbeClimb(0.0, 4.0).tell(0.0, 1.0).learned == 0.75
    assert ProbeClimb(0.0, -2.0).tell(0.0, -3.0).learned == 0.5
    assert ProbeClimb(0.0, 4.0).tell(0.0, math.inf).learned == 0.0


@pytest.mark.parametrize("bad", [{"learning_rate": 0.0}, {"beta": -0.1}, {"epochs": 0.0}])
def test_a_correction_from_nonsense_is_refused(bad):
    sound = {"learning_rate": 0.1, "steps": 10, "total_steps": 20, "beta": 0.3}
    with pytest.raises(ValueError, match="horizon_correction"):
        horizon_correction(**sound | bad)
