"""A learning rate that diverges: Keras' plateau callback and this library's, side by side.

Digits with 30 % of the training labels replaced at random, MLPs, SGD with momentum at learning
rates from sound to hopeless, five seeds, each with its own split. All callbacks have the same
factor and patience and watch the validation loss; Keras' is also given its usual way to keep the
best weights, `EarlyStopping(restore_best_weights=True)` with a patience that never stops. With
leaky units a rate that is too high ends in NaN; with ReLU the units die at a finite loss, which
nothing that looks for NaN can see. Run `python benchmarks/plateau_rescue.py`, which prints its
tables and writes `plateau_rescue.json` and `plateau_rescue.md` beside itself. Needs scikit-learn.
With `--table` it only makes the Markdown anew from the JSON.

What it showed is written at the end of `plateau_rescue.md`, and kept there when the tables are made
anew.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_lr.callbacks import ReduceOnPlateauPlus

RATES = (0.03, 0.3, 1.0, 3.0)
ACTIVATIONS = ("leaky_relu", "relu")
SEEDS = 5
EPOCHS = 30
NOISE = 0.3
SHARED = {"monitor": "val_loss", "factor": 0.3, "patience": 3}
CALLBACKS = {
    "Keras": lambda: [keras.callbacks.ReduceLROnPlateau(**SHARED)],
    "Keras, best weights at the end": lambda: [
        keras.callbacks.ReduceLROnPlateau(**SHARED),
        keras.callbacks.EarlyStopping(patience=EPOCHS, restore_best_weights=True),
    ],
    "keras_lr, best weights": lambda: [ReduceOnPlateauPlus(**SHARED, restore_best_weights=True)],
    "keras_lr, rescues": lambda: [ReduceOnPlateauPlus(**SHARED, max_rescues=10)],
    "keras_lr, rescues and best weights": lambda: [
        ReduceOnPlateauPlus(**SHARED, max_rescues=10, restore_best_weights=True)
    ],
}
FINDINGS = Path(__file__).with_suffix(".md")


def data(seed):
    """Return training, validation and test sets; only training labels are noisy."""
    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    x, y = (x[order] / 16.0).astype("float32"), y[order]
    train, validation, test = slice(0, 900), slice(900, 1200), slice(1200, None)
    noisy = y[train].copy()
    wrong = rng.random(900) < NOISE
    noisy[wrong] = rng.integers(0, 10, wrong.sum())
    return (x[train], noisy), (x[validation], y[validation]), (x[test], y[test])


def run(make_callbacks, activation, learning_rate, seed):
    """Return how one run went and ended."""
    keras.utils.set_random_seed(seed)
    train, validation, test = data(seed)
    layers = [keras.layers.Dense(64, activation=activation) for _ in range(2)]
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    callbacks = make_callbacks()
    history = model.fit(
        *train,
        batch_size=32,
        epochs=EPOCHS,
        verbose=0,
        validation_data=validation,
        callbacks=callbacks,
    ).history
    loss, accuracy = model.evaluate(*test, verbose=0)
    rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate.value)
    events = getattr(callbacks[0], "events", [])
    return {
        "test_loss": float(loss) if np.isfinite(loss) else None,
        "test_error": 1 - float(accuracy),
        "last_learning_rate": float(rate),
        "rescues": [event.action for event in events].count("rescue"),
        "epochs_not_finite": int(np.sum(~np.isfinite(history["val_loss"]))),
    }


def shown(runs):
    """Return a cell: the test loss over the seeds that ended finite, the error over all."""
    losses = [one["test_loss"] for one in runs if one["test_loss"] is not None]
    errors = [one["test_error"] for one in runs]
    error = f"{100 * np.mean(errors):.1f} ± {100 * np.std(errors):.1f} %"
    if not losses:
        return f"NaN, {error}"
    nans = f", {len(runs) - len(losses)} of {len(runs)} NaN" if len(losses) < len(runs) else ""
    return f"{np.mean(losses):.3g} ± {np.std(losses):.2g}{nans}, {error}"


def counted(runs):
    """Return a cell: epochs that ended without a finite validation loss, and rescues, by seed."""
    bad = "/".join(str(one["epochs_not_finite"]) for one in runs)
    rescues = "/".join(str(one["rescues"]) for one in runs)
    return bad if set(rescues) <= set("0/") else f"{bad}, rescues {rescues}"


def table(title, runs, cell):
    """Return one table per activation, a line per callback and a column per rate."""
    lines = [title]
    for activation, rows in runs.items():
        lines += ["", f"| {activation} | " + " | ".join(f"rate {rate:g}" for rate in RATES) + " |"]
        lines += ["|---" * (len(RATES) + 1) + "|"]
        lines += [
            f"| {name} | " + " | ".join(cell(runs) for runs in by_rate.values()) + " |"
            for name, by_rate in rows.items()
        ]
    return "\n".join(lines) + "\n"


def study():
    """Return every run, by activation, callback and rate."""
    runs = {activation: {name: {} for name in CALLBACKS} for activation in ACTIVATIONS}
    for activation, rows in runs.items():
        for rate in RATES:
            for name, make in CALLBACKS.items():
                rows[name][str(rate)] = [run(make, activation, rate, n) for n in range(SEEDS)]
                print(f"{activation}, rate {rate:g}, {name}: {shown(rows[name][str(rate)])}")
    return {
        "epochs": EPOCHS,
        "label_noise": NOISE,
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "runs": runs,
    }


def main():
    """Make the runs, or read them, and write the tables above what was found."""
    results = Path(__file__).with_suffix(".json")
    if "--table" not in sys.argv[1:]:
        results.write_text(json.dumps(study(), indent=1) + "\n")
    runs = json.loads(results.read_text())["runs"]
    ends = f"Test loss (nats) and test error after {EPOCHS} epochs, mean ± sd over {SEEDS} seeds"
    counts = f"Epochs of {EPOCHS} without a finite validation loss, and rescues, seed by seed"
    tables = table(ends, runs, shown) + "\n" + table(counts, runs, counted)
    print(tables)
    heading = "\n## What it showed\n"
    found = FINDINGS.read_text().partition(heading)[2] if FINDINGS.exists() else ""
    FINDINGS.write_text(tables + (heading + found if found else ""))


if __name__ == "__main__":
    main()
