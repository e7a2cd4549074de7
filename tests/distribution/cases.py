"""Searches and fits of small models: the numbers that must not depend on how many devices train."""

import keras
import numpy as np

import keras_lr as klr

BACKEND = keras.backend.backend()
SAMPLES, BATCH = 64, 16
X = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype("float32")
Y = X[:, :1] * X[:, 1:2]
OPTIONS = {"epochs": 4, "verbose": 0, "shuffle": False}
FEEDING = {"x": X, "y": Y, "batch_size": BATCH}


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
    history = model.fit(callbacks=[callback], **FEEDING | OPTIONS | options).history
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
        found = klr.lr_find(model, **FEEDING, steps=8, shuffle=False, verbose=0, **settings)
        probes = found.probe_losses if found.probe_losses is not None else []
        return [*found.losses, *probes]

    return unchanged(search)


def range_test_in_a_fit():
    finder = klr.LRRangeTest(steps=6, validation_data=(X, Y), validation_every_steps=3)
    model = made()
    before, places = values_of(model), places_of(model)
    model.fit(**FEEDING, **OPTIONS, callbacks=[finder])
    assert all(map(np.array_equal, values_of(model), before)), "not put back"
    assert places_of(model) == places, "moved to other devices"
    return [*finder.result.losses, *finder.result.validation_losses[2::3]]


def sweep(**settings):
    def search(model):
        rates = [1e-3, 0.1]
        return klr.lr_sweep(model, X, Y, rates, 6, batch_size=BATCH, verbose=0, **settings).losses

    return unchanged(search).ravel()


def tuned():
    def search(model):
        best = klr.tune_lr(model, **FEEDING, epochs=20, verbose=0)
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
            shards = variable.value.addressable_shards
            whole = shards[0].data.shape == variable.value.shape
            held = [np.asarray(shard.data) for shard in shards] if whole else []
        assert all(np.array_equal(part, held[0]) for part in held), f"{variable.path} differs"


def broken_and_rescued():
    """Go back to the weights of the best epoch after the loss has become NaN."""
    y = np.tile(Y, (4, 1))
    y[-1] = np.nan
    x = np.tile(X, (4, 1))
    callback = klr.ReduceOnPlateauPlus("loss", factor=0.5, max_rescues=1, frequency=3)
    model = made()
    model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False, callbacks=[callback])
    check_copies(model)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def schedule():
    shape = klr.schedules.Cosine(0.1, 0.0, steps=16)
    return fitted(klr.LRScheduler(shape, momentum=lambda step: 0.5), momentum)[1]


def restarts():
    callback = klr.CosineWarmRestarts(first_cycle_epochs=2, cycle_mult=1, snapshots=2)
    model, rates = fitted(callback)
    check_copies(model)
    return [*rates, *callback.ensemble().predict(X, verbose=0).ravel()]


def averaged():
    average = klr.WeightAverage((0.9, 0.5), keep="best")
    model = made()
    model.fit(**FEEDING, **OPTIONS, validation_data=(X, Y), callbacks=[average])
    check_copies(model)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def cooled():
    return fitted(klr.Cooldown(epochs=2))[1]


def fit():
    model = made()
    result = klr.fit(model, **FEEDING, steps=200, validation_data=(X, Y), verbose=0)
    check_copies(model)
    return [result.peak, *result.learning_rates, result.kept_value]


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
    "Keras' plateau": lambda: fitted(
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    )[1],
}
