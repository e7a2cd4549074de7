"""Arguments of the plotting functions: anything but their own is refused in words."""

import fractions
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import keras_lr
from keras_lr import RangeTestResult, plot_history, plot_range_test, plot_schedule, plot_sweep
from keras_lr.plot.tune import plot_tune
from keras_lr.plot.tune_adam import plot_tune_adam
from keras_lr.schedules import Constant, Linear
from keras_lr.search.sweep.result import SweepResult
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune.result import TuneResult

RATES = np.geomspace(1e-4, 1.0, 20)
RANGE = RangeTestResult(
    learning_rates=RATES,
    losses=1.0 / (1.0 + RATES),
    smoothed_losses=1.0 / (1.0 + RATES),
    stop_reason="completed",
)
SWEEP = SweepResult(
    learning_rates=RATES[:2],
    losses=np.ones((2, 4)),
    repeat_losses=np.ones((1, 2, 4)),
    final={"loss": np.ones(2)},
    diverged=np.zeros(2, bool),
    stopped_at=np.full(2, 4),
    cost_steps=8,
)
TUNE = TuneResult(
    learning_rate=0.006,
    trials=(Trial(-2.0, 0.5), Trial(-1.1, 0.9), Trial(-2.9, 0.8)),
    untrained=1.0,
    short_run_learning_rate=0.01,
    trial_steps=100,
    total_steps=500,
    beta=0.3,
    cost_steps=300,
)


class Logged:
    epoch = (0, 1)
    params = {"steps": 4}  # noqa: RUF012

    def __init__(self, values=(2.0, 1.0)):
        self.history = {"loss": values}


LINEAR = Linear(0.1, 0.0, steps=10)
CALLS = {
    plot_schedule: (LINEAR, ["steps", "steps_per_epoch", "ax"]),
    plot_range_test: (RANGE, ["ax", "rules"]),
    plot_sweep: (SWEEP, ["axes"]),
    plot_history: (Logged(), ["callbacks", "metrics", "axes"]),
    plot_tune: (TUNE, ["ax"]),
    plot_tune_adam: (None, ["ax"]),
}

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**30, 2**31, 10**400, 1.5, math.nan, math.inf, -math.inf, 1j]),
    st.sampled_from(["", "a", "loss", "valley", b"x", (), [], [None], {}, {"a": 1}, {3}, [[]]]),
    st.sampled_from([fractions.Fraction(1, 3), object(), len, int, Axes, plt, Exception("x")]),
    st.sampled_from([LINEAR, [LINEAR], {"a": LINEAR}, Constant(0.1), RANGE, SWEEP, TUNE, Logged()]),
    st.sampled_from([np.ones(3), np.array(0.1), np.array(["a"]), np.array([None]), np.int64(5)]),
    st.sampled_from([Logged(["a", "b"]), Logged(3), Logged([[1], [2, 3]]), Logged([None, 1.0])]),
)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def refusal(function, *arguments, **named):
    """Return the message of what was raised, and how many figures had been made by then."""
    plt.close("all")
    try:
        function(*arguments, **named)
    except (TypeError, ValueError) as error:
        return str(error), len(plt.get_fignums())
    finally:
        plt.close("all")
    return None


def is_in_order(refused, function):
    """Return whether it was drawn, or refused in words of the library before any figure."""
    if refused is None:
        return True
    message, figures = refused
    return message.startswith(f"{function.__name__}: ") and len(message) < 300 and figures == 0


@pytest.mark.parametrize("function", CALLS)
@given(odd=ODD)
def test_anything_in_the_place_of_the_result(function, odd):
    refused = refusal(function, odd)
    assert is_in_order(refused, function), refused


@pytest.mark.parametrize(
    ("function", "name"),
    [(function, name) for function, (given, names) in CALLS.items() if given for name in names],
)
@given(odd=ODD)
def test_anything_in_the_place_of_an_option(function, name, odd):
    refused = refusal(function, CALLS[function][0], **{name: odd})
    assert is_in_order(refused, function), refused


@pytest.mark.parametrize("function", [plot_range_test, plot_tune, plot_schedule])
def test_what_is_no_axes_is_named(function):
    with pytest.raises(TypeError, match=rf"^{function.__name__}: ax must be a matplotlib Axes.*=3"):
        function(CALLS[function][0], ax=3)


def test_several_schedules_one_after_the_other():
    axes = plot_schedule(LINEAR, [Constant(0.2), Constant(0.3)], {"mine": Constant(0.4)})
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        repr(LINEAR),
        repr(Constant(0.2)),
        repr(Constant(0.3)),
        "mine",
    ]
    assert len(axes.get_lines()) == 4


def test_two_schedules_of_one_name_are_both_drawn():
    axes = plot_schedule({"a": LINEAR}, {"a": Constant(0.4)}, LINEAR, LINEAR)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["a", "a'", repr(LINEAR)]


def test_two_axes_of_an_array_or_a_list():
    _, made = plt.subplots(1, 2)
    assert plot_sweep(SWEEP, made) == tuple(made)
    _, made = plt.subplots(2, 1, squeeze=False)
    assert plot_sweep(SWEEP, made) == tuple(made[:, 0])
    with pytest.raises(ValueError, match="plot_sweep: axes must be two"):
        plot_sweep(SWEEP, made[:1])


def test_one_metric_may_be_given_by_its_name():
    (ax,) = keras_lr.plot_history(Logged(), metrics="loss")
    assert ax.get_ylabel() == "loss"
