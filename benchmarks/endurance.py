"""What is left behind by many calls of each search, many fits and a very long one in one process.

    KERAS_BACKEND=jax python -m benchmarks.endurance

adds a backend to `endurance.json` and writes the table `endurance.md` of all. A search is called
200 times, and a model is fitted 50 times with each callback; counted is what is there at the end
beyond what there was after the first calls, which compile: resident memory, compiled functions,
threads, open files, and objects of this library that are still alive. A fit of 1,000,000 driven
steps follows, each epoch's rate compared with the schedule's closed form.
"""

import argparse
import gc
import json
import math
import os
import pathlib
import platform
import sys
import threading
import time

import keras
import numpy as np

from benchmarks.cost.clock import one_thread
from benchmarks.cost.processes import resident
from benchmarks.uses import CALLBACKS, FIT, JIT, SEARCHES, compiled
from keras_lr import LRScheduler, plot_history, schedules

BACKEND = keras.backend.backend()
RESULTS = pathlib.Path(__file__).with_suffix(".json")
TABLE = pathlib.Path(__file__).with_suffix(".md")
COUNTS = ("functions", "threads", "files", "objects")
FITTED = "fit with "
# Without `fine_tune`, which compiles a model anew each time.
USES = [name for name in SEARCHES if name != "fine_tune"] + [FITTED + name for name in CALLBACKS]
WARM = 3  # calls that are not counted


def counts():
    """Return how much of everything there is."""
    for _ in range(3):  # what one collection ends may let go of more
        gc.collect()
    return {
        "mib": resident(),
        "functions": compiled_functions(),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "objects": sum(is_ours(each) for each in gc.get_objects()),
    }


def is_ours(value):
    """Return whether an object is of a class of this library; classes and functions are not."""
    kind = type(value)
    return str(getattr(kind, "__module__", "")).startswith("keras_lr.")


def compiled_functions():
    """Return how many functions the backend holds compiled."""
    if BACKEND == "jax":
        import jax

        return len(jax.devices()[0].client.live_executables())
    if BACKEND == "tensorflow":
        from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

        return sum(type(each) is ConcreteFunction for each in gc.get_objects())
    return 0


def growth(use, calls):
    """Return what many calls leave behind that a few have not."""
    for _ in range(WARM):
        use()
    before = counts()
    for _ in range(calls):
        use()
    after = counts()
    return {name: round(after[name] - before[name], 2) for name in after}


def use_of(name):
    """Return what makes one call of a search, or one fit with a callback, always of one model."""
    if name in SEARCHES:
        model = compiled()
        return lambda: SEARCHES[name](model)
    callback = name.removeprefix(FITTED)
    model = compiled(callback)
    return lambda: model.fit(**FIT, callbacks=[CALLBACKS[callback](None)])


def long_fit(steps, epochs):
    """Return what a fit of many driven steps shows."""
    peak = 0.1
    inputs = [keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]
    model = keras.Sequential(inputs)
    model.compile(keras.optimizers.SGD(peak), "mse", jit_compile=JIT)
    x = np.ones((steps // epochs, 1), "float32")
    memory = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: memory.append(resident())
    )
    driver = LRScheduler(schedules.Cosine(peak, 0.0, steps=steps))
    began = time.perf_counter()
    options = {"epochs": epochs, "batch_size": 1, "shuffle": False, "verbose": 0}
    history = model.fit(x, x, **options, callbacks=[driver, watch])
    took = time.perf_counter() - began
    last = np.arange(1, epochs + 1) * len(x) - 1
    wanted = peak * 0.5 * (1.0 + np.cos(math.pi * last / steps))
    error = np.abs(np.array(history.history["learning_rate"]) - wanted)
    began = time.perf_counter()
    axes = plot_history(history)
    np.ravel(axes)[0].figure.canvas.draw()
    return {
        "steps": steps,
        "seconds": round(took, 1),
        "largest_error": float(error.max()),
        "mib": round(memory[-1] - memory[len(memory) // 4], 2),
        "plot_seconds": round(time.perf_counter() - began, 2),
    }


def measure(searches, fits, steps, epochs, only=""):
    """Return everything for one backend, printed line by line."""
    found = {}
    for name in USES:
        if only in name:
            found[name] = growth(use_of(name), fits if name.startswith(FITTED) else searches)
            print(name, found[name], file=sys.stderr, flush=True)
    return {"uses": found, "long fit": long_fit(steps, epochs) if not only else None}


def table(results):
    """Return all results as Markdown."""
    lines = [
        "# Endurance",
        "",
        "Left behind by 200 calls of a search, or 50 fits, in one process: MiB of memory, and "
        "compiled functions / threads / open files / objects of this library.",
        "",
        "| use | " + " | ".join(results) + " |",
        "|---" * (len(results) + 1) + "|",
    ]
    for name in next(iter(results.values()))["uses"]:
        cells = []
        for result in results.values():
            row = result["uses"].get(name)
            left = "/".join(str(int(row[count])) for count in COUNTS) if row else ""
            cells.append(f"{row['mib']:.1f}, {left}" if row else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "A fit of driven steps:", ""]
    for backend, result in results.items():
        fit = result["long fit"]
        if fit:
            lines.append(
                f"- {backend}: {fit['steps']:,} steps in {fit['seconds']} s; largest error of the "
                f"rate {fit['largest_error']:.1e}; {fit['mib']} MiB more at the end than after a "
                f"quarter; `plot_history` took {fit['plot_seconds']} s."
            )
    return "\n".join(lines) + "\n"


def main():
    """Measure one backend and write all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--fits", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--only", default="", help="part of the names of the uses; writes nothing")
    given = parser.parse_args()
    one_thread()
    found = measure(given.searches, given.fits, given.steps, given.epochs, given.only)
    if given.only:
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[BACKEND] = {"keras": keras.__version__, "python": platform.python_version(), **found}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    TABLE.write_text(table(results))


if __name__ == "__main__":
    main()
