"""The surface through whole runs: closed forms, the ridge, and what is told of its noise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lr.search.tune_adam.surface import Surface, SurfacePoint, heights

CENTRES = {"constant": 0.01, "linear": 0.04}
OFFSETS = (-0.5, 0.0, 0.5)


def points_of(loss, offsets=OFFSETS, shapes=CENTRES):
    """Return a point for each shape and offset, its loss a function of these."""
    return [
        SurfacePoint(shape, CENTRES[shape] * 10**o, loss(shape, o))
        for o in offsets
        for shape in shapes
    ]


def ridge_solution(points):
    """Return a's, b's and c by minimising the penalised squares of the issue directly."""
    shapes = list(dict.fromkeys(point.shape for point in points))
    y = np.log([point.loss for point in points])
    y = np.minimum(y, y.min() + 1) - y.min()
    o = np.array([math.log10(p.lr / CENTRES[p.shape]) for p in points])
    one = np.array([[float(p.shape == shape) for shape in shapes] for p in points])
    penalty = np.zeros((len(shapes) + 1, 2 * len(shapes) + 1))
    for index in range(len(shapes)):
        penalty[index, len(shapes) + index] = math.sqrt(0.02)
    penalty[-1, -1] = math.sqrt(1e-3)
    rows = np.vstack([np.hstack([one, one * o[:, None], o[:, None] ** 2]), penalty])
    right = np.concatenate([y, np.zeros(len(penalty))])
    return np.linalg.lstsq(rows, right, rcond=None)[0], shapes


@given(
    st.lists(st.floats(0.5, 1.3), min_size=6, max_size=6).filter(lambda x: max(x) > min(x) + 1e-3)
)
def test_it_is_the_ridge_regression_of_the_logarithms(losses):
    values = iter(losses)
    points = points_of(lambda shape, o: next(values))
    surface = Surface(points, CENTRES)
    (a1, a2, b1, b2, c), _ = ridge_solution(points)
    if c < 0.05 + 1e-9:
        assert surface.curvature == pytest.approx(0.05, abs=1e-6)
        return
    assert surface.curvature == pytest.approx(c)
    for shape, a, b in (("constant", a1, b1), ("linear", a2, b2)):
        for o in (-0.7, 0.0, 0.3):
            expected = min(losses) * math.exp(a + b * o + c * o * o)
            assert surface.loss(shape, CENTRES[shape] * 10**o) == pytest.approx(expected)
        lowest = surface.lowest(shape)
        bottom = CENTRES[shape] * 10 ** float(np.clip(-b / (2 * c), -0.5, 0.5))
        assert lowest.lr == pytest.approx(bottom)
        assert lowest.loss == pytest.approx(float(surface.loss(shape, bottom)))


def test_a_line_gets_the_least_curvature_and_the_rest_is_fitted_again():
    surface = Surface(points_of(lambda shape, o: math.exp(0.3 * o)), CENTRES)
    o, y = np.array(OFFSETS), 0.3 * np.array(OFFSETS) + 0.15
    slope = o @ (y - 0.05 * o**2) / (o @ o + 0.02)
    level = np.mean(y - 0.05 * o**2)
    assert surface.curvature == 0.05
    lowest = math.exp(-0.15)
    expected = lowest * np.exp(level + slope * 0.2 + 0.05 * 0.04)
    assert surface.loss("linear", 0.04 * 10**0.2) == pytest.approx(expected)
    assert surface.lowest("linear").lr == pytest.approx(0.04 * 10**-0.5)  # no further than was run


def test_of_an_exact_parabola_the_lowest_point_is_nearly_found():
    bottoms = {"constant": 0.2, "linear": -0.3}
    surface = Surface(
        points_of(lambda s, o: 2 * math.exp(0.4 * (o - bottoms[s]) ** 2), (-1, -0.5, 0, 0.5, 1)),
        CENTRES,
    )
    for shape, bottom in bottoms.items():
        assert math.log10(surface.lowest(shape).lr / CENTRES[shape]) == pytest.approx(
            bottom, abs=0.01
        )
        assert surface.lowest(shape).loss == pytest.approx(2.0, rel=2e-3)


def test_one_lucky_run_at_the_edge_does_not_decide():
    losses = {-0.5: 1.5, 0.0: 1.0, 0.5: 1.1, 1.0: 0.98}  # 0.95 was luck: its neighbour is worse
    surface = Surface(points_of(lambda s, o: losses[o], tuple(losses), ["constant"]), CENTRES)
    assert 0.01 < surface.lowest("constant").lr < 0.1


@given(st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_the_unit_of_a_loss_does_not_matter_nor_how_badly_a_run_diverged(power, factor):
    def loss(shape, o, unit=1.0, bad=50.0):
        return bad if o > 0.4 else unit * (1 + (o - 0.1) ** 2)

    plain = Surface(points_of(loss), CENTRES)
    scaled = Surface(points_of(lambda s, o: loss(s, o, factor, math.inf)), CENTRES)
    assert scaled.lowest("linear").lr == pytest.approx(plain.lowest("linear").lr)
    assert scaled.loss("linear", 0.1) == pytest.approx(factor * plain.loss("linear", 0.1))


def test_losses_that_are_not_above_zero_are_compared_by_their_differences():
    assert heights([-2.0, -1.0, 5.0, math.inf]).tolist() == [0.0, 0.5, 1.0, 1.0]
    assert heights([0.0, 0.5, 3.0]).tolist() == [0.0, 1.0, 1.0]
    assert heights([0.0]).tolist() == [0.0]
    accuracy = Surface(points_of(lambda s, o: -0.9 + 0.1 * (o - 0.2) ** 2), CENTRES)
    near_zero = accuracy.lowest("constant")
    assert near_zero.loss == pytest.approx(-0.9, abs=0.01)
    assert near_zero.lr > 0.01
    # For small differences the two are the same.
    small = [2.0, 2.002, 2.005]
    negative = [-2.0, -1.998, -1.995]
    np.testing.assert_allclose(heights(small), heights(negative), rtol=2e-3)


def test_the_noise_is_what_is_left_over_its_degrees_of_freedom():
    random = np.random.default_rng(0)
    found = []
    for _ in range(300):
        noise = iter(0.03 * random.normal(size=10))
        offsets = (-1, -0.5, 0, 0.5, 1)
        points = points_of(lambda s, o: math.exp(0.3 * o * o + next(noise)), offsets)  # noqa: B023
        found.append(Surface(points, CENTRES).noise ** 2)
    assert math.sqrt(np.mean(found)) == pytest.approx(0.03, rel=0.1)


def test_of_too_few_runs_no_noise_is_told():
    surface = Surface(points_of(lambda s, o: 1.0, (0.0,)), CENTRES)
    assert surface.noise is None
    assert surface.standard_error("constant") is None
    assert surface.as_good("constant") is None
    assert surface.lowest("linear").lr == 0.04


def test_shapes_that_are_as_good_are_told_and_others_are_not():
    bumps = iter([0.02, -0.02, -0.02, 0.02, 0.02, -0.02, 0.02, -0.02])
    near = points_of(lambda s, o: math.exp(0.3 * o * o + next(bumps)), (-0.5, 0.0, 0.5, 1.0))
    surface = Surface(near, CENTRES)
    assert set(surface.ties()) == {"constant", "linear"}
    far = [p._replace(loss=p.loss * (1.5 if p.shape == "constant" else 1.0)) for p in near]
    assert Surface(far, CENTRES).ties() == ("linear",)
    assert Surface(far, CENTRES).best == "linear"


def test_what_is_as_good_lies_within_the_noise_of_the_lowest():
    bumps = iter([0.02, -0.02, 0.02, -0.02, 0.02, 0.01])
    surface = Surface(points_of(lambda s, o: math.exp(0.5 * o * o + next(bumps))), CENTRES)
    low, high = surface.as_good("constant")
    lowest = surface.lowest("constant")
    assert low < lowest.lr < high
    for edge in (low, high):
        rise = math.log(float(surface.loss("constant", edge)) / lowest.loss)
        assert rise == pytest.approx(surface.noise, rel=1e-6)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="end with a finite loss"):
        Surface([SurfacePoint("constant", 0.1, math.inf)], CENTRES)
    with pytest.raises(ValueError, match="lr must be"):
        Surface([SurfacePoint("constant", 0.0, 1.0)], CENTRES)


def test_surfaces_of_the_same_runs_are_the_same_and_come_as_data():
    points = points_of(lambda s, o: 1 + o * o)
    assert Surface(points, CENTRES) == Surface(tuple(points), CENTRES)
    told = Surface(points, CENTRES).to_dict()
    assert told["points"][0] == {"shape": "constant", "lr": points[0].lr, "loss": points[0].loss}
    assert set(told["slopes"]) == set(CENTRES)
