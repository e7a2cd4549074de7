"""A learning rate that diverges: Keras' plateau callback and this library's, side by side.

Digits with 30 % of the training labels replaced at random, MLPs, SGD with momentum at learning
rates from sound to hopeless, over several seeds. Both callbacks have the same factor and patience;
this library's also has rescues and goes back to the best weights. Both watch the validation loss.
With leaky units a rate that is too high ends in NaN; with ReLU the units die at a finite loss,
which nothing that looks for NaN can see. Run `python benchmarks/plateau_rescue.py`, which writes
`plateau_rescue.json` and `plateau_rescue.md` beside itself. Needs scikit-learn.
"""

import json
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_lr.callbacks.plateau import ReduceOnPlateauPlus

RATES = (0.03, 0.3, 1.0, 3.0)
ACTIVATIONS = ("leaky_relu", "relu")
SEEDS = 5
EPOCHS = 30
NOISE = 0.3
SHARED = {"monitor": "val_loss", "factor": 0.3, "patience": 3}
CALLBACKS = {
    "Keras": lambda: keras.callbacks.ReduceLROnPlateau(**SHARED),
    "keras_lr, same arguments": lambda: ReduceOnPlateauPlus(**SHARED),
    "keras_lr, rescues": lambda: ReduceOnPlateauPlus(**SHARED, max_rescues=10),
    "keras_lr, rescues and best weights": lambda: ReduceOnPlateauPlus(
        **SHARED, max_rescues=10, restore_best_weights=True
    ),
}


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


def run(make_callback, activation, learning_rate, seed):
    """Return the test loss and error at the end of one run."""
    keras.utils.set_random_seed(seed)
    train, validation, test = data(seed)
    layers = [keras.layers.Dense(64, activation=activation) for _ in range(2)]
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    callback = make_callback()
    model.fit(
        *train,
        batch_size=32,
        epochs=EPOCHS,
        verbose=0,
        validation_data=validation,
        callbacks=[callback],
    )
    loss, accuracy = model.evaluate(*test, verbose=0)
    rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate.value)
    actions = [event.action for event in getattr(callback, "events", [])]
    return {
        "test_loss": float(loss) if np.isfinite(loss) else None,
        "test_error": 1 - float(accuracy),
        "last_learning_rate": float(rate),
        "rescues": actions.count("rescue"),
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


if __name__ == "__main__":
    runs = {
        activation: {
            name: {
                str(rate): [run(make, activation, rate, seed) for seed in range(SEEDS)]
                for rate in RATES
            }
            for name, make in CALLBACKS.items()
        }
        for activation in ACTIVATIONS
    }
    lines = [f"Test loss and test error after {EPOCHS} epochs, mean ± sd over {SEEDS} seeds"]
    for activation, rows in runs.items():
        lines += ["", f"| {activation} | " + " | ".join(f"rate {rate:g}" for rate in RATES) + " |"]
        lines += ["|---" * (len(RATES) + 1) + "|"]
        lines += [
            f"| {name} | " + " | ".join(shown(cell) for cell in by_rate.values()) + " |"
            for name, by_rate in rows.items()
        ]
    print("\n".join(lines))
    here = Path(__file__)
    settings = {"epochs": EPOCHS, "label_noise": NOISE, "backend": keras.backend.backend()}
    here.with_suffix(".json").write_text(json.dumps({**settings, "runs": runs}, indent=1) + "\n")
    here.with_suffix(".md").write_text("\n".join(lines) + "\n")
