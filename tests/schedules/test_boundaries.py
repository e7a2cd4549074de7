"""No restart is missed, at any step up to 2^31 - 1."""

import keras
import numpy as np
import pytest

from keras_lr import schedules

LAST = 2**31 - 1
GROWING = [(1, 2.0), (7, 2.0), (1, 1.5), (10, 1.1), (3, 5 / 3), (1000, 1.01), (1, 3.0)]


def boundaries():
    """Pairs of a schedule that restarts at 1 and some of its restart steps, far out ones too."""
    for first, mult in GROWING:
        schedule = schedules.CosineRestarts(1.0, first, cycle_mult=mult)
        yield schedule, schedule.cycle_ends()
    for length in (3, 1000, 999_983, 2**20):
        near_the_end = range(LAST // length * length, 0, -max(1, LAST // length // 40) * length)
        yield schedules.CosineRestarts(1.0, length, cycle_mult=1), list(near_the_end)
        yield schedules.Linear(1.0, 0.0, steps=length).repeat(), list(near_the_end)


ALL = list(boundaries())


def test_there_are_enough_of_them():
    assert max(len(ends) for _, ends in ALL) < 2000
    assert sum(len(ends) for _, ends in ALL) > 700
    assert max(max(ends) for _, ends in ALL) > LAST - 3


@pytest.mark.parametrize(("schedule", "ends"), ALL, ids=lambda part: repr(part)[:60])
def test_none_is_missed(schedule, ends):
    ends = np.array(ends)
    padded = np.resize(ends, 2000)  # one shape for all, which JAX compiles once
    before, at = schedule.values(padded - 1)[: len(ends)], schedule.values(padded)[: len(ends)]
    lengths = np.diff(np.unique([0, *ends]), append=np.inf)[np.argsort(np.argsort(ends))]
    whole = at == 1.0
    # a fractional cycle is up to a step old when it is first seen
    allowed = 0.5 + 0.5 * np.cos(np.pi * np.minimum(1.0, 1.0 / lengths)) - 1e-6
    assert np.all(whole | (at >= allowed))
    assert np.all(at > before - 1e-7)


@pytest.mark.parametrize("first", [1, 7, 1000])
def test_growing_cycles_begin_where_whole_numbers_say(first):
    ends = schedules.CosineRestarts(1.0, first, cycle_mult=2).cycle_ends()
    assert ends == [first * (2**k - 1) for k in range(1, 40) if first * (2**k - 1) <= LAST]


def test_a_factor_written_as_a_decimal_is_meant_as_one():
    assert schedules.CosineRestarts(1.0, 10, cycle_mult=1.1).cycle_ends(34) == [10, 21, 34]
    assert schedules.CosineRestarts(1.0, 3, cycle_mult=5 / 3).cycle_ends(20) == [3, 8, 17]


def test_the_last_step_of_all_is_finite_everywhere():
    chain = schedules.Linear(1.0, 0.5, 10).then(schedules.Constant(0.5)).warmup(5).skip(3)
    for schedule in [chain, chain.staircase(7), schedules.InverseTime(0.1, 0.1).noise(0.1)]:
        values = schedule.values([LAST - 1, LAST])
        assert np.isfinite(values).all()
        assert (values >= 0).all()


def test_steps_beyond_the_exact_floats_are_told_apart():
    schedule = schedules.Constant(1.0).then(schedules.Linear(1.0, 0.0, steps=4), after=2**30 + 1)
    steps = keras.ops.convert_to_tensor(np.arange(2**30, 2**30 + 6, dtype="int32"))
    values = keras.ops.convert_to_numpy(schedule(steps))
    np.testing.assert_array_equal(values, [1.0, 1.0, 0.75, 0.5, 0.25, 0.0])
