"""A short form of `benchmarks/fuzz.py`, with seeds by Hypothesis."""

import random

import hypothesis
import pytest
from hypothesis import strategies

from benchmarks import fuzz

CHOICES = {choose.__name__: choose for choose in fuzz.CALLS}


@pytest.mark.parametrize("choose", CHOICES.values(), ids=CHOICES)
@hypothesis.settings(max_examples=30)
@hypothesis.given(seed=strategies.integers(0, 2**32))
def test_arbitrary_arguments_work_or_are_refused_in_the_library_s_words(choose, seed):
    outcome, message = fuzz.fault(*choose(random.Random(seed)))
    assert outcome in ("works", "refused"), message


def test_a_fault_is_found():
    def raises():
        raise KeyError("raw")

    assert fuzz.fault("Name", raises)[0] == "fault"
    assert fuzz.fault("Name", lambda: int("x"))[0] == "fault"
    assert fuzz.fault("Name", lambda: None)[0] == "works"
