"""Every callback and every search in its shortest form, for what is measured or checked of all."""

import contextlib

import keras
import numpy as np

import keras_lr as klr

X = np.random.default_rng(0).normal(size=(128, 8)).astype("float32")
Y = X[:, :1] * X[:, 1:2]
FIT = {"x": X, "y": Y, "batch_size": 32, "epochs": 2, "verbose": 0, "shuffle": False}
JIT = False if keras.backend.backend() == "tensorflow" else "auto"

# Of each callback what makes one, given where it may save its state; None for nowhere.
CALLBACKS = {
    "LRRangeTest": lambda place: klr.LRRangeTest(steps=6, max_lr=0.1),
    "LRScheduler": lambda place: klr.LRScheduler(
        klr.schedules.Cosine(0.1, 0.01, steps=8), momentum=lambda step: 0.9
    ),
    "LRScheduler()": lambda place: klr.LRScheduler(),
    "OneCycle": lambda place: klr.OneCycle(0.1),
    "CyclicLR": lambda place: klr.CyclicLR(0.01, 0.1, step_size_steps=2),
    "CosineWarmRestarts": lambda place: klr.CosineWarmRestarts(
        0.1, first_cycle_epochs=1, cycle_mult=1, snapshots=2, snapshot_folder=place
    ),
    "ReduceOnPlateauPlus": lambda place: klr.ReduceOnPlateauPlus(
        "loss", factor=0.5, patience=1, restore_best_weights=True, backup_dir=place
    ),
    "ReduceOnPlateauPlus by the step": lambda place: klr.ReduceOnPlateauPlus(
        "batch_loss", factor=0.5, patience=1, frequency=2, max_rescues=1
    ),
    "WeightAverage": lambda place: klr.WeightAverage(0.9, backup_dir=place),
    "Unfreeze": lambda place: klr.Unfreeze(),
    "Cooldown": lambda place: klr.Cooldown(4, backup_dir=place),
}


def _adam(model):
    return klr.tune_adam(
        model, X, Y, steps=6, validation_data=(X, Y), n_trials=2, repeats=1, lr=(0.01, 0.1),
        verbose=0,
    )  # fmt: skip


SEARCHES = {
    "lr_find": lambda model: klr.lr_find(model, X, Y, steps=6, max_lr=0.1, verbose=0),
    "lr_find with a probe": lambda model: klr.lr_find(
        model, X, Y, steps=6, max_lr=0.1, probe=32, validation_data=(X, Y), verbose=0
    ),
    "lr_sweep": lambda model: klr.lr_sweep(model, X, Y, [1e-3, 1e-2], 3, verbose=0),
    "tune_lr": lambda model: klr.tune_lr(model, X, Y, steps=60, max_cost=80, verbose=0),
    "tune_adam": _adam,
    "fit": lambda model: klr.fit(model, X, Y, steps=12, validation_data=(X, Y), verbose=0),
    "fine_tune": lambda model: klr.fine_tune(model, X, Y, epochs=3, batch_size=32, verbose=0),
}


def compiled(name=""):
    """Return a small model with everything that has state, compiled and built.

    Args:
        name: Of the callback that it is for.
    """
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, "relu", name="body"), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dropout(0.1), keras.layers.Dense(1, name="head")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    if name == "Unfreeze":
        optimizer = klr.by_layer(optimizer, model, {"rest": 0.1, "head": 1.0})
    model.compile(optimizer, "mse", jit_compile=JIT)
    optimizer.build(model.trainable_variables)
    return model


class Killed(keras.callbacks.Callback):
    """Ends a fit in its second epoch, as a kill would: what is saved stays there."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations > len(X) // FIT["batch_size"]:
            raise InterruptedError


def fit_with(name, place=None, *, model=None, killed=False, **options):
    """Train a model with a callback, and return the callback."""
    model, callback = model or compiled(name), CALLBACKS[name](place)
    model.optimizer.iterations.assign(0)
    with contextlib.suppress(InterruptedError):
        model.fit(**FIT | options, callbacks=[callback, *([Killed()] if killed else [])])
    return callback
