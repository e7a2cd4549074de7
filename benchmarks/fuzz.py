"""Arbitrary arguments to every public constructor: documented errors only, or something that works.

Each call takes arguments at random, most of them of the kind that is asked for and the others
of any kind there is: strings, arrays, complex numbers, NaN, integers beyond every float. It must
either raise a `TypeError` or `ValueError` that begins with the name of what was called and has
fewer than 300 characters, or return something that works: a schedule has only finite values of at
least 0, and survives its configuration and its repr; an optimizer makes an update.

    KERAS_BACKEND=torch python benchmarks/fuzz.py --calls 12000 --seed 0

writes the counts to `fuzz.md`. The searches and the plots have their own tests.
"""

from __future__ import annotations

import argparse
import inspect
import os
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lr import optimizers, schedules
from keras_lr.callbacks import (
    CosineWarmRestarts,
    CyclicLR,
    LRScheduler,
    OneCycle,
    ReduceOnPlateauPlus,
    SwapScheduleFreeWeights,
)
from keras_lr.callbacks.plateau.controller import PlateauController
from keras_lr.schedules import Schedule

LONGEST = 299
STEPS = [0, 1, 2, 3, 7, 10, 100, 10**4, 10**6, 2**31 - 1]

RATES = [0.1, 1e-3, 0, 1, 0.5, 1e-30, 3e38, np.float32(0.2), np.int64(2)]
LENGTHS = [1, 2, 3, 10, 1000, 2**30, np.int32(7)]
FRACTIONS = [0.0, 0.1, 0.3, 0.5, 0.9, 0.999999, 1.0, 2.0, 1e-12]
WORDS = ["linear", "cosine", "1-sqrt", "power", "exponential", "triangular", "triangular2"]
WORDS += ["exp_range", "min", "max", "auto", "abs", "rel", "epoch", "step", "mean", "loss"]
LISTS = [
    [0.1, 0.2, 0.3],
    [1, 2],
    (0, 2, 5),
    [0.1],
    [],
    [0.9, 0.1],
    ("a", "b"),
    [None],
    (0.85, 0.95),
]
HINTS: list[tuple[tuple[str, ...], list[Any]]] = [
    (("boundaries",), [[1, 2], [5], [3, 10, 20], (), [2, 1]]),
    (("learning_rates",), [[0.1, 0.2, 0.3], (1.0, 0.0), [0.1], [3e38, 0.1], []]),
    (("knots",), [(0, 2, 5), (0, 1e-9, 0.5), [0, 10], [1, 2], (0, 2**30)]),
    (("steps", "cycles", "times", "after", "seed", "snapshots", "patience"), LENGTHS),
    (("fraction", "ratio", "decay", "amount", "gamma", "power", "scale"), FRACTIONS),
    (("lr", "start", "end", "factor", "low", "high", "delta", "learning_rate", "eps"), RATES),
]
ODD: list[Any] = [
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        -1.0,
        -1,
        1e39,
        1e308,
        5e-324,
        10**400,
        -(10**400),
    ),
    *(None, True, False, "no", "", "\0", "0.1", b"x", 1j, Fraction(1, 3), Fraction(10**400)),
    *(np.array(0.1), np.ones(3), np.zeros((2, 2)), np.array([]), np.float16(0.1), np.bool_(True)),
    *({}, {"a": 1}, set(), object(), print, [10**9999], list(range(5000)), "x" * 5000, ...),
    *(
        lambda: 0.1,
        lambda a, b, c: 0.1,
        lambda step: -1.0,
        lambda step: "x",
        [0.1, 0.2].__getitem__,
    ),
]


def some_schedule(rng: random.Random) -> Schedule:
    """Return a sound schedule."""
    return rng.choice(
        [
            schedules.Constant(0.1),
            schedules.Constant(3e38),
            schedules.Linear(0.1, 0.0, steps=10),
            schedules.Cosine(1.0, 0.1, steps=1000),
            schedules.Geometric(0.1, 1.001),
            schedules.CosineRestarts(1.0, 10),
            schedules.Table([0.1, 0.0, 0.3]),
        ]
    )


def argument(rng: random.Random, name: str = "", odd: float = 0.35) -> Any:
    """Return any argument.

    Args:
        rng: What chooses.
        name: The argument's name, which says what is likely to be sound.
        odd: How often it is one that hardly anything takes.
    """
    if rng.random() < odd:
        return rng.choice(ODD)
    hinted = next((kind for words, kind in HINTS if any(word in name for word in words)), None)
    if hinted is not None and rng.random() < 0.9:
        return rng.choice(hinted)
    kind = rng.choice([RATES, RATES, LENGTHS, FRACTIONS, WORDS, LISTS, None])
    return some_schedule(rng) if kind is None else rng.choice(kind)


def arguments(function: Callable[..., Any], rng: random.Random) -> dict[str, Any]:
    """Return arguments by name: those without a default, and a few of the others."""
    chosen: dict[str, Any] = {}
    odd = rng.choice([0.0, 0.05, 0.3])
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name == "self":
            continue
        if parameter.default is parameter.empty or rng.random() < 0.3:
            chosen[name] = argument(rng, name, odd)
    return chosen


# --- what is called, by the name that its messages begin with ------------------------------------

PIECES = [name for name in schedules.__all__ if name not in ("Schedule", "schedule", "join")]
METHODS = ["then", "warmup", "repeat", "skip", "staircase", "clip", "noise"]
OPTIMIZERS = [name for name in optimizers.__all__ if name not in ("Migration", "migrate")]
KERAS_ARGUMENTS = ["weight_decay", "clipnorm", "clipvalue", "use_ema", "ema_momentum", "epsilon"]
KERAS_ARGUMENTS += ["gradient_accumulation_steps", "beta_1", "momentum", "rho", "amsgrad", "name"]
CALLBACKS = [LRScheduler, OneCycle, CyclicLR, CosineWarmRestarts, ReduceOnPlateauPlus]
CALLBACKS += [SwapScheduleFreeWeights, PlateauController]
OLD_ARGUMENTS = ["lr", "decay", "momentum", "epsilon", "rho", "clipnorm", "clipvalue", "beta_1"]


def a_schedule(rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Choose one of the schedules."""
    name = rng.choice(PIECES)
    made = getattr(schedules, name)
    given = arguments(made, rng)
    return name, lambda: works(made(**given))


def a_method(rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Choose an operator on a sound schedule."""
    first, other, name = some_schedule(rng), argument(rng), rng.choice([*METHODS, "*", "+", "join"])
    if name == "*":
        return name, lambda: works(first * other)
    if name == "+":
        return name, lambda: works(first + other)
    if name == "join":
        return name, lambda: works(schedules.join(other))
    method = getattr(first, name)
    given = arguments(method, rng)
    return name, lambda: works(method(**given))


def an_optimizer(rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Choose one of the optimizers, or a value for one that is there."""
    name = rng.choice(OPTIMIZERS)
    made = getattr(optimizers, name)
    if rng.random() < 0.2:
        attribute, value = rng.choice(["lr", "decay", "learning_rate"]), argument(rng)
        return name, lambda: updates(changed(made(), attribute, value))
    given = {key: argument(rng, key) for key in rng.sample(["lr", "decay", "learning_rate"], 1)}
    given |= {key: argument(rng) for key in rng.sample(KERAS_ARGUMENTS, rng.choice([0, 0, 1, 2]))}
    return name, lambda: updates(made(**given))


def a_callback(rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Choose one of the callbacks, or a state for a plateau."""
    made = rng.choice(CALLBACKS)
    if made is ReduceOnPlateauPlus and rng.random() < 0.2:
        state = {name: argument(rng) for name in PARTS if rng.random() < 0.95}
        state = rng.choice([state, state, argument(rng)])
        return made.__name__, lambda: made().set_state(state)
    given = arguments(made, rng)
    given.pop("name", None)  # the controller's, with which its messages begin
    return made.__name__, lambda: made(**given)


def a_migration(rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """Choose an old call."""
    optimizer = rng.choice(["sgd", "Adam", "RMSprop", "adagrad", "nadam", argument(rng)])
    given = {name: argument(rng, name) for name in rng.sample(OLD_ARGUMENTS, rng.choice([0, 1, 2]))}
    names = "|".join(["migrate", *OPTIMIZERS])
    return names, lambda: updates(optimizers.migrate(optimizer, **given).optimizer)


PARTS = ["controller", "rates", "events", "steps", "went_back", "failures", "start_loss"]
PARTS += ["best_loss"]
CALLS = [a_schedule, a_schedule, a_method, an_optimizer, a_callback, a_migration]


# --- what must hold of what is returned -----------------------------------------------------------


def works(schedule: Schedule) -> None:
    """Raise an AssertionError unless a schedule gives rates, and survives its configuration."""
    values = schedule.values(STEPS)
    if not (np.isfinite(values).all() and (values >= 0.0).all()):
        raise AssertionError(f"{schedule!r} gives {values}")
    one_by_one = [float(schedule.values(step)) for step in STEPS[:3]]
    if not np.allclose(one_by_one, values[:3], rtol=1e-5):
        raise AssertionError(f"{schedule!r} gives {one_by_one} step by step, {values[:3]} at once")
    if not isinstance(schedule, schedules.FromCallable):
        again = type(schedule).from_config(schedule.get_config())
        if again != schedule:
            raise AssertionError(f"{schedule!r} comes back as {again!r}")
    schedule.cycle_ends(1000)


def updates(optimizer: Any) -> None:
    """Raise an AssertionError unless an optimizer has a rate, and makes an update of a number."""
    if not isinstance(optimizer._learning_rate, keras.Variable):
        return
    rates = optimizer.lr, optimizer.effective_learning_rate
    if not all(0.0 <= rate < np.inf for rate in rates):
        raise AssertionError(f"{optimizer.get_config()} has the rates {rates}")
    optimizer.apply([keras.ops.ones(())], [keras.Variable(1.0)])


def changed(optimizer: Any, attribute: str, value: Any) -> Any:
    """Set an attribute."""
    setattr(optimizer, attribute, value)
    return optimizer


def fault(names: str, call: Callable[[], Any]) -> tuple[str, str]:
    """Make one call.

    Returns:
        What came of it, `"works"`, `"refused"` or `"fault"`; and of a fault what is wrong.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (TypeError, ValueError) as error:
        message = str(error)
        named = any(message.startswith(f"{name}: ") for name in names.split("|"))
        missing = type(error) is TypeError and "unsupported operand" in message
        if (named or missing) and len(message) <= LONGEST:
            return "refused", ""
        return "fault", f"{type(error).__name__}: {message[:400]}"
    except Exception as error:  # whatever it is, it is what is looked for
        return "fault", f"{type(error).__name__}: {str(error)[:400]}"
    return "works", ""


def run(calls: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Make calls at random; return how they ended, and the faults."""
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    for number in range(calls):
        rng = random.Random(f"{seed}-{number}")
        choose = rng.choice(CALLS)
        names, call = choose(rng)
        outcome, message = fault(names, call)
        counts[choose.__name__, outcome] += 1
        if outcome == "fault":
            faults.append(f"call {number} of {names}: {message}")
    return counts, faults


def main() -> None:
    """Run, print the faults and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    counts, faults = run(chosen.calls, chosen.seed)
    print("\n".join(faults[:50]))
    backend = keras.backend.backend()
    options = f"--calls {chosen.calls} --seed {chosen.seed}"
    command = f"KERAS_BACKEND={backend} python benchmarks/fuzz.py {options}"
    rows = [
        f"| {name.replace('_', ' ')} | {counts[name, 'works']} | {counts[name, 'refused']} "
        f"| {counts[name, 'fault']} |"
        for name in sorted({name for name, _ in counts})
    ]
    totals = [sum(n for (_, how), n in counts.items() if how == each) for each in OUTCOMES]
    total = f"| in all | {' | '.join(map(str, totals))} |"
    head = ["| called | works | refused in the library's words | fault |", "|---|---|---|---|"]
    lines = [f"{chosen.calls} calls with arbitrary arguments: `{command}`", "", *head, *rows, total]
    Path(__file__).with_suffix(".md").write_text("\n".join([*lines, ""]))
    print("\n".join(lines))
    sys.exit(1 if faults else 0)


OUTCOMES = ("works", "refused", "fault")

if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
