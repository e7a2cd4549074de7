import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lr import schedules
from keras_lr.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    FromCallable,
    InverseTime,
    Linear,
)

RAMP = Linear(1.0, 0.0, steps=100)
STEPS = np.arange(150)


@pytest.mark.parametrize(
    ("schedule", "printed"),
    [
        (
            Cosine(1e-3, 0.0, steps=9000).warmup(500),
            "Cosine(start=0.001, end=0.0, steps=9000).warmup(500)",
        ),
        (
            RAMP.warmup(5, start=0.1).repeat(3),
            "Linear(start=1.0, end=0.0, steps=100).warmup(5, start=0.1).repeat(3)",
        ),
        (
            (RAMP + 0.1).clip(high=1.0) * Constant(2),
            "(Linear(start=1.0, end=0.0, steps=100) + 0.1).clip(high=1.0)"
            " * Constant(learning_rate=2.0)",
        ),
        (
            0.5 * RAMP.skip(3).noise(0.1, seed=4),
            "Linear(start=1.0, end=0.0, steps=100).skip(3).noise(0.1, seed=4) * 0.5",
        ),
    ],
)
def test_prints_as_the_expression(schedule, printed):
    assert repr(schedule) == printed
    assert eval(printed, vars(schedules)) == schedule


def test_equality_is_by_type_and_fields():
    assert Linear(1, 0, 100) == RAMP
    assert Linear(1.0, 0.0, steps=99) != RAMP
    assert Cosine(1.0, 0.0, steps=100) != RAMP
    assert RAMP.warmup(3) != RAMP
    assert len({RAMP, Linear(1.0, 0.0, 100), Cosine(1.0, 0.0, 100)}) == 2


def test_noise_is_a_seeded_function_of_the_step():
    noise = Constant(1.0).noise(0.1)
    values = noise.values(np.arange(20_000))
    assert 0.9 <= values.min() < 0.9005
    assert 1.0995 < values.max() <= 1.1
    assert abs(values.mean() - 1.0) < 4 * 0.1 / np.sqrt(3 * 20_000)
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / np.sqrt(20_000)
    np.testing.assert_array_equal(noise.values([17, 9]), values[[17, 9]])
    other = Constant(1.0).noise(0.1, seed=1).values(np.arange(20_000))
    assert abs(np.corrcoef(values, other)[0, 1]) < 4 / np.sqrt(20_000)


def test_noise_is_the_same_on_every_backend():
    recorded = [1.659661, 1.8862522, 1.5482031, 0.6704313, 1.3289578]
    values = Constant(1.0).noise(1.0, seed=7).values([0, 1, 2, 1000, 2**31 - 1])
    np.testing.assert_allclose(values, recorded, rtol=1e-6)


@settings(max_examples=12, deadline=None)
@given(first=st.integers(1, 60), warmup=st.integers(1, 60), skipped=st.integers(0, 90))
def test_skip_undoes_what_was_put_before(first, warmup, skipped):
    joined = Constant(0.3, steps=first).then(RAMP)
    # Compiled as one expression, XLA may round the last bit of a float32 differently.
    last_bit = {"rtol": 2**-23, "atol": 0}
    after_join, after_warmup = joined.skip(first), RAMP.warmup(warmup).skip(warmup)
    np.testing.assert_allclose(after_join.values(STEPS), RAMP.values(STEPS), **last_bit)
    np.testing.assert_allclose(after_warmup.values(STEPS), RAMP.values(STEPS), **last_bit)
    shifted = RAMP.values(STEPS + skipped)
    np.testing.assert_allclose(RAMP.skip(skipped).values(STEPS), shifted, **last_bit)


def test_then_is_associative():
    a, b, c = Linear(0.0, 1.0, 10), Constant(1.0, steps=20), Cosine(1.0, 0.0, 30)
    left, right = a.then(b).then(c), a.then(b.then(c))
    assert left.steps == right.steps == 60
    assert left.cycle_ends() == right.cycle_ends() == [10, 30, 60]
    np.testing.assert_array_equal(left.values(STEPS), right.values(STEPS))


def test_cycle_ends_of_a_repeated_chain():
    chain = Linear(1.0, 0.0, 10).then(Linear(0.5, 0.0, 5))
    assert chain.repeat().cycle_ends(44) == [10, 15, 25, 30, 40]
    assert chain.repeat(2).cycle_ends() == [10, 15, 25, 30]
    assert chain.repeat(2).skip(12).cycle_ends() == [3, 13, 18]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: InverseTime(0.1, 0.1).then(RAMP), "endless.*after=1000"),
        (lambda: InverseTime(0.1, 0.1).repeat(), "only a finite schedule"),
        (lambda: RAMP.repeat(0), "times must be at least 1"),
        (lambda: RAMP.repeat(2**30), "longer than 2147483647 steps"),
        (lambda: RAMP.warmup(101), "warm-up is longer than the schedule of 100 steps"),
        (lambda: RAMP.warmup(0), "warmup_steps must be at least 1"),
        (lambda: RAMP.warmup(5, start=-0.1), "start must be"),
        (lambda: RAMP.skip(100), "nothing is left"),
        (lambda: RAMP.staircase(0), "every_steps must be at least 1"),
        (lambda: RAMP.clip(low=0.2, high=0.1), "low must not be greater"),
        (lambda: RAMP.clip(low=float("nan")), "low must be"),
        (lambda: RAMP.noise(1.5), "amount must be"),
        (lambda: RAMP * -1.0, "second must be"),
        (lambda: RAMP + float("nan"), "second must be"),
        (lambda: Linear(1.0, 0.0, 2**31 - 3).staircase(2**30 + 5), "staircase: the whole must not"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: RAMP.then(lambda step: 0.1),
        lambda: RAMP.then(0.1),
        lambda: RAMP * "2",
        lambda: RAMP.warmup(2.5),
        lambda: RAMP.repeat(True),
        lambda: RAMP * keras.optimizers.schedules.CosineDecay(0.1, 10),
        lambda: keras.optimizers.schedules.CosineDecay(0.1, 10) * RAMP,
    ],
)
def test_refusals_by_type(make):
    with pytest.raises(TypeError, match="Received"):
        make()


def test_one_of_keras_schedules_is_an_operand_once_wrapped():
    with pytest.raises(TypeError, match=r"\*: second must be a schedule.*FromCallable"):
        RAMP * keras.optimizers.schedules.CosineDecay(0.1, 10)


def test_a_staircase_ends_with_the_stair_that_has_the_last_value():
    stairs = Linear(1.0, 0.0, 1000).staircase(300)
    assert stairs.steps == 1200
    np.testing.assert_allclose(stairs.values([899, 900, 1199, 1200]), [0.4, 0.1, 0.1, 0.0], 1e-6)
    chain = Linear(1.0, 0.5, 10).then(Linear(1.0, 0.0, 10)).staircase(8)
    assert chain.cycle_ends() == [16, 24]
    assert chain.cycle_ends(20) == [16]


def test_the_cycles_of_a_product_are_those_of_either_factor():
    restarts = CosineRestarts(1.0, 2)
    assert (Constant(0.5) * restarts).cycle_ends(20) == restarts.cycle_ends(20)
    assert (restarts * Constant(0.5)).cycle_ends(20) == restarts.cycle_ends(20)
    assert (restarts * RAMP).cycle_ends(20) == restarts.cycle_ends(20)


def test_functions_of_the_same_name_are_not_the_same():
    def make(factor):
        return lambda step: keras.ops.cast(step, "float32") * factor

    one, two = make(1.0), make(2.0)
    assert FromCallable(one) != FromCallable(two)
    assert FromCallable(one) == FromCallable(one)


def test_a_schedule_of_the_user_s_own_may_change():
    class Held(keras.optimizers.schedules.LearningRateSchedule):
        rate = 0.1

        def __call__(self, step):
            return keras.ops.full_like(step, self.rate, dtype="float32")

    held = Held()
    schedule = FromCallable(held)
    assert not schedule.is_foreseeable
    first = float(schedule(0))
    held.rate = 0.2
    assert (first, float(schedule(0))) == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize(
    ("mode", "values"),  # torch 2.13: CyclicLR(SGD(momentum=0.9), ..., 3, 5, mode, gamma=0.97)
    [
        ("triangular", [0.86667, 0.83333, 0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.86667, 0.83333]),
        ("triangular2", [0.86667, 0.83333, 0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.88333, 0.86667]),
        (
            "exp_range",
            [0.86767, 0.83727, 0.80873, 0.82918, 0.84848, 0.86668, 0.88384, 0.9, 0.87466],
        ),
    ],
)
def test_momentum_of_triangles_is_that_of_torch(mode, values):
    triangles = schedules.Triangular(0.01, 0.1, 3, 5, mode=mode, gamma=0.97)
    momentum = triangles.momentum()
    np.testing.assert_allclose(momentum.values(range(1, 1 + len(values))), values, atol=6e-6)
    assert momentum.cycle_ends(16) == [8, 16]
