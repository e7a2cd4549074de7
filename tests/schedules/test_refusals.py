"""Bad arguments are refused at construction, with the rule, the value and what to do."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from keras_lr import schedules as s

KERAS = keras.optimizers.schedules
NAN = float("nan")
REFUSED = [
    (lambda: s.Constant(-0.1), "Constant: learning_rate must be .* Received: learning_rate=-0.1"),
    (lambda: s.Constant(NAN), "learning_rate"),
    (lambda: s.Constant(0.1, steps=0), "steps must be at least 1"),
    (lambda: s.Linear(0.1, -1.0, 5), "end must be"),
    (lambda: s.Cosine(0.1, 0.0, steps=0), "steps must be at least 1"),
    (lambda: s.Cosine(0.1, 0.0, steps=2**31), "at most"),
    (lambda: s.Cosine(0.1, 0.0, steps=5, k=0.0), "k must be"),
    (lambda: s.Cosine(float("inf"), 0.0, steps=5), "start must be"),
    (lambda: s.Polynomial(0.1, 0.0, steps=5, power=-1), "power must be"),
    (lambda: s.Tanh(0.1, 0.0, steps=5, lower=3, upper=-7), "upper must be"),
    (lambda: s.Exponential(0.1, 0.0, steps=5), "end must be"),
    (lambda: s.ScaledExponential(0.1, 0.0, steps=5, ratio=1.0), "ratio must be"),
    (lambda: s.Geometric(0.1, 0.0), "factor must be"),
    (lambda: s.Step(0.1, 0.5, every_steps=0), "every_steps must be"),
    (lambda: s.InverseTime(0.1, -0.1), "decay must be"),
    (lambda: s.InverseSqrt(0.1, 0), "timescale_steps must be"),
    (lambda: s.InversePower(0.1, 10, NAN), "power must be"),
    (lambda: s.PiecewiseConstant((3, 3), (0.1, 0.2, 0.3)), "boundaries must rise"),
    (lambda: s.PiecewiseConstant((3, 5), (0.1, 0.2)), "2 boundaries need one more"),
    (lambda: s.PiecewiseConstant((0,), (0.1, 0.2)), "boundaries must be at least 1"),
    (lambda: s.MultiStep(0.1, (5, 2)), "boundaries must rise"),
    (lambda: s.Interpolated((1, 2), (0.1, 0.2)), "the first at 0"),
    (lambda: s.Interpolated((0, 2), (0.1,)), "2 knots need as many"),
    (lambda: s.Interpolated((0, 2), (0.1, 0.2), curve="spline"), "curve must be one of"),
    (lambda: s.Table(()), "at least one learning rate"),
    (lambda: s.Table((0.1, NAN)), "learning_rates must be"),
    (lambda: s.CosineRestarts(0.1, 10, cycle_mult=0.9), "cycle_mult must be .* 1"),
    (lambda: s.CosineRestarts(0.1, 0), "first_cycle_steps must be"),
    (lambda: s.CosineRestarts(0.1, 10, min_lr=0.2), "max_lr must be"),
    (lambda: s.CosineRestarts(0.1, 10, warmup_steps=10), "no room for its warm-up"),
    (lambda: s.CosineRestarts(0.1, 10, max_lr_decay=1.5), "max_lr_decay must be"),
    (lambda: s.CosineRestarts(0.1, 10, cycles=0), "cycles must be"),
    (lambda: s.CosineRestarts(0.1, 10, cycles=100), "longer than 2147483647"),
    (lambda: s.CosineRestarts(0.1, 1, cycle_mult=1.000001), "65536 growing cycles"),
    (lambda: s.Triangular(0.1, 0.01, 10), "max_lr must be"),
    (lambda: s.Triangular(0.01, 0.1, 0), "up_steps must be"),
    (lambda: s.Triangular(0.01, 0.1, 5, mode="square"), "mode must be one of"),
    (lambda: s.Triangular(0.01, 0.1, 5, mode="exp_range", gamma=1.1), "gamma must be"),
    (lambda: s.OneCycle(0.1, steps=3), "not more than one step"),
    (lambda: s.OneCycle(0.1, 100, warmup_fraction=1.0), "warmup_fraction must be"),
    (lambda: s.OneCycle(0.1, 100, 0.6, three_phase=True), "warmup_fraction must be"),
    (lambda: s.OneCycle(0.1, 100, div_factor=0.5), "div_factor must be"),
    (lambda: s.FlatCosine(0.1, 0.0, steps=10, flat_steps=10), "no room for the cosine"),
    (lambda: s.Trapezoid(0.1, 10, warmup_fraction=0.8), "must not be more than the run"),
    (lambda: s.Trapezoid(0.1, 10, decay_fraction=1.5), "decay_fraction must be"),
    (lambda: s.Constant(0.1).stretch(5), "no length to change"),
    (lambda: s.Linear(0.1, 0.0, steps=3).stretch(0), "length must be at least 1"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=8, warmup_steps=3), "longer than the run of 10"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=3, stable_power=0.5), "needs a timescale"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=3, cooldown="cubic"), "cooldown must be one of"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=3, min_lr=0.2), "min_lr must be"),
    (lambda: s.join([]), "at least one schedule"),
    (lambda: s.Constant(1e39), "learning_rate must be finite and at most 3.4e"),
    (lambda: s.Constant(3e38) + s.Constant(3e38), "the values must not exceed 3.4e"),
    (lambda: s.Constant(3e38) * s.Linear(0.0, 1.2, steps=5), "the values must not exceed 3.4e"),
    (lambda: s.Constant(3e38).noise(0.5), "the values must not exceed 3.4e"),
    (lambda: s.Step(0.1, 1e20, every_steps=1), "outgrow float32, as it would about step 2"),
    (lambda: s.Geometric(0.1, 1.1), "outgrow float32, as it would about step 9"),
    (lambda: s.MultiStep(0.1, (1, 2, 3), factor=1e30), "learning_rates must be finite"),
    (lambda: s.Tanh(0.1, 0.0, 5, upper=1e39), "upper must be finite"),
    (lambda: s.Table((0.1, 1e39)), "learning_rates must be finite"),
    (lambda: s.Exponential(1e-300, 1.0, steps=5), "start must be finite and at least 1.2e-38"),
    (lambda: s.FromCallable(lambda step: -1.0), "negative, at step 0"),
    (lambda: s.FromCallable(lambda step: NAN), "negative, at step 0"),
    (
        lambda: s.FromCallable(lambda step: 0.05 - 0.01 * ops.cast(step, "float32"), steps=8),
        "negative, at step 6",
    ),
    (lambda: s.FromCallable(KERAS.ExponentialDecay(0.1, 1, 1.5)), "float32 and not negative, at"),
    (lambda: s.FromCallable(KERAS.PolynomialDecay(0.1, 9, -0.1)), "not negative, at step 8"),
    (lambda: s.Cosine(10**400, 0.0, steps=5), "start must be finite"),
    (lambda: s.Cosine(0.1, 0.0, steps=10**400), "steps must be finite"),
    (lambda: s.Triangular(0.1, 1.0, 2**30, 2**30), "a cycle must not be longer"),
    (lambda: s.MultiStep(0.1, (0, 3)), "MultiStep: boundaries must be at least 1"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[words[:40] for _, words in REFUSED])
def test_values(make, words):
    with pytest.raises(ValueError, match=words) as refusal:
        make()
    assert ". Received: " in str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: s.Cosine("0.1", 0.0, steps=5),
        lambda: s.Cosine(np.ones(3), 0.0, steps=5),
        lambda: s.Cosine(1j, 0.0, steps=5),
        lambda: s.OneCycle(0.1, steps=50, three_phase="no"),
        lambda: s.FromCallable(lambda step: 0.1, elementwise="no"),
        lambda: s.Cosine(0.1, 0.0, steps=5.0),
        lambda: s.Table([0.1, None]),
        lambda: s.FromCallable(0.1),
        lambda: s.FromCallable(lambda: 0.1),
        lambda: s.FromCallable(lambda epoch, lr: 0.1),
        lambda: s.FromCallable(lambda step: "0.1"),
        lambda: s.FromCallable(lambda step: None),
        lambda: s.FromCallable(lambda step: np.ones(3)),
        lambda: s.PiecewiseConstant(3, (0.1, 0.2)),
        lambda: s.MultiStep(0.1, 3),
        lambda: s.Interpolated(3, (0.1, 0.2)),
        lambda: s.Table(0.1),
        lambda: s.Table("12"),
        lambda: s.join(s.Constant(0.1)),
        lambda: s.join([3]),
    ],
)
def test_types(make):
    with pytest.raises(TypeError, match=r"Received: .*\. "):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: s.Cosine(1.0, 0.0, 10, 2.0),
        lambda: s.Polynomial(1.0, 0.0, 10, 2.0),
        lambda: s.CosineRestarts(1.0, 10, 2.0, 0.1),
    ],
)
def test_numbers_that_could_be_mistaken_are_passed_by_name(make):
    with pytest.raises(TypeError, match="positional arguments"):
        make()


def test_a_schedule_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        s.Constant(0.1).learning_rate = 0.2


def test_no_value_is_infinite_however_long_a_schedule_grows():
    slow = s.Geometric(0.1, 1.001)
    for schedule in (slow, 2.0 * slow, slow + slow, slow * slow, slow.noise(0.5), slow.warmup(3)):
        values = schedule.values([0, 10**4, 10**6, 2**31 - 1])
        assert np.isfinite(values).all()
        assert values[0] >= 0.0
    assert (slow.clip(high=1.0).values(10**6), (slow * 0.0).values(10**6)) == (1.0, 0.0)


def test_steep_curves_stay_finite():
    steep = s.Exponential(1e-37, 1e38, steps=4).values(range(5)).astype("float64")
    np.testing.assert_allclose(np.log10(steep), [-37, -18.25, 0.5, 19.25, 38], atol=1e-4)
    flat = s.ScaledExponential(1.0, 0.5, steps=4, ratio=1 - 1e-12).values(range(5))
    np.testing.assert_allclose(flat, [1.0, 0.875, 0.75, 0.625, 0.5], rtol=1e-6)
    assert np.isfinite(s.Interpolated((0, 1e-300, 5), (0.1, 0.2, 0.3)).values(range(6))).all()


def test_an_optimizer_on_torch_refuses_what_a_function_gives(backend):
    schedule = s.FromCallable(lambda step: 0.015 - 0.01 * ops.cast(step, "float32"))
    optimizer = keras.optimizers.SGD(0.5 * schedule + 0.0)
    weight = keras.Variable(1.0)

    def updates(count):
        for _ in range(count):
            optimizer.apply([keras.ops.ones(())], [weight])

    updates(2)
    if backend == "torch":
        with pytest.raises(ValueError, match=r"^Sum: a learning rate must .* at step 2 too"):
            updates(1)
    else:  # which cannot raise in a compiled step
        assert float(schedule.values(2)) < 0.0
