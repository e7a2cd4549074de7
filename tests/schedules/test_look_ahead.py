"""One value at a time, as an optimizer asks for them: on torch they are computed many at once."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import ops

from keras_lr import schedules

ON_TORCH = keras.backend.backend() == "torch"
RESTARTS = schedules.CosineRestarts(0.1, first_cycle_steps=7, cycle_mult=1.5).warmup(3)


def single(schedule, step):
    value = schedule(ops.convert_to_tensor(step, dtype="int32"))
    assert value.shape == ()
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    return float(ops.convert_to_numpy(value))


@pytest.mark.parametrize(
    "steps",
    [range(600 if ON_TORCH else 60), [-5, 0], [2000, 3, 2001], [2**31 - 1, 2**31 - 2]],
    ids=["in order", "before the start", "to and fro", "at the end of time"],
)
def test_single_values_are_those_of_an_array(steps):
    found = [single(RESTARTS, step) for step in steps]
    # float32 arithmetic on one number may round otherwise than on many
    np.testing.assert_allclose(found, RESTARTS.values(list(steps)), rtol=1e-6, atol=1e-9)


def test_a_function_of_the_users_is_called_at_no_other_step():
    asked = []

    def function(step):
        asked.append(np.size(ops.convert_to_numpy(step)))
        return ops.cast(step, "float32")

    for schedule in (
        schedules.FromCallable(function),
        2.0 * schedules.FromCallable(function).then(schedules.Constant(1.0), after=9),
    ):
        del asked[:]
        single(schedule, 4)
        assert asked == [1]


def test_what_was_read_is_no_part_of_the_schedule():
    schedule = schedules.Cosine(0.1, 0.0, steps=10)
    single(schedule, 3)
    for other in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert other == schedule
        assert single(other, 4) == single(schedule, 4)
    assert schedule.get_config() == schedules.Cosine(0.1, 0.0, steps=10).get_config()


def test_a_schedule_of_keras_has_a_value_at_every_step():
    theirs = keras.optimizers.schedules.CosineDecay(0.1, 10)
    assert (2.0 * schedules.FromCallable(theirs)).is_foreseeable
    assert not (2.0 * schedules.FromCallable(lambda step: 0.1)).is_foreseeable
