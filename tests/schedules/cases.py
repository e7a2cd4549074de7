"""One case for every schedule and operator, each with its closed form in float64 NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_lr import schedules as s


@keras.saving.register_keras_serializable(package="test_schedules")
def sawtooth(step):
    return 0.01 * ops.cast(step % 7, "float32")


@dataclass(frozen=True)
class Case:
    name: str
    schedule: s.Schedule
    formula: Callable[[np.ndarray], np.ndarray]  # float64 steps -> float64 values
    steps: int | None
    cycle_ends: tuple[int, ...] = ()  # up to step 50


def part(t, steps):
    return np.minimum(t, steps) / steps


def cosine(t, start, end, steps):
    return end + (start - end) * (1 + np.cos(np.pi * part(t, steps))) / 2


def restarts(t, ends, peaks, low):
    starts = np.array([0, *ends])
    i = np.minimum(np.searchsorted(starts, t, side="right") - 1, len(ends) - 1)
    return cosine(t - starts[i], np.array(peaks)[i], low, np.diff(starts)[i])


def triangle(t, up, down):
    position = t % (up + down)
    return np.minimum(position / up, (up + down - position) / down)


def one_cycle(t):  # 20 steps, top at 0.25 * 20 - 1
    up = cosine(t, 0.04, 1.0, 4)
    return np.where(t < 4, up, cosine(np.maximum(t - 4, 0), 1.0, 4e-6, 15))


def wsd(t):  # 4 steps up, 6 falling by an inverse square root, 10 down
    stable = np.maximum(1.0 / np.sqrt(1 + np.maximum(t - 4, 0) / 4), 0.1)
    left = 1 - np.sqrt(part(np.maximum(t - 10, 0), 10))
    return np.where(t < 4, t / 4, 0.1 + (stable - 0.1) * left)


CASES = [
    Case("constant", s.Constant(0.3), lambda t: np.full_like(t, 0.3), None),
    Case("linear", s.Linear(0.5, 0.1, steps=20), lambda t: 0.5 - 0.4 * part(t, 20), 20, (20,)),
    Case("rising", s.Linear(0.0, 0.1, steps=8), lambda t: 0.1 * part(t, 8), 8, (8,)),
    Case("cosine", s.Cosine(1.0, 0.1, steps=20), lambda t: cosine(t, 1.0, 0.1, 20), 20, (20,)),
    Case(
        "cosine-k-power",
        s.Cosine(1.0, 0.0, steps=20, k=1.5, power=2.0),
        lambda t: ((1 + np.cos(np.pi * part(t, 20) ** 1.5)) / 2) ** 2,
        20,
        (20,),
    ),
    Case(
        "polynomial",
        s.Polynomial(1.0, 0.2, steps=16, power=2.0, k=0.5),
        lambda t: 0.2 + 0.8 * (1 - part(t, 16) ** 0.5) ** 2,
        16,
        (16,),
    ),
    Case(
        "exponential",
        s.Exponential(1e-3, 1.0, steps=30),
        lambda t: 1e-3 ** (1 - part(t, 30)),
        30,
        (30,),
    ),
    Case(
        "scaled-exponential",
        s.ScaledExponential(1.0, 0.1, steps=25, ratio=0.05),
        lambda t: 0.1 + 0.9 * (0.05 ** part(t, 25) - 0.05) / 0.95,
        25,
        (25,),
    ),
    Case(
        "tanh",
        s.Tanh(1.0, 0.0, steps=20, lower=-6.0, upper=3.0),
        lambda t: np.where(t < 20, (1 - np.tanh(-6 + 9 * part(t, 20))) / 2, 0.0),
        20,
        (20,),
    ),
    Case("geometric", s.Geometric(0.5, 0.9, 3), lambda t: 0.5 * 0.9 ** (t / 3), None),
    Case("step", s.Step(0.5, 0.5, every_steps=7), lambda t: 0.5 * 0.5 ** (t // 7), None),
    Case("inverse-time", s.InverseTime(0.5, 0.01), lambda t: 0.5 / (1 + 0.01 * t), None),
    Case("inverse-sqrt", s.InverseSqrt(0.5, 9), lambda t: 0.5 / np.sqrt(1 + t / 9), None),
    Case("inverse-power", s.InversePower(0.5, 9, 0.7), lambda t: 0.5 * (1 + t / 9) ** -0.7, None),
    Case(
        "piecewise-constant",
        s.PiecewiseConstant((5, 6, 20), (0.1, 0.2, 0.05, 0.0)),
        lambda t: np.array([0.1, 0.2, 0.05, 0.0])[np.searchsorted([5, 6, 20], t, side="right")],
        20,
        (20,),
    ),
    Case(
        "multi-step",
        s.MultiStep(1.0, (10, 20), factor=0.2),
        lambda t: 0.2 ** ((t >= 10).astype(float) + (t >= 20)),
        20,
        (20,),
    ),
    Case(
        "interpolated",
        s.Interpolated((0, 4.5, 18), (0.0, 1.0, 0.5)),
        lambda t: np.interp(t, [0, 4.5, 18], [0.0, 1.0, 0.5]),
        18,
        (18,),
    ),
    Case(
        "table",
        s.Table((0.1, 0.5, 0.3), every_steps=4),
        lambda t: np.array([0.1, 0.5, 0.3])[np.minimum(t // 4, 2).astype(int)],
        12,
        (12,),
    ),
    Case("callable", s.FromCallable(sawtooth), lambda t: 0.01 * (t % 7), None),
    Case(
        "keras-schedule",
        s.FromCallable(keras.optimizers.schedules.CosineDecay(1.0, 20), steps=20),
        lambda t: cosine(t, 1.0, 0.0, 20),
        20,
        (20,),
    ),
    Case(
        "keras-schedule-scalar",
        s.FromCallable(
            keras.optimizers.schedules.CosineDecay(0.0, 16, warmup_target=1.0, warmup_steps=4),
            steps=20,
            elementwise=False,
        ),
        lambda t: np.where(t < 4, t / 4, cosine(np.maximum(t - 4, 0), 1.0, 0.0, 16)),
        20,
        (20,),
    ),
    Case(
        "restarts",
        s.CosineRestarts(1.0, first_cycle_steps=3, cycle_mult=2, min_lr=0.1),
        lambda t: restarts(t, [3, 9, 21, 45, 93], [1.0] * 5, 0.1),
        None,
        (3, 9, 21, 45),
    ),
    Case(
        "restarts-equal",
        s.CosineRestarts(1.0, 10, cycle_mult=1, max_lr_decay=0.5, min_lr=0.3, cycles=3),
        lambda t: np.where(t < 30, restarts(t, [10, 20, 30], [1, 0.5, 0.3], 0.3), 0.3),
        30,
        (10, 20, 30),
    ),
    Case(
        "restarts-fractional",
        s.CosineRestarts(1.0, 6, cycle_mult=1.25, cycles=4, max_lr_decay=0.8),
        lambda t: np.where(
            t < 34.59375,
            restarts(t, [6, 13.5, 22.875, 34.59375], [1.0, 0.8, 0.64, 0.512], 0.0),
            0.0,
        ),
        35,
        (6, 14, 23, 35),
    ),
    Case(
        "restarts-warmup",
        s.CosineRestarts(1.0, 8, cycle_mult=1, warmup_steps=3, min_lr=0.1),
        lambda t: np.where(
            t % 8 < 3,
            0.1 + 0.9 * (t % 8) / 3,
            cosine(np.maximum(t % 8 - 3, 0), 1.0, 0.1, 5),
        ),
        None,
        (8, 16, 24, 32, 40, 48),
    ),
    Case(
        "triangular",
        s.Triangular(0.1, 1.0, up_steps=5, down_steps=7),
        lambda t: 0.1 + 0.9 * triangle(t, 5, 7),
        None,
        (12, 24, 36, 48),
    ),
    Case(
        "triangular2",
        s.Triangular(0.1, 1.0, up_steps=5, mode="triangular2"),
        lambda t: 0.1 + 0.9 * triangle(t, 5, 5) * 0.5 ** (t // 10),
        None,
        (10, 20, 30, 40, 50),
    ),
    Case(
        "exp-range",
        s.Triangular(0.1, 1.0, up_steps=6, mode="exp_range", gamma=0.97),
        lambda t: 0.1 + 0.9 * triangle(t, 6, 6) * 0.97**t,
        None,
        (12, 24, 36, 48),
    ),
    Case("one-cycle", s.OneCycle(1.0, 20, 0.25), one_cycle, 20, (20,)),
    Case(
        "one-cycle-momentum",
        s.OneCycle(1.0, steps=20, three_phase=True, curve="linear").momentum(),
        lambda t: np.interp(t, [0, 5, 10, 19], [0.95, 0.85, 0.95, 0.95]),
        19,
        (19,),
    ),
    Case(
        "flat-cosine",
        s.FlatCosine(1.0, 0.1, steps=20, flat_steps=8),
        lambda t: cosine(np.maximum(t - 8, 0), 1.0, 0.1, 12),
        20,
        (20,),
    ),
    Case(
        "wsd",
        s.WSD(1.0, 20, cooldown_steps=10, warmup_steps=4, min_lr=0.1, stable_power=0.5),
        wsd,
        20,
        (20,),
    ),
    Case(
        "trapezoid",
        s.Trapezoid(0.5, 30, warmup_fraction=0.15, decay_fraction=0.3),
        lambda t: 0.5 * np.clip(np.minimum((t + 1) / 4.5, (30 - t) / 9), 0, 1),
        30,
        (30,),
    ),
    Case(
        "trapezoid-without-ends",
        s.Trapezoid(0.5, 8, warmup_fraction=0.0, decay_fraction=0.0),
        lambda t: np.full_like(t, 0.5),
        8,
        (8,),
    ),
    Case(
        "stretch",
        s.Cosine(1.0, 0.1, steps=10).stretch(25),
        lambda t: cosine(t, 1.0, 0.1, 25),
        25,
        (25,),
    ),
    Case(
        "stretch-cycles",
        s.Linear(1.0, 0.5, steps=4).then(s.Linear(2.0, 0.0, steps=6)).stretch(5),
        lambda t: np.where(t < 2, 1 - 0.5 * t / 2, 2 * (1 - part(np.maximum(t - 2, 0), 3))),
        5,
        (2, 5),
    ),
    Case(
        "then",
        s.Linear(0.0, 1.0, steps=10).then(s.InverseTime(1.0, 0.1)),
        lambda t: np.where(t < 10, t / 10, 1 / (1 + 0.1 * np.maximum(t - 10, 0))),
        None,
        (10,),
    ),
    Case(
        "then-after",
        s.InverseTime(1.0, 0.1).then(s.Constant(0.5, steps=5), after=12),
        lambda t: np.where(t < 12, 1 / (1 + 0.1 * t), 0.5),
        17,
        (17,),
    ),
    Case(
        "warmup",
        s.Cosine(1.0, 0.0, steps=20).warmup(5, start=0.2),
        lambda t: np.where(t < 5, 0.2 + 0.8 * t / 5, cosine(np.maximum(t - 5, 0), 1, 0, 20)),
        25,
        (25,),
    ),
    Case(
        "product",
        s.Linear(0.0, 1.0, steps=6) * s.Geometric(1.0, 0.9) * 0.5,
        lambda t: part(t, 6) * 0.9**t / 2,
        None,
        (6,),
    ),
    Case(
        "sum",
        0.25 + s.Linear(0.5, 0.0, steps=10) + s.Cosine(0.5, 0.0, steps=15),
        lambda t: 0.25 + 0.5 * (1 - part(t, 10)) + cosine(t, 0.5, 0.0, 15),
        15,
        (10,),
    ),
    Case(
        "repeat",
        s.Linear(1.0, 0.0, steps=9).repeat(),
        lambda t: 1 - (t % 9) / 9,
        None,
        (9, 18, 27, 36, 45),
    ),
    Case(
        "repeat-three",
        s.Linear(1.0, 0.0, steps=9).warmup(3).repeat(3),
        lambda t: np.where(t < 36, np.interp(t % 12, [0, 3, 12], [0, 1, 0]), 0.0),
        36,
        (12, 24, 36),
    ),
    Case(
        "skip",
        s.Linear(1.0, 0.0, steps=20).skip(5),
        lambda t: 1 - part(t + 5, 20),
        15,
        (15,),
    ),
    Case(
        "staircase",
        s.Linear(1.0, 0.0, steps=20).staircase(5),
        lambda t: 1 - part(t - t % 5, 20),
        20,
        (20,),
    ),
    Case(
        "clip",
        s.Linear(1.0, 0.0, steps=20).clip(low=0.2, high=0.9),
        lambda t: np.clip(1 - part(t, 20), 0.2, 0.9),
        20,
        (20,),
    ),
    Case(
        "mirror",
        s.Linear(0.9, 0.2, steps=20).mirror(low=0.2, high=0.9),
        lambda t: 0.2 + 0.7 * part(t, 20),
        20,
        (20,),
    ),
]
