"""`lr_sweep` on JAX in fresh processes: what each way takes, and whether `auto` chooses well.

    python -m benchmarks.sweep_fresh --rounds 3

In a fresh process nothing is compiled yet, as where a user sweeps once. Every sweep runs in a
process of its own, forked from one that has only imported the library, the ways in turn. Shown are
the lowest times of a case over the rounds, since other work on a machine can only add to them, and
the highest peaks: seconds on the clock, and of the processors, which other work does not add to.
`ratio` is the time of `auto` over that of the better of the two ways. Memory is the peak of the
resident set above that of the built model, in copies of its state (weights, optimizer, statistics);
`fit` is one plain epoch of the same batches. Writes `sweep_fresh.json` and `sweep_fresh.md`.
"""

import argparse
import json
import os
import pathlib
import time
from importlib import metadata

from benchmarks.cost.processes import context, in_new_process, resident

CASES = {
    "MLP 9e3, 3 x 20": ("mlp", 64, 3, 20),
    "MLP 9e3, 16 x 100": ("mlp", 64, 16, 100),
    "MLP 9e3, 16 x 1000": ("mlp", 64, 16, 1000),
    "MLP 9e4, 16 x 100": ("mlp", 256, 16, 100),
    "MLP 1e6, 8 x 30": ("mlp", 1000, 8, 30),
    "MLP 9e6, 4 x 8": ("mlp", 3000, 4, 8),
    "CNN 4e3, 16 x 100": ("cnn", 8, 16, 100),
    "LSTM 6e3, 16 x 500": ("lstm", 32, 16, 500),
}
WAYS = ("fit", "sequential", "lanes", "auto")
BATCH = 32
HERE = pathlib.Path(__file__).parent


def build(kind, width):
    """Return a compiled model with its optimizer's slots."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    if kind == "mlp":
        parts = [keras.Input((64,)), *(layers.Dense(width, activation="relu") for _ in range(2))]
    elif kind == "cnn":
        first, second = (
            layers.Conv2D(size, 3, padding="same", activation="relu") for size in (width, 2 * width)
        )
        parts = [keras.Input((8, 8, 1)), first, layers.MaxPooling2D(2), second, layers.Flatten()]
    else:
        parts = [keras.Input((8, 8)), layers.LSTM(width)]
    model = keras.Sequential([*parts, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.optimizer.build(model.trainable_variables)
    return model


def one(kind, width, rates, steps, way):
    """Sweep in this process and return what it took."""
    import numpy as np

    from keras_lr import lr_sweep

    model = build(kind, width)
    random = np.random.default_rng(0)
    x = random.normal(size=(steps * BATCH, *model.input_shape[1:])).astype("float32")
    y = random.integers(0, 10, len(x)).astype("int32")
    state = sum(v.value.nbytes for v in [*model.variables, *model.optimizer.variables]) / 2**20
    before, began, cpu = resident(), time.perf_counter(), time.process_time()
    used = way
    if way == "fit":
        model.fit(x, y, batch_size=BATCH, verbose=0)
    else:
        grid = np.geomspace(1e-5, 1e-2, rates)
        used = lr_sweep(model, x, y, grid, steps, batch_size=BATCH, method=way, verbose=0).method
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "used": used,
        "state_mib": state,
        "peak_mib": resident("VmHWM:") - before,
    }


def summary(runs):
    """Return the figures of a case from the runs of each way."""
    lowest, busy = (
        {way: min(run[of] for run in runs[way]) for way in WAYS}
        for of in ("seconds", "cpu_seconds")
    )
    better = min(("sequential", "lanes"), key=lowest.get)
    less_busy = min(("sequential", "lanes"), key=busy.get)
    state = runs["fit"][0]["state_mib"]
    peaks = {way: max(run["peak_mib"] for run in runs[way]) for way in WAYS}
    return {
        "seconds": {way: round(value, 2) for way, value in lowest.items()},
        "cpu_seconds": {way: round(value, 2) for way, value in busy.items()},
        "auto": sorted({run["used"] for run in runs["auto"]}),
        "better": better,
        "ratio": round(lowest["auto"] / lowest[better], 2),
        "cpu_ratio": round(busy["auto"] / busy[less_busy], 2),
        "state_mib": round(state, 1),
        "peak_mib": {way: round(value) for way, value in peaks.items()},
        "copies": {way: round(value / state, 1) for way, value in peaks.items()},
    }


def table(report):
    """Return the report as Markdown."""
    lines = [
        "# `lr_sweep` on JAX in fresh processes",
        "",
        f"`python -m benchmarks.sweep_fresh --rounds {report['rounds']}`; keras {report['keras']}, "
        f"{report['cores']} cores, load {report['load']}.",
        "Seconds of the processors (on the clock), the lowest of the rounds; the peak of memory",
        "above the built model, in MiB (in copies of its state).",
        "",
        "| weights, rates x steps | sequential | lanes | auto | took | ratio | state | fit | "
        "sequential | lanes | auto |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, row in report["cases"].items():
        busy, clock, peak, copies = (
            row[name] for name in ("cpu_seconds", "seconds", "peak_mib", "copies")
        )
        times = " | ".join(f"{busy[way]} ({clock[way]})" for way in WAYS[1:])
        memory = " | ".join(f"{peak[way]} ({copies[way]})" for way in WAYS)
        lines.append(
            f"| {case} | {times} | {', '.join(row['auto'])} | {row['cpu_ratio']} ({row['ratio']}) "
            f"| {row['state_mib']} | {memory} |"
        )
    return "\n".join(lines) + "\n"


def main():
    """Measure, print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="part of the names of the cases to run")
    given = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    maker = context("keras_lr")

    load = round(os.getloadavg()[0], 1)
    report = {"keras": metadata.version("keras"), "rounds": given.rounds}
    report |= {"cores": os.cpu_count()}
    report |= {"load": load, "cases": {}}
    for case in (case for case in CASES if given.only in case):
        runs = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way in WAYS:
                runs[way].append(in_new_process(maker, one, *CASES[case], way))
        report["cases"][case] = summary(runs)
        print(case, report["cases"][case], flush=True)
        if given.only:
            continue
        (HERE / "sweep_fresh.json").write_text(json.dumps(report, indent=1) + "\n")
        (HERE / "sweep_fresh.md").write_text(table(report))


if __name__ == "__main__":
    main()
