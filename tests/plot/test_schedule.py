import matplotlib.pyplot as plt
import numpy as np
import pytest

from keras_lr import schedules
from keras_lr.plot.schedule import plot_schedule, schedule_lines

RESTARTS = schedules.CosineRestarts(0.1, first_cycle_steps=1000, cycle_mult=2)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_the_line_is_the_schedule_with_its_jumps():
    (line,) = schedule_lines(RESTARTS, steps=10_000)
    assert line.cycle_ends == (1000, 3000, 7000)
    assert len(line.steps) < 2100
    assert {999, 1000, 2999, 3000, 6999, 7000} <= set(line.steps.tolist())
    np.testing.assert_array_equal(line.values, RESTARTS.values(line.steps))


def test_the_longest_schedule_is_the_length():
    pair = [schedules.Linear(0.1, 0.0, steps=30), schedules.Constant(0.1)]
    first, second = schedule_lines(pair)
    assert first.steps[-1] == second.steps[-1] == 30
    assert first.label == "Linear(start=0.1, end=0.0, steps=30)"


def test_too_many_cycles_are_not_marked():
    (line,) = schedule_lines(schedules.Triangular(0.0, 0.1, up_steps=1), steps=1000)
    assert line.cycle_ends == ()


def test_epochs_on_the_axis():
    axes = plot_schedule({"restarts": RESTARTS}, steps=3000, steps_per_epoch=100)
    curve, *marks = axes.get_lines()
    assert axes.get_xlabel() == "epoch"
    assert curve.get_xdata()[-1] == 29.99  # the jump up at the last end is not part of the picture
    assert [mark.get_xdata()[0] for mark in marks] == [10.0, 30.0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["restarts"]


def test_draws_where_it_is_told_and_shows_nothing(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("shown"))
    _, given = plt.subplots()
    assert plot_schedule(schedules.Linear(0.1, 0.0, steps=5), ax=given) is given


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"schedules": schedules.Constant(0.1)}, "endless.*Pass steps"),
        ({"schedules": []}, "at least one schedule"),
        ({"schedules": RESTARTS, "steps": 0}, "steps must be at least 1"),
        ({"schedules": RESTARTS, "steps": 9, "steps_per_epoch": 0}, "steps_per_epoch"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        plot_schedule(**arguments)


def test_a_bare_function_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match="FromCallable"):
        plot_schedule([lambda step: 0.1], steps=3)
