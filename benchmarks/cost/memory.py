"""Peak memory of a search or a callback above that of a fit, in copies of the model's state."""

import gc

import keras
import numpy as np

import keras_lr as klr
from benchmarks.cost.clock import one_thread
from benchmarks.cost.models import of_size
from benchmarks.cost.processes import forget_peak, resident

WEIGHTS = ("1e5", "1e6", "1e7", "5e7")
STEPS, BATCH = 6, 4
OPTIONS = {"batch_size": BATCH, "verbose": 0}
WAYS = {
    "fit of Keras": lambda model, x: model.fit(x, x, **OPTIONS),
    "lr_find": lambda model, x: klr.lr_find(model, x, x, steps=STEPS, max_lr=1e-4, **OPTIONS),
    "lr_sweep": lambda model, x: klr.lr_sweep(model, x, x, [1e-6, 1e-5], STEPS, **OPTIONS),
    "LRScheduler": lambda model, x: model.fit(
        x, x, **OPTIONS, callbacks=[klr.LRScheduler(lambda step: 1e-5)]
    ),
    "restore_best_weights": lambda model, x: model.fit(
        x,
        x,
        **OPTIONS,
        callbacks=[klr.ReduceOnPlateauPlus("loss", restore_best_weights=True)],
    ),
    "WeightAverage": lambda model, x: model.fit(
        x, x, **OPTIONS, callbacks=[klr.WeightAverage(0.9)]
    ),
}
CASES = [f"{weights}, {way}" for weights in WEIGHTS for way in WAYS]


def measure(case, repeats=1):
    """Return the state and the peak above the built and trained model, in MiB."""
    one_thread()
    weights, way = case.split(", ")
    keras.utils.set_random_seed(0)
    model = of_size(float(weights))
    model.compile(keras.optimizers.Adam(1e-5), _mean)
    x = np.random.default_rng(0).normal(size=(STEPS * BATCH, 16)).astype("float32")
    model.fit(x, x, **OPTIONS)  # compiles, and takes what a step needs
    variables = [*model.variables, *model.optimizer.variables]
    state = sum(int(np.prod(each.shape)) * 4 for each in variables) / 2**20
    gc.collect()
    before = resident()
    forget_peak()
    WAYS[way](model, x)
    return {"state_mib": state, "peak_mib": resident("VmHWM:") - before}


def _mean(target, output):
    return keras.ops.mean(keras.ops.square(output), axis=-1)
