import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import ops

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


def test_a_schedule_that_ends_rising_is_drawn_to_its_end():
    (line,) = schedule_lines(schedules.Exponential(1e-7, 10.0, 100))
    assert line.steps[-1] == 100
    assert line.values[-1] == np.float32(10.0)
    (line,) = schedule_lines(schedules.CosineRestarts(1.0, 10, 1.0), steps=20)
    assert line.steps[-1] == 19


def test_a_schedule_without_a_boundary_has_no_end_to_mark():
    (line,) = schedule_lines(schedules.PiecewiseConstant((), (0.1,)), steps=5)
    assert (line.steps[0], line.cycle_ends) == (0, ())


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (schedules.Triangular(0.0, 0.1, 10), 100_000),
        (schedules.Triangular(0.0, 0.1, 10), 20 * 2000),
        (schedules.Triangular(0.0, 0.1, 10), 1_000_000),
        (schedules.Triangular(0.0, 0.1, 50), 19_900),  # a few steps apart would miss most peaks
        (
            schedules.FromCallable(lambda step: 0.05 + 0.05 * ops.sin(ops.cast(step, "float32"))),
            9999,
        ),
    ],
)
def test_many_short_cycles_show_no_waves_that_are_not_there(schedule, steps):
    (line,) = schedule_lines(schedule, steps=steps)
    for part in np.array_split(line.values, 50):
        assert part.min() < 0.0005
        assert part.max() > 0.0995
    assert len(line.steps) < 2500
    assert (line.steps[0], line.steps[-1]) == (0, steps)


def test_a_function_called_step_by_step_is_not_called_for_every_step():
    counted = []

    class Counting(schedules.FromCallable):
        def values(self, steps):
            counted.append(np.size(steps))
            return super().values(steps)

    slow = Counting(lambda step: ops.cast(step, "float32"), elementwise=False)
    schedule_lines(slow, steps=3000)
    assert sum(counted) <= 2000


@pytest.mark.parametrize(
    "schedule", [schedules.MultiStep(0.1, (3, 6)), schedules.Linear(0.1, 0.0, steps=6).warmup(2)]
)
def test_the_end_of_a_schedule_without_cycles_is_not_marked(schedule):
    (line,) = schedule_lines(schedule, steps=10)
    assert line.cycle_ends == ()
