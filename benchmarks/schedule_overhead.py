"""Cost of a schedule per training step: in the graph, from a callback, and by Keras' own means.

Every variant is compared with a fit that has a callback which does nothing, in the same process and
turn about, so that whatever else the machine does falls on both. A ratio of 1.05 means 5 % longer.

    KERAS_BACKEND=jax python -m benchmarks.schedule_overhead

adds a backend to `schedule_overhead.json` and writes the table `schedule_overhead.md` of all.
"""

import functools
import json
import os
import platform
import sys
from pathlib import Path

import keras
import numpy as np

from benchmarks.cost.clock import AssignPerBatch, NoOp, fit_seconds, one_thread, ratios_beside
from keras_lr import schedules
from keras_lr.callbacks import LRScheduler

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
REPEATS = 15


def mlp():
    """Return a model of which a step takes well under a millisecond, and its data."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(32 * 800, 20)).astype("float32")
    layers = [keras.Input((20,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)]
    return keras.Sequential(layers), "mse", x, x[:, :1]


def cnn():
    """Return a small convolutional network and its data."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(32 * 12, 28, 28, 1)).astype("float32")
    layers = [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
    loss = "sparse_categorical_crossentropy"
    return keras.Sequential(layers), loss, x, generator.integers(0, 10, len(x))


def variants(steps):
    """Return (learning rate, callback) by name, the first one to compare with."""
    cycle = max(2, steps // 7)
    restarts = schedules.CosineRestarts(1e-3, first_cycle_steps=cycle)
    finite = restarts.then(schedules.Constant(1e-4), after=steps)
    values = schedules.Table(finite.values(range(steps)).tolist())
    keras_own = keras.optimizers.schedules.CosineDecayRestarts(1e-3, cycle)
    return {
        "no-op callback": (1e-3, NoOp()),
        "in the graph": (restarts, NoOp()),
        "LRScheduler": (1e-3, LRScheduler(restarts)),
        "LRScheduler() of a graph's": (restarts, LRScheduler()),
        "Keras: CosineDecayRestarts": (keras_own, NoOp()),
        "Keras: assign per batch": (1e-3, AssignPerBatch(values)),
    }


def measure(make, steps_per_execution):
    """Return the quartiles of the ratio to the no-op callback by variant, and its own step time."""
    steps = len(make()[2]) // 32
    timed = {}
    for name, (learning_rate, callback) in variants(steps).items():
        model, loss, x, y = make()
        model.compile(
            keras.optimizers.Adam(learning_rate), loss, steps_per_execution=steps_per_execution
        )
        timed[name] = functools.partial(fit_seconds, model, x, y, callback)
        timed[name]()  # compiles
    ratios, own = ratios_beside(timed.pop("no-op callback"), timed, REPEATS)
    return ratios, own / steps


def main():
    """Measure one backend and write all results."""
    backend = keras.backend.backend()
    one_thread()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = []
    results[backend] = {
        "keras": keras.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "rows": rows,
    }
    for make in (mlp, cnn):
        for several in (1, 8) if make is mlp and backend != "torch" else (1,):
            ratios, step = measure(make, several)
            row = {"model": make.__name__, "steps_per_execution": several, "seconds_per_step": step}
            rows.append({**row, "ratios": ratios})
            print(backend, row, ratios, flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            TABLE.write_text(table(results))


def table(results):
    """Return all results as a Markdown table."""
    names = list(next(iter(results.values()))["rows"][0]["ratios"])
    lines = [
        "# Overhead of schedules",
        "",
        "Time of an epoch relative to one with a callback that does nothing; medians (quartiles) "
        f"of {REPEATS} ratios, sides alternating in one process.",
        "",
        "| backend | model | steps per execution | ms per step | " + " | ".join(names) + " |",
        "|" + "---|" * (4 + len(names)),
    ]
    for backend, result in results.items():
        for row in result["rows"]:
            cells = [backend, row["model"], str(row["steps_per_execution"])]
            cells += [f"{1000 * row['seconds_per_step']:.2f}"]
            for low, median, high in (row["ratios"][name] for name in names):
                cells.append(f"{median:.2f} ({low:.2f} to {high:.2f})")
            lines.append("| " + " | ".join(cells) + " |")
    loads = ", ".join(f"{name} {result['load']:.0f}" for name, result in results.items())
    cores = next(iter(results.values()))["cores"]
    lines += ["", f"Measured on {cores} cores at a load of: {loads}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
