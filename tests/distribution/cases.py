"""Searches and fits of small models: the numbers that must not depend on how many devices train.

`SPLIT` says which rows this process holds; it is all of them unless there are several processes.
"""

import keras
import numpy as np

import keras_lr as klr
from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._engine.snapshot import ModelSnapshot
from keras_lr._engine.state import TrainingState
from keras_lr._keras.placement import is_split
from keras_lr._keras.variables import DIRECT

BACKEND = keras.backend.backend()
SAMPLES, BATCH = 64, 16
X = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype("float32")
Y = X[:, :1] * X[:, 1:2]
LONG = np.tile(X, (32, 1)), np.tile(Y, (32, 1))
SPLIT = {"own": slice(None), "batch": BATCH}
OPTIONS = {"epochs": 4, "verbose": 0, "shuffle": False}


def feeding(x=X, y=Y):
    """Return the arguments of a fit that hand this process' rows over."""
    own = SPLIT["own"]
    return {"x": x[own], "y": y[own], "batch_size": SPLIT["batch"]}


def validation():
    """Return this process' rows to validate by."""
    return X[SPLIT["own"]], Y[SPLIT["own"]]


def made(optimizer=keras.optimizers.Adam, rate=0.1):
    """Return a compiled model whose kernels split evenly over four devices."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, "tanh", name="hidden"), keras.layers.Dense(1, name="head")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(optimizer(rate), "mse", jit_compile=BACKEND == "jax")
    model.optimizer.build(model.trainable_variables)
    return model


def momentum(rate):
    """Return an optimizer whose momentum can be driven."""
    return keras.optimizers.SGD(rate, momentum=0.9)


def fitted(callback, optimizer=keras.optimizers.Adam, **options):
    """Return a model trained with a callback, and the learning rates that were logged."""
    model = made(optimizer)
    history = model.fit(callbacks=[callback], **feeding() | OPTIONS | options).history
    return model, history["learning_rate"]


def unchanged(search):
    """Call a search on a model, and return what it found; the model must be as it was."""
    model = made()
    before, places = values_of(model), places_of(model)
    found = search(model)
    assert all(map(np.array_equal, values_of(model), before)), "not put back"
    assert places_of(model) == places, "moved to other devices"
    return found


def values_of(model):
    """Return the values of all variables of a model."""
    variables = [*model.variables, *model.optimizer.variables]
    return [variable.numpy() for variable in variables]


def places_of(model):
    """Return on which devices each variable lies, and how it is split among them (JAX)."""
    variables = [*model.variables, *model.optimizer.variables]
    return [str(getattr(variable.value, "sharding", "")) for variable in variables]


def range_test(**settings):
    def search(model):
        found = klr.lr_find(model, **feeding(), steps=8, shuffle=False, verbose=0, **settings)
        probes = found.probe_losses if found.probe_losses is not None else []
        return [*found.losses, *probes]

    return unchanged(search)


def range_test_in_a_fit():
    finder = klr.LRRangeTest(steps=6, validation_data=validation(), validation_every_steps=3)
    model = made()
    before, places = values_of(model), places_of(model)
    model.fit(**feeding(), **OPTIONS, callbacks=[finder])
    assert all(map(np.array_equal, values_of(model), before)), "not put back"
    assert places_of(model) == places, "moved to other devices"
    return [*finder.result.losses, *finder.result.validation_losses[2::3]]


def sweep():
    def search(model):
        rates = [1e-3, 0.1]
        found = klr.lr_sweep(model, **feeding(), learning_rates=rates, steps=6, verbose=0)
        return found.losses

    return unchanged(search).ravel()


def tuned():
    def search(model):
        best = klr.tune_lr(model, **feeding(*LONG), epochs=1, verbose=0)
        return [best.learning_rate, *(trial.score for trial in best.trials)]

    return unchanged(search)


def plateau(**settings):
    callback = klr.ReduceOnPlateauPlus(factor=0.5, patience=1, min_delta=1e9, **settings)
    model, rates = fitted(callback)
    check_copies(model)
    return rates + [event.metric for event in callback.events]


def check_copies(model):
    """Raise unless all devices hold the same weights and learning rate."""
    for variable in [*model.weights, *model.optimizer.variables]:
        if BACKEND == "tensorflow":
            held = [part.numpy() for part in getattr(variable.value, "values", ())]
        else:
            value, held = variable.value, []
            if value.is_fully_addressable and value.sharding.is_fully_replicated:
                held = [np.asarray(shard.data) for shard in value.addressable_shards]
        assert all(np.array_equal(part, held[0]) for part in held), f"{variable.path} differs"


def broken_and_rescued():
    """Go back to the weights of the best epoch after the loss has become NaN."""
    x, y = LONG[0], LONG[1].copy()
    y[-40] = np.nan
    callback = klr.ReduceOnPlateauPlus("loss", factor=0.5, max_rescues=1, frequency=3)
    model = made()
    options = {"epochs": 1, "verbose": 0, "shuffle": False}
    model.fit(**feeding(x, y), **options, callbacks=[callback])
    check_copies(model)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def schedule():
    shape = klr.schedules.Cosine(0.1, 0.0, steps=16)
    return fitted(klr.LRScheduler(shape, momentum=lambda step: 0.5), momentum)[1]


def restarts():
    callback = klr.CosineWarmRestarts(first_cycle_epochs=2, cycle_mult=1, snapshots=2)
    model, rates = fitted(callback)
    check_copies(model)
    ends = [member.get_weights() for member in callback.snapshots]
    return [*rates, *(float(np.sum(weight)) for weights in ends for weight in weights)]


def averaged():
    average = klr.WeightAverage((0.9, 0.5), keep="best")
    model = made()
    options = OPTIONS | {"epochs": 2, "validation_data": validation()}
    model.fit(**feeding(), **options, callbacks=[average])
    check_copies(model)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def cooled():
    return fitted(klr.Cooldown(epochs=2))[1]


def fit():
    model = made()
    options = {"steps": 200, "shuffle": False, "validation_data": validation(), "verbose": 0}
    result = klr.fit(model, **feeding(*LONG), **options)
    check_copies(model)
    return [result.peak, *result.learning_rates, result.kept_value]


class OwnMetric(keras.callbacks.Callback):
    """Logs a metric that improves for some processes and not for the first."""

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = 1.0 - 1e-6 * epoch * SPLIT.get("rank", 0)


def disagreement():
    own = OwnMetric()
    plateau = klr.ReduceOnPlateauPlus("score", mode="min", factor=0.5, patience=1, min_delta=0.0)
    stop = klr.Cooldown(steps=4, monitor="score", patience=2, mode="min")
    model = made()
    rates = model.fit(**feeding(), **OPTIONS | {"epochs": 6}, callbacks=[own, plateau, stop])
    return rates.history["learning_rate"]


def copies_on_devices():
    """Return how many weights are split among devices, and of what is kept to go back to, too."""
    if BACKEND == "tensorflow":
        return 0, 0, 0
    model = made()
    checkpoint = WeightCheckpoint.take(model, DIRECT)._weights
    snapshot = ModelSnapshot(model, TrainingState(model))._variables._values
    counts = [sum(map(is_split, each)) for each in (checkpoint, snapshot)]
    return sum(is_split(weight.value) for weight in model.weights), *counts


CASES = {
    "lr_find": range_test,
    "lr_find with a probe": lambda: range_test(probe=32, repeats=2),
    "LRRangeTest": range_test_in_a_fit,
    "lr_sweep": sweep,
    "tune_lr": tuned,
    "plateau by the epoch": lambda: plateau(monitor="loss", restore_best_weights=True),
    "plateau by the step": lambda: plateau(monitor="batch_loss", frequency=2, max_rescues=1),
    "rescue": broken_and_rescued,
    "schedule": schedule,
    "restarts": restarts,
    "average": averaged,
    "cooldown": cooled,
    "fit": fit,
    "own metric": disagreement,
    "copies": copies_on_devices,
    "Keras' plateau": lambda: fitted(
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    )[1],
}
