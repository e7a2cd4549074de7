"""Cost of a search: beside the steps it makes, per call in a fresh process, and by its rates."""

import time

import keras
import numpy as np

import keras_lr as klr
from benchmarks.cost.clock import one_thread, ratios_beside, seconds
from benchmarks.cost.models import BATCH, built, compiled, data

NAMES = ("mlp", "mlp 1e6", "cnn", "transformer")
STEPS = {"mlp": 100, "mlp 1e6": 60, "cnn": 30, "transformer": 20}
RATES = (2, 4, 8, 16, 32)
OPTIONS = {"batch_size": BATCH, "verbose": 0}
CALLS = {
    "fit of Keras": lambda model, x, y: model.fit(x, y, **OPTIONS),
    "lr_find": lambda model, x, y: klr.lr_find(model, x, y, steps=30, **OPTIONS),
    "tune_lr": lambda model, x, y: klr.tune_lr(model, x, y, steps=400, **OPTIONS),
    "lr_sweep": lambda model, x, y: klr.lr_sweep(
        model, x, y, np.geomspace(1e-4, 1e-1, 4), 20, **OPTIONS
    ),
    "klr.fit": lambda model, x, y: klr.fit(model, x, y, steps=200, **OPTIONS),
}
CASES = [
    *(f"beside its steps, {name}" for name in NAMES),
    *(f"per call, {name}, {call}" for name in ("mlp", "cnn") for call in CALLS),
    *(f"by rates, {name}" for name in ("mlp", "cnn")),
]


def measure(case, repeats=15):
    """Return what a case takes."""
    one_thread()
    what, name, *call = case.split(", ")
    return {"beside its steps": beside, "per call": once, "by rates": by_rates}[what](
        name, *call, repeats=repeats
    )


def beside(name, repeats):
    """Return the ratios of a range test, plain and with probes, to a fit of the same steps."""
    model = compiled(built(name))
    steps = STEPS[name]
    x, y = data(model, steps)
    settings = {"steps": steps, "max_lr": 1e-3, "stop_factor": None, **OPTIONS}

    def test(**more):
        return lambda: seconds(lambda: klr.lr_find(model, x, y, **settings, **more))

    others = {"range test": test(), "probe of 32": test(probe=32), "probe of 256": test(probe=256)}
    base = lambda: seconds(lambda: model.fit(x, y, **OPTIONS))  # noqa: E731
    base()
    for other in others.values():
        other()
    ratios, own = ratios_beside(base, others, repeats)
    return {"ratios": ratios, "seconds_per_step": own / steps}


def once(name, call, repeats):
    """Return the seconds of the first call in this process, of the second, and its updates."""
    model = compiled(built(name))
    x, y = data(model, 30)
    first = seconds(lambda: CALLS[call](model, x, y))
    return {"first": first, "second": seconds(lambda: CALLS[call](model, x, y))}


def by_rates(name, repeats):
    """Return the seconds of a sweep by the number of its rates, compiled before."""
    model = compiled(built(name))
    x, y = data(model, 20)
    found = {}
    for count in RATES:
        rates = np.geomspace(1e-5, 1e-2, count)
        run = lambda rates=rates: klr.lr_sweep(model, x, y, rates, 20, **OPTIONS)  # noqa: E731
        method = run().method
        times = [seconds(run) for _ in range(max(1, repeats // 5))]
        found[str(count)] = {"seconds": min(times), "method": method}
    return found


def naive(model_name, rates, steps):
    """Return the seconds of what users write: a clone, a compilation and a fit for each rate."""
    model = built(model_name)
    x, y = data(model, steps)
    began = time.perf_counter()
    for rate in rates:
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        compiled(clone, float(rate)).fit(x, y, **OPTIONS)
    return time.perf_counter() - began
