"""The choice between a sweep's two ways: what is measured decides, and what is not is estimated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lr.search.sweep.choice import WayCost, quicker_way

SECONDS = st.floats(1e-4, 1e3)
LANES, STEPS = st.integers(2, 64), st.integers(1, 10_000)
OPERATIONS = st.floats(0, 1e12)
NOTHING = WayCost()


def costs(compiling=SECONDS, step=SECONDS):
    return st.builds(WayCost, compiling, step, st.booleans())


def seconds(cost, calls):
    return (0.0 if cost.is_compiled else cost.compiling) + calls * cost.step


@given(LANES, STEPS, OPERATIONS, costs(), costs())
def test_of_what_has_been_measured_the_shorter_is_taken(lanes, steps, operations, alone, together):
    one_by_one, at_once = seconds(alone, lanes * steps), seconds(together, steps)
    expected = "lanes" if at_once < one_by_one else "sequential"
    assert quicker_way(lanes, steps, operations, alone, together) == expected


UNSURE = st.none() | SECONDS


@given(LANES, STEPS, OPERATIONS, costs(UNSURE, UNSURE), costs(UNSURE, UNSURE), st.integers(-10, 10))
def test_a_machine_of_another_speed_chooses_alike(lanes, steps, operations, alone, together, speed):
    def slowed(cost):
        compiling, step = (
            None if value is None else value * 2.0**speed for value in (cost.compiling, cost.step)
        )
        return WayCost(compiling, step, cost.is_compiled)

    way = quicker_way(lanes, steps, operations, alone, together)
    assert quicker_way(lanes, steps, operations, slowed(alone), slowed(together)) == way


@given(LANES, STEPS, OPERATIONS, st.integers(1, 1000))
def test_more_steps_and_less_to_compile_speak_for_lanes(lanes, steps, operations, more):
    if quicker_way(lanes, steps, operations, NOTHING, NOTHING) == "lanes":
        assert quicker_way(lanes, steps + more, operations, NOTHING, NOTHING) == "lanes"
        ready = WayCost(is_compiled=True)
        assert quicker_way(lanes, steps, operations, NOTHING, ready) == "lanes"


@pytest.mark.parametrize(
    ("lanes", "steps", "operations", "way"),
    [
        (3, 20, 1.5e6, "sequential"),  # the README's own, in a fresh process
        (16, 1000, 1.5e6, "lanes"),  # a small dense network, for long
        (16, 1000, 2e8, "sequential"),  # a million weights: batched products are slower on a CPU
        (16, 10_000, 2e9, "sequential"),
    ],
)
def test_before_anything_is_known(lanes, steps, operations, way):
    assert quicker_way(lanes, steps, operations, NOTHING, NOTHING) == way


def test_a_step_that_is_compiled_already_is_not_left_for_one_that_is_not():
    compiled = WayCost(is_compiled=True)
    assert quicker_way(16, 200, 1.5e6, NOTHING, NOTHING) == "lanes"
    assert quicker_way(16, 200, 1.5e6, compiled, NOTHING) == "sequential"
