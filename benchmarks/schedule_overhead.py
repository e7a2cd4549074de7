"""Cost of a schedule per training step: in the graph, from a callback, and by Keras' own means.

Every variant is compared with a fit that has a callback which does nothing, in the same process and
turn about, so that whatever else the machine does falls on both. A ratio of 1.05 means 5 % longer.

    KERAS_BACKEND=jax python benchmarks/schedule_overhead.py

adds a backend to `schedule_overhead.json` and writes the table `schedule_overhead.md` of all.
"""

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np

from keras_lr import schedules
from keras_lr.callbacks import LRScheduler

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
REPEATS = 15


class Clock(keras.callbacks.Callback):
    """Takes the time when it is told that training begins and ends.

    What comes after is left out: tf.data now and then lets go of an iterator only when its
    autotuning wakes up, and a fit of half a second then takes 1.3 seconds.
    """

    def on_train_begin(self, logs=None):
        """Take the time."""
        self.began = time.perf_counter()

    def on_train_end(self, logs=None):
        """Take the time."""
        self.ended = time.perf_counter()


class NoOp(keras.callbacks.Callback):
    """Does nothing, after every batch."""

    def on_train_batch_end(self, batch, logs=None):
        """Do nothing."""


class AssignPerBatch(keras.callbacks.Callback):
    """What users write: set the optimizer's learning rate before every batch."""

    def __init__(self, schedule):
        super().__init__()
        self.values = schedule.values(range(schedule.steps)).tolist()

    def on_train_batch_begin(self, batch, logs=None):
        """Set it."""
        self.model.optimizer.learning_rate = self.values[batch]

    def on_train_batch_end(self, batch, logs=None):
        """Do nothing, as the no-op does."""


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


def seconds(model, x, y, callback):
    """Return how long an epoch takes, with all that the callback does before and after it."""
    first, last = Clock(), Clock()
    model.fit(x, y, batch_size=32, shuffle=False, verbose=0, callbacks=[first, callback, last])
    return last.ended - first.began


def measure(make, steps_per_execution):
    """Return the quartiles of the ratio to the no-op callback by variant, and its own step time."""
    models = {}
    for name, (learning_rate, callback) in variants(len(make()[2]) // 32).items():
        model, loss, x, y = make()
        model.compile(
            keras.optimizers.Adam(learning_rate), loss, steps_per_execution=steps_per_execution
        )
        models[name] = model, callback
        seconds(model, x, y, callback)  # compiles
    base = models.pop("no-op callback")
    ratios = {name: [] for name in models}
    own = []
    for _ in range(REPEATS):
        for name, pair in models.items():
            before, with_it, after = (seconds(m, x, y, c) for m, c in (base, pair, base))
            ratios[name].append(2 * with_it / (before + after))
            own += [before, after]
    step = statistics.median(own) / (len(x) // 32)
    quartiles = {name: statistics.quantiles(values, n=4) for name, values in ratios.items()}
    return quartiles, step


def main():
    """Measure one backend and write all results."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
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
