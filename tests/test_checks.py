"""The one form of every complaint, and the checks that use it."""

import math
import pathlib
from fractions import Fraction

import numpy as np
import pytest

from keras_lr.errors import (
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_path,
    complaint,
)


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


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400)])
def test_a_number_too_large_for_a_float_is_out_of_bounds(value):
    with pytest.raises(ValueError, match="lr must be finite and at least 0"):
        check_number("Owner", "Fix it", at_least=0, lr=value)


@pytest.mark.parametrize("value", [np.ones(3), [1, 2], None, 1j, "min"])
def test_a_choice_may_be_compared_with_anything(value):
    with pytest.raises(ValueError, match="mode must be one of 'mean', 'max'"):
        check_choice("Owner", ("mean", "max"), mode=value)


@pytest.mark.parametrize("value", ["no", 0, 1.0, None, np.ones(2)])
def test_only_true_and_false_are_bools(value):
    with pytest.raises(TypeError, match="Owner: reset must be True or False"):
        check_bool("Owner", reset=value)
    assert check_bool("Owner", reset=np.bool_(False), strict=True) is None


@pytest.mark.parametrize("value", [3, b"folder", None, ["folder"]])
def test_paths(value):
    with pytest.raises(TypeError, match="folder must be a path"):
        check_path("Owner", "Fix it", folder=value)
    with pytest.raises(ValueError, match="folder must be a path that can exist"):
        check_path("Owner", "Fix it", folder="")
    assert check_path("Owner", "Fix it", folder=pathlib.Path("folder")) is None


@pytest.mark.parametrize(
    "value", [list(range(10**5)), np.zeros((99, 99)), "x" * 9999, 10**9999], ids=type
)
def test_a_complaint_is_short_and_on_one_line_whatever_the_value(value):
    sentence = complaint("Owner", "lr must be a number", "Pass one", lr=value, of=[value])
    assert len(sentence) < 300
    assert "\n" not in sentence
    assert sentence.endswith(". Pass one.")
