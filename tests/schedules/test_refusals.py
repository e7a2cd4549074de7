"""Bad arguments are refused at construction, with the rule, the value and what to do."""

import dataclasses

import pytest

from keras_lr import schedules as s

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
    (lambda: s.WSD(0.1, 10, cooldown_steps=8, warmup_steps=3), "longer than the run of 10"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=3, stable_power=0.5), "needs a timescale"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=3, cooldown="cubic"), "cooldown must be one of"),
    (lambda: s.WSD(0.1, 10, cooldown_steps=3, min_lr=0.2), "min_lr must be"),
    (lambda: s.join([]), "at least one schedule"),
    (lambda: s.Constant(1e39), "learning_rate must be finite and at most 3.4e"),
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
        lambda: s.Cosine(0.1, 0.0, steps=5.0),
        lambda: s.Table([0.1, None]),
        lambda: s.FromCallable(0.1),
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
