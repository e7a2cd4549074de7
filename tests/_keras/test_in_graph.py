"""Values of a schedule, read at once instead of step by step."""

import keras
import numpy as np
import pytest

from keras_lr import schedules
from keras_lr._keras.in_graph import schedule_values

KERAS = keras.optimizers.schedules
WARMED = KERAS.CosineDecay(0.0, 30, warmup_target=0.1, warmup_steps=9)  # takes no vector of steps


class Counted(KERAS.LearningRateSchedule):
    """Counts how often it is called."""

    def __init__(self, of=WARMED):
        self.of, self.calls = of, 0

    def __call__(self, step):
        self.calls += 1
        return self.of(step)


class Stepwise(KERAS.LearningRateSchedule):
    """Takes nothing but a number."""

    def __call__(self, step):
        return 0.1 if operator_index(step) < 5 else 0.01


def operator_index(step):
    if not isinstance(step, int):
        raise TypeError("no number")
    return step


@pytest.mark.parametrize(
    "schedule",
    [
        WARMED,
        KERAS.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]),
        KERAS.ExponentialDecay(0.1, 10, 0.5),
        schedules.Cosine(0.1, 0.0, steps=30).warmup(5),
        schedules.FromCallable(WARMED, elementwise=False),
        Stepwise(),
        lambda step: 0.1 / (step + 1),
    ],
)
def test_values_are_those_of_single_steps(schedule):
    found = schedule_values(schedule, 5, 20)
    single = [keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(schedule(s))) for s in
              range(5, 25)]  # fmt: skip
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.array(single, float), rtol=1e-6, atol=1e-9)


def test_a_schedule_is_not_called_for_each_step(backend):
    counted = Counted()
    schedule_values(counted, 0, 50)
    assert counted.calls <= (50 if backend == "torch" else 3)
    counted = Counted(schedules.Cosine(0.1, 0.0, steps=30))
    schedule = schedules.FromCallable(counted)
    looked_at = counted.calls
    schedule_values(schedule, 0, 50)
    assert counted.calls == looked_at + 1


def test_what_a_schedule_raises_is_raised():
    def broken(step):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        schedule_values(schedules.FromCallable(broken), 0, 3)
