"""`lr_sweep` against the loop that users write: `python -m benchmarks.sweep_speed`.

16 learning rates, 100 steps each, from the same weights. The loop clones, compiles and fits per
learning rate. Everything runs in one process, the ways alternating; shown are medians and the
median of the ratios to the loop of the same round. "first" includes compiling, "again" does not.
The ratios go to `sweep_speed.<backend>.json`.
"""

import argparse
import json
import os
import pathlib
import time
from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from keras_lr.search.sweep.sweep import lr_sweep

RATES = np.geomspace(1e-5, 0.1, 16)
STEPS, BATCH = 100, 32


def mlp() -> keras.Model:
    hidden = [layers.Dense(64, activation="relu"), layers.Dense(32, activation="relu")]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10)])


def cnn() -> keras.Model:
    convolutions = [
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Flatten(),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *convolutions, layers.Dense(10)])


def compiled(model: keras.Model, learning_rate: float = 1e-3) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss)
    return model


def loop(model: keras.Model, x: np.ndarray, y: np.ndarray) -> None:
    weights = model.get_weights()
    for learning_rate in RATES:
        clone = keras.models.clone_model(model)
        clone.set_weights(weights)
        compiled(clone, float(learning_rate)).fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(build: Callable[[], keras.Model], rounds: int) -> dict[str, list[float]]:
    random = np.random.default_rng(0)
    model = build()
    x = random.normal(size=(STEPS * BATCH, *model.input_shape[1:])).astype("float32")
    y = random.integers(0, 10, len(x)).astype("int32")
    times: dict[str, list[float]] = {}
    methods = ["sequential", "auto"]
    if keras.backend.backend() == "jax":
        methods.append("lanes")
    for _ in range(rounds):
        times.setdefault("loop", []).append(seconds(lambda: loop(build(), x, y)))
        for method in methods:
            model = compiled(build())
            for when in ("first", "again"):

                def sweep(model: keras.Model = model, method: str = method) -> object:
                    options = {"batch_size": BATCH, "method": method, "verbose": 0}
                    return lr_sweep(model, x, y, RATES, STEPS, **options)

                times.setdefault(f"{method}, {when}", []).append(seconds(sweep))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    print(f"| {keras.backend.backend()}: model | way | seconds | times quicker than the loop |")
    print("|---|---|---|---|")
    load = os.getloadavg()[0]
    report: dict[str, object] = {"keras": keras.__version__, "rounds": rounds, "load": load}
    for build in (mlp, cnn):
        times = measure(build, rounds)
        report[build.__name__] = ratios = {}
        for way, taken in times.items():
            ratio = np.median(np.array(times["loop"]) / np.array(taken))
            ratios[way] = round(float(ratio), 1)
            print(
                f"| {build.__name__} | {way} | {np.median(taken):.2f} | {ratio:.1f} |", flush=True
            )
    name = f"sweep_speed.{keras.backend.backend()}.json"
    pathlib.Path(__file__).with_name(name).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
