"""Cost of a range test beside the training steps it makes.

`lr_find(steps=100)` against `fit` over the same 100 batches, of the same compiled model, in one
process and in turn. Prints the median ratio of the pairs with its quartiles, and writes it as JSON:

    KERAS_BACKEND=jax python -m benchmarks.range_test_overhead
"""

import argparse
import json
import os
import pathlib
import platform

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from benchmarks.cost.clock import one_thread, seconds
from keras_lr import lr_find

STEPS, BATCH = 100, 32
HERE = pathlib.Path(__file__).parent


def mlp():
    """Two hidden layers of 64 on 64 features."""
    layers = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
    return keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])


def cnn():
    """Two convolutions on 28 x 28 images."""
    layers = []
    for channels in (16, 32):
        layers += [keras.layers.Conv2D(channels, 3, activation="relu"), keras.layers.MaxPooling2D()]
    head = [keras.layers.Flatten(), keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *layers, *head])


MODELS = {"small MLP": mlp, "small CNN": cnn}


def ratios(make, pairs):
    """Return the time of a sweep over the time of a fit, for each pair."""
    keras.utils.set_random_seed(0)
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    x = np.random.default_rng(0).normal(size=(STEPS * BATCH, *model.input_shape[1:]))
    x, y = x.astype("float32"), np.arange(STEPS * BATCH) % 10

    def fit():
        model.fit(x, y, batch_size=BATCH, verbose=0)

    def sweep():
        # No early stop: as many steps as the fit.
        lr_find(
            model, x, y, batch_size=BATCH, steps=STEPS, max_lr=1e-3, stop_factor=None, verbose=0
        )

    fit(), sweep()  # compile
    found = []
    for pair in range(pairs):
        first, second = (fit, sweep) if pair % 2 else (sweep, fit)
        times = {first: seconds(first)}
        times[second] = seconds(second)
        found.append(times[sweep] / times[fit])
    return found


def main():
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=31)
    pairs = parser.parse_args().pairs
    backend = keras.backend.backend()
    one_thread()
    report = {"keras": keras.__version__, "python": platform.python_version(), "pairs": pairs}
    print(f"| {backend} | median ratio | quartiles |\n|---|---|---|")
    for name, make in MODELS.items():
        low, median, high = np.percentile(ratios(make, pairs), [25, 50, 75])
        report[name] = {"quartiles": [round(low, 3), round(high, 3)], "median": round(median, 3)}
        print(f"| {name} | {median:.2f} | {low:.2f} to {high:.2f} |", flush=True)
    path = HERE / f"range_test_overhead.{backend}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
