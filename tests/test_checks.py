"""The one form of every complaint, and the checks that use it."""

import math

import numpy as np
import pytest

from keras_lr._checks import check_choice, check_integer, check_number, complaint


def test_a_complaint_has_owner_rule_value_and_fix():
    sentence = complaint("LRRangeTest", "steps must be at least 2", "Pass steps=100", steps=1)
    assert sentence == "LRRangeTest: steps must be at least 2. Received: steps=1. Pass steps=100."


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf, 2.0])
def test_a_number_out_of_bounds_is_a_value_error(value):
    with pytest.raises(ValueError, match=r"finite and above 0 and below 2\. Received: lr="):
        check_number("Owner", "Fix it", above=0, below=2, lr=value)


@pytest.mark.parametrize("value", ["1", None, True, [1.0]])
def test_no_number_is_a_type_error(value):
    with pytest.raises(TypeError, match="lr must be a number"):
        check_number("Owner", "Fix it", lr=value)


@pytest.mark.parametrize("value", [1, 1.5, np.float32(1), np.int64(1)])
def test_numbers_of_every_kind_pass(value):
    assert check_number("Owner", "Fix it", at_least=1, at_most=1.5, lr=value) is None


def test_integers():
    assert check_integer("Owner", "Fix it", at_least=2, steps=np.int64(2)) is None
    with pytest.raises(TypeError, match="steps must be an integer"):
        check_integer("Owner", "Fix it", steps=2.0)
    with pytest.raises(ValueError, match="steps must be at least 2"):
        check_integer("Owner", "Fix it", at_least=2, steps=1)


def test_choices():
    assert check_choice("Owner", ("min", "max"), mode="min") is None
    with pytest.raises(ValueError, match="mode must be one of 'min', 'max'"):
        check_choice("Owner", ("min", "max"), mode="mean")
