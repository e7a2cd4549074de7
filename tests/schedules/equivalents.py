"""Pairs of expressions: a schedule of another library, and the same values from this one.

Both sides are Python source: the scripts in `tests/oracles` evaluate the peers' side and record the
values, the tests evaluate ours and compare. `lr` is 0.1 on both sides, and `opt` a peer's optimizer
with that learning rate.
"""

from dataclasses import dataclass

LR = 0.1


@dataclass(frozen=True)
class Equivalent:
    """One line of the table.

    Attributes:
        peer: The library.
        theirs: Its expression.
        ours: The expression in the names of `keras_lr.schedules`.
        steps: How many steps are compared, from step 0.
        remark: What a reader should know.
    """

    peer: str
    theirs: str
    ours: str
    steps: int = 120
    remark: str = ""


def _table(peer, *lines):
    return [Equivalent(peer, *line) for line in lines]


KERAS = _table(
    "Keras",
    ("CosineDecay(lr, 100, alpha=0.1)", "Cosine(lr, 0.1 * lr, steps=100)"),
    (
        "CosineDecay(0.01, 90, warmup_target=lr, warmup_steps=10)",
        "Cosine(lr, 0.0, steps=90).warmup(10, start=0.01)",
    ),
    (
        "CosineDecayRestarts(lr, 10, t_mul=2.0, m_mul=0.5)",
        "CosineRestarts(lr, 10, cycle_mult=2, max_lr_decay=0.5)",
    ),
    (
        "CosineDecayRestarts(lr, 10, t_mul=1.5, m_mul=0.5, alpha=0.1)",
        "CosineRestarts(0.9 * lr, 10, cycle_mult=1.5, max_lr_decay=0.5) + 0.1 * lr",
        120,
        "`m_mul` scales what is above the floor, `max_lr_decay` the peak",
    ),
    ("ExponentialDecay(lr, 20, 0.5)", "Geometric(lr, 0.5, every_steps=20)"),
    ("ExponentialDecay(lr, 20, 0.5, staircase=True)", "Step(lr, 0.5, every_steps=20)"),
    ("InverseTimeDecay(lr, 1, 0.01)", "InverseTime(lr, decay=0.01)", 120, "the legacy `decay`"),
    (
        "InverseTimeDecay(lr, 10, 0.5, staircase=True)",
        "InverseTime(lr, decay=0.05).staircase(10)",
    ),
    (
        "PiecewiseConstantDecay([30, 80], [0.1, 0.05, 0.01])",
        "PiecewiseConstant((31, 81), (0.1, 0.05, 0.01))",
        120,
        "Keras changes after the boundary, not at it",
    ),
    (
        "PolynomialDecay(lr, 100, 0.001, power=2.0)",
        "Polynomial(lr, 0.001, steps=100, power=2)",
    ),
)

TORCH = _table(
    "torch",
    (
        "ConstantLR(opt, factor=0.5, total_iters=20)",
        "Constant(0.5 * lr, steps=20).then(Constant(lr))",
    ),
    ("LinearLR(opt, 0.25, 1.0, total_iters=20)", "Linear(0.25 * lr, lr, steps=20)"),
    ("StepLR(opt, 30, gamma=0.1)", "Step(lr, 0.1, every_steps=30)"),
    ("MultiStepLR(opt, [30, 80], gamma=0.1)", "MultiStep(lr, (30, 80), factor=0.1)"),
    ("ExponentialLR(opt, gamma=0.95)", "Geometric(lr, 0.95)"),
    ("PolynomialLR(opt, 100, power=2.0)", "Polynomial(lr, 0.0, steps=100, power=2)"),
    (
        "CosineAnnealingLR(opt, T_max=50, eta_min=0.001)",
        "Cosine(lr, 0.001, 50).then(Cosine(0.001, lr, 50)).repeat()",
        120,
        "past `T_max` torch climbs again; `Cosine` alone stays down",
    ),
    (
        "CosineAnnealingWarmRestarts(opt, T_0=10, T_mult=2, eta_min=0.001)",
        "CosineRestarts(lr, 10, cycle_mult=2, min_lr=0.001)",
    ),
    ("CosineAnnealingWarmRestarts(opt, T_0=25)", "CosineRestarts(lr, 25, cycle_mult=1)"),
    ("OneCycleLR(opt, max_lr=lr, total_steps=100)", "OneCycle(lr, steps=100)", 100),
    (
        "OneCycleLR(opt, max_lr=lr, total_steps=100)  # momentum",
        "OneCycle(lr, steps=100).momentum()",
        100,
    ),
    (
        "OneCycleLR(opt, max_lr=lr, total_steps=75, pct_start=0.25, anneal_strategy='linear')",
        "OneCycle(lr, steps=75, warmup_fraction=0.25, curve='linear')",
        75,
    ),
    (
        "OneCycleLR(opt, max_lr=lr, total_steps=100, three_phase=True)",
        "OneCycle(lr, steps=100, three_phase=True)",
        100,
    ),
    (
        "OneCycleLR(opt, max_lr=lr, total_steps=100, three_phase=True)  # momentum",
        "OneCycle(lr, steps=100, three_phase=True).momentum()",
        100,
    ),
    (
        "CyclicLR(opt, 0.01, 0.1, step_size_up=10, step_size_down=20)",
        "Triangular(0.01, 0.1, up_steps=10, down_steps=20)",
    ),
    (
        "CyclicLR(opt, 0.01, 0.1, step_size_up=10)  # momentum",
        "Triangular(0.01, 0.1, up_steps=10).momentum()",
    ),
    (
        "CyclicLR(opt, 0.01, 0.1, step_size_up=10, mode='triangular2')",
        "Triangular(0.01, 0.1, up_steps=10, mode='triangular2')",
    ),
    (
        "CyclicLR(opt, 0.01, 0.1, step_size_up=10, mode='triangular2')  # momentum",
        "Triangular(0.01, 0.1, up_steps=10, mode='triangular2').momentum()",
    ),
    (
        "CyclicLR(opt, 0.01, 0.1, step_size_up=10, mode='exp_range', gamma=0.99)",
        "Triangular(0.01, 0.1, up_steps=10, mode='exp_range', gamma=0.99)",
    ),
    (
        "CyclicLR(opt, 0.01, 0.1, step_size_up=10, mode='exp_range', gamma=0.99)  # momentum",
        "Triangular(0.01, 0.1, up_steps=10, mode='exp_range', gamma=0.99).momentum()",
    ),
    (
        "LambdaLR(opt, lambda t: 0.5 ** (t % 10))",
        "Table([lr * 0.5 ** (t % 10) for t in range(120)])",
        120,
        "any Python function; in `keras.ops`: `FromCallable`",
    ),
    ("MultiplicativeLR(opt, lambda t: 0.95)", "Geometric(lr, 0.95)"),
    (
        "SequentialLR(opt, [LinearLR(opt, 0.1, 1.0, 10), CosineAnnealingLR(opt, 90)], [10])",
        "Cosine(lr, 0.0, steps=90).warmup(10, start=0.1 * lr)",
        100,
    ),
    (
        "ChainedScheduler([LinearLR(opt, 0.25, 1.0, 20), ExponentialLR(opt, 0.95)])",
        "Linear(0.25, 1.0, steps=20) * Geometric(lr, 0.95)",
    ),
    ("SWALR(opt, swa_lr=0.01, anneal_epochs=10)", "Cosine(lr, 0.01, steps=10)"),
    (
        "SWALR(opt, swa_lr=0.01, anneal_epochs=10, anneal_strategy='linear')",
        "Linear(lr, 0.01, steps=10)",
    ),
)

OPTAX = _table(
    "optax",
    ("constant_schedule(lr)", "Constant(lr)"),
    ("linear_schedule(lr, 0.01, 80)", "Linear(lr, 0.01, steps=80)"),
    (
        "cosine_decay_schedule(lr, 100, alpha=0.1, exponent=2.0)",
        "Cosine(lr, 0.1 * lr, steps=100, power=2)",
    ),
    ("exponential_decay(lr, 20, 0.5, staircase=True)", "Step(lr, 0.5, every_steps=20)"),
    (
        "exponential_decay(lr, 20, 0.5, transition_begin=30, end_value=0.02)",
        "Constant(lr, steps=30).then(Geometric(lr, 0.5, every_steps=20)).clip(low=0.02)",
    ),
    (
        "polynomial_schedule(lr, 0.01, 2, 50, transition_begin=20)",
        "Constant(lr, steps=20).then(Polynomial(lr, 0.01, steps=50, power=2))",
    ),
    (
        "piecewise_constant_schedule(lr, {30: 0.1, 80: 0.5})",
        "PiecewiseConstant((30, 80), (lr, 0.1 * lr, 0.05 * lr))",
    ),
    (
        "piecewise_interpolate_schedule('cosine', lr, {30: 0.5, 80: 0.1})",
        "Interpolated((0, 30, 80), (lr, 0.5 * lr, 0.05 * lr), curve='cosine')",
    ),
    ("warmup_constant_schedule(0.01, lr, 10)", "Constant(lr).warmup(10, start=0.01)"),
    (
        "warmup_cosine_decay_schedule(0.01, lr, 10, 100, end_value=0.001)",
        "Cosine(lr, 0.001, steps=90).warmup(10, start=0.01)",
        120,
        "optax counts the warm-up in `decay_steps`",
    ),
    (
        "warmup_exponential_decay_schedule(0.0, lr, 10, 20, 0.5)",
        "Geometric(lr, 0.5, every_steps=20).warmup(10)",
    ),
    (
        "sgdr_schedule([dict(init_value=0.0, peak_value=lr, decay_steps=20, warmup_steps=5), "
        "dict(init_value=0.0, peak_value=0.5 * lr, decay_steps=60, warmup_steps=10)])",
        "join([Cosine(lr, 0.0, 15).warmup(5), Cosine(0.5 * lr, 0.0, 50).warmup(10)])",
    ),
    (
        "sgdr_schedule([dict(init_value=0.0, peak_value=lr, decay_steps=20, warmup_steps=5)] * 6)",
        "CosineRestarts(lr, 20, cycle_mult=1, warmup_steps=5)",
    ),
    (
        "cosine_onecycle_schedule(100, lr, 0.3, 25.0, 1e4)",
        "Interpolated((0, 30, 100), (lr / 25, lr, lr / 25e4), curve='cosine')",
    ),
    (
        "linear_onecycle_schedule(100, lr, 0.3, 0.85, 25.0, 1e4)",
        "Interpolated((0, 30, 85, 100), (lr / 25, lr, lr / 25, lr / 25e4))",
    ),
    (
        "join_schedules([linear_schedule(0.0, lr, 10), constant_schedule(lr)], [10])",
        "Linear(0.0, lr, steps=10).then(Constant(lr))",
    ),
)

TIMM = _table(
    "timm",
    (
        "CosineLRScheduler(opt, t_initial=100, lr_min=0.001, k_decay=1.5)",
        "Cosine(lr, 0.001, steps=100, k=1.5)",
    ),
    (
        "CosineLRScheduler(opt, t_initial=90, warmup_t=10, warmup_lr_init=0.01, "
        "warmup_prefix=True)",
        "Cosine(lr, 0.0, steps=90).warmup(10, start=0.01)",
    ),
    (
        "CosineLRScheduler(opt, t_initial=100, warmup_t=10, warmup_lr_init=0.01)",
        "Linear(0.01, lr, steps=10).then(Cosine(lr, 0.0, steps=100).skip(10))",
        120,
        "without `warmup_prefix` timm drops from the top into the running cosine",
    ),
    (
        "CosineLRScheduler(opt, t_initial=10, cycle_mul=2.0, cycle_decay=0.5, cycle_limit=3)",
        "CosineRestarts(lr, 10, cycle_mult=2, max_lr_decay=0.5, cycles=3)",
    ),
    (
        "CosineLRScheduler(opt, t_initial=10, cycle_mul=1.5, cycle_limit=9)",
        "CosineRestarts(lr, 10, cycle_mult=1.5)",
    ),
    (
        "TanhLRScheduler(opt, t_initial=100, lb=-7.0, ub=3.0, lr_min=0.001)",
        "Tanh(lr, 0.001, steps=100)",
    ),
    (
        "PolyLRScheduler(opt, t_initial=100, power=0.5, k_decay=1.5, lr_min=0.001)",
        "Polynomial(lr, 0.001, steps=100, power=0.5, k=1.5)",
    ),
    ("StepLRScheduler(opt, decay_t=30, decay_rate=0.1)", "Step(lr, 0.1, every_steps=30)"),
    (
        "MultiStepLRScheduler(opt, decay_t=[30, 80], decay_rate=0.1)",
        "MultiStep(lr, (29, 79), factor=0.1)",
        120,
        "timm changes one epoch early",
    ),
    (
        "WSDLRScheduler(opt, t_initial=90, decay_t=20, warmup_t=10)",
        "WSD(lr, steps=100, cooldown_steps=20, warmup_steps=10)",
    ),
    *(
        (
            f"WSDLRScheduler(opt, t_initial=90, decay_t=40, warmup_t=10, lr_min=0.01, "
            f"stable_fn='rsqrt', decay_fn='{curve}', decay_power=2.0)",
            "WSD(lr, steps=100, cooldown_steps=40, warmup_steps=10, min_lr=0.01, "
            f"cooldown='{name}', stable_power=0.5)",
        )
        for curve, name in [
            ("linear", "linear"),
            ("cosine", "cosine"),
            ("power", "power"),
            ("exp", "exponential"),
        ]
    ),
    (
        "WSDLRScheduler(opt, t_initial=100, decay_t=30, stable_fn='power', stable_power=0.8, "
        "stable_timescale=20)",
        "WSD(lr, steps=100, cooldown_steps=30, stable_power=0.8, timescale_steps=20)",
    ),
)

TRANSFORMERS = _table(
    "transformers",
    ("get_constant_schedule(opt)", "Constant(lr)"),
    ("get_constant_schedule_with_warmup(opt, 10)", "Constant(lr).warmup(10)"),
    ("get_linear_schedule_with_warmup(opt, 10, 100)", "Linear(lr, 0.0, steps=90).warmup(10)"),
    ("get_cosine_schedule_with_warmup(opt, 10, 100)", "Cosine(lr, 0.0, steps=90).warmup(10)", 100),
    (
        "get_cosine_with_hard_restarts_schedule_with_warmup(opt, 10, 100, num_cycles=3)",
        "CosineRestarts(lr, 30, cycle_mult=1, cycles=3).warmup(10)",
    ),
    (
        "get_polynomial_decay_schedule_with_warmup(opt, 10, 100, lr_end=0.001, power=2.0)",
        "Polynomial(lr, 0.001, steps=90, power=2).warmup(10)",
    ),
    ("get_inverse_sqrt_schedule(opt, 10)", "InverseSqrt(lr, 10).warmup(10)"),
    (
        "get_inverse_sqrt_schedule(opt, 10, timescale=40)",
        "InverseSqrt(lr, 40).warmup(10)",
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup(opt, 10, 100, min_lr=0.01)",
        "Cosine(lr, 0.01, steps=90).warmup(10)",
        100,
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate(opt, 10, 100, min_lr=0.01, "
        "warmup_lr_rate=0.1)",
        "Linear(0.1 * lr, lr, steps=9).then(Cosine(lr, 0.01, steps=90).skip(1), after=10)",
        100,
    ),
    (
        "get_wsd_schedule(opt, 10, 30, num_stable_steps=60, min_lr_ratio=0.1)",
        "Constant(lr, steps=60).then(Cosine(lr, 0.1 * lr, steps=30)).warmup(10, start=0.1 * lr)",
    ),
    (
        "get_wsd_schedule(opt, 10, 30, num_stable_steps=60, decay_type='1-sqrt')",
        "WSD(lr, steps=100, cooldown_steps=30, warmup_steps=10)",
    ),
)

FASTAI = _table(
    "fastai",
    ("SchedNo(lr, lr)", "Constant(lr)", 100),
    ("SchedLin(lr, 0.01)", "Linear(lr, 0.01, steps=100)", 100),
    ("SchedCos(lr, 0.01)", "Cosine(lr, 0.01, steps=100)", 100),
    ("SchedExp(0.001, lr)", "Exponential(0.001, lr, steps=100)", 100),
    (
        "SchedPoly(lr, 0.01, 2.0)",
        "Polynomial(lr, 0.01, steps=100, k=2)",
        100,
        "fastai raises what is done, others what is left",
    ),
    (
        "combined_cos(0.25, lr / 25, lr, lr / 1e5)  # fit_one_cycle",
        "Interpolated((0, 25, 100), (lr / 25, lr, lr / 1e5), curve='cosine')",
        100,
    ),
    (
        "combined_cos(0.25, 0.95, 0.85, 0.95)  # fit_one_cycle, momentum",
        "Interpolated((0, 25, 100), (0.95, 0.85, 0.95), curve='cosine')",
        100,
    ),
    (
        "combined_cos(0.75, lr, lr, lr / 1e5)  # fit_flat_cos",
        "FlatCosine(lr, lr / 1e5, steps=100, flat_steps=75)",
        100,
    ),
    (
        "combine_scheds([0.2, 0.8], [SchedCos(lr, 0), SchedCos(lr, 0)])  # fit_sgdr",
        "CosineRestarts(lr, 20, cycle_mult=4, cycles=2)",
        100,
    ),
)

TF_ADDONS = _table(
    "TF-Addons",
    (
        "TriangularCyclicalLearningRate(0.01, 0.1, 10)",
        "Triangular(0.01, 0.1, up_steps=10)",
    ),
    (
        "Triangular2CyclicalLearningRate(0.01, 0.1, 10)",
        "Triangular(0.01, 0.1, up_steps=10, mode='triangular2')",
    ),
    (
        "ExponentialCyclicalLearningRate(0.01, 0.1, 10, scale_mode='iterations', gamma=0.99)",
        "Triangular(0.01, 0.1, up_steps=10, mode='exp_range', gamma=0.99)",
    ),
)

CLR = _table(
    "CLR",
    (
        "CyclicLR(base_lr=0.01, max_lr=0.1, step_size=10)",
        "Triangular(0.01, 0.1, up_steps=10)",
    ),
    (
        "CyclicLR(base_lr=0.01, max_lr=0.1, step_size=10, mode='triangular2')",
        "Triangular(0.01, 0.1, up_steps=10, mode='triangular2')",
    ),
    (
        "CyclicLR(base_lr=0.01, max_lr=0.1, step_size=10, mode='exp_range', gamma=0.99)",
        "Triangular(0.01, 0.1, up_steps=10, mode='exp_range', gamma=0.99)",
    ),
)

RECORDED = [*TORCH, *OPTAX, *TIMM, *TRANSFORMERS, *FASTAI, *TF_ADDONS]
EQUIVALENTS = [*KERAS, *RECORDED, *CLR]


def markdown():
    """Return the whole as a Markdown table."""
    rows = ["| peer | there | here | remark |", "|---|---|---|---|"]
    rows += [f"| {e.peer} | `{e.theirs}` | `{e.ours}` | {e.remark} |" for e in EQUIVALENTS]
    return "\n".join(rows)
