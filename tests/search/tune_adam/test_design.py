"""The runs that a surface is fitted to, by what is known of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lr.search.tune_adam.design import SurfaceDesign

CENTRES = {"constant": 0.01, "linear": 0.04}


def carried_out(design, loss):
    """Run what is wanted until nothing more is; return the losses by their places."""
    losses = {}
    while missing := [place for place in design.wanted(losses) if place not in losses]:
        losses[missing[0]] = loss(*missing[0])
    return losses


def steps_of(losses, shape):
    return sorted(step for each, step in losses if each == shape)


def test_a_bracketed_shape_takes_three_runs():
    design = SurfaceDesign(centres=CENTRES)
    losses = carried_out(design, lambda shape, step: step * step)
    assert list(losses) == [(s, k) for k in (0, -1, 1) for s in CENTRES]
    assert [design.lr(place) for place in losses][::2] == pytest.approx(
        [0.01, 0.00316228, 0.0316228]
    )


@pytest.mark.parametrize(
    ("bottom", "expected"),
    [
        (2, [-1, 0, 1, 2, 3]),
        (9, [-1, 0, 1, 2, 3]),
        (1.4, [-1, 0, 1, 2]),
        (-1.4, [-2, -1, 0, 1]),
        (-9, [-3, -2, -1, 0, 1]),
    ],
)
def test_more_is_run_past_the_best_while_that_is_at_an_edge(bottom, expected):
    def loss(shape, step):
        return (step - bottom) ** 2 if shape == "linear" else step * step

    losses = carried_out(SurfaceDesign(centres=CENTRES), loss)
    assert steps_of(losses, "linear") == expected
    assert steps_of(losses, "constant") == [-1, 0, 1]


def test_where_all_diverge_it_goes_down():
    losses = carried_out(SurfaceDesign(centres={"constant": 0.1}), lambda shape, step: math.inf)
    assert steps_of(losses, "constant") == [-3, -2, -1, 0, 1]


@given(st.integers(1, 12), st.floats(-4, 4), st.floats(-4, 4))
def test_it_never_takes_more_than_it_may(most, bottom, other):
    design = SurfaceDesign(centres=CENTRES, most=most)
    bottoms = {"constant": bottom, "linear": other}
    losses = carried_out(design, lambda shape, step: abs(step - bottoms[shape]))
    assert len(losses) <= min(most, 10) == design.most_runs
    assert all(abs(step) <= 3 for _, step in losses)


@given(st.permutations(range(6)), st.floats(-4, 4))
def test_in_whichever_order_runs_end_the_same_are_wanted(order, bottom):
    design = SurfaceDesign(centres=CENTRES)
    alone = carried_out(design, lambda shape, step: abs(step - bottom))
    first = design.wanted({})
    losses = {}
    for index in order:  # as several processes would end them
        losses[first[index]] = abs(first[index][1] - bottom)
        assert design.wanted(losses)[:6] == first
    while missing := [place for place in design.wanted(losses) if place not in losses]:
        losses |= {place: abs(place[1] - bottom) for place in missing}
    assert losses == alone


def test_nothing_is_run_outside_the_limits():
    design = SurfaceDesign(centres={"constant": 0.01}, spacing=0.5, limits=(1e-3, 1e-1))
    losses = carried_out(design, lambda shape, step: -step)
    assert steps_of(losses, "constant") == [-1, 0, 1, 2]
    assert design.lr(("constant", 2)) <= 1e-1
    assert design.lr(("constant", 2)) == pytest.approx(1e-1)


@pytest.mark.parametrize("wrong", [{"spacing": 0}, {"most": 0}, {"spacing": math.nan}])
def test_what_makes_no_design_is_refused(wrong):
    with pytest.raises(ValueError, match="SurfaceDesign: "):
        SurfaceDesign(centres=CENTRES, **wrong)
