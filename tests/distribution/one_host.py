"""The script of `test_distribution`, in a process of its own: the library on one device and on two.

Prints a JSON object: by case, what came out on one device and what came out on two.
"""

import contextlib
import json

import keras
import numpy as np

import keras_lr as klr

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = X[:, :1]


def split_the_cpu():
    """Make two devices of it: before TensorFlow uses it; JAX is told by an environment variable."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], halves
        )


@contextlib.contextmanager
def two_devices():
    """Spread what is made and trained within over two devices."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            yield
        return
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        yield
    finally:
        keras.distribution.set_distribution(None)


def made(optimizer=keras.optimizers.Adam):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile(optimizer(0.1), "mse", jit_compile=BACKEND == "jax")
    return model


def fitted(callback, optimizer=keras.optimizers.Adam):
    """Return a model trained with a callback, and the learning rates that were logged."""
    model = made(optimizer)
    options = {"epochs": 4, "batch_size": 16, "verbose": 0, "shuffle": False}
    return model, model.fit(X, Y, callbacks=[callback], **options).history["learning_rate"]


def weights_of(model):
    return [weight.tolist() for weight in model.get_weights()]


def range_test():
    model = made()
    before = weights_of(model)
    result = klr.lr_find(model, X, Y, batch_size=16, steps=8, shuffle=False, verbose=0)
    assert weights_of(model) == before
    return result.losses.tolist()


def sweep():
    model = made()
    before = weights_of(model)
    result = klr.lr_sweep(model, X, Y, [1e-3, 0.1], 6, batch_size=16, verbose=0)
    assert weights_of(model) == before
    return result.losses.tolist()


def plateau(**settings):
    callback = klr.ReduceOnPlateauPlus(factor=0.5, patience=1, min_delta=1e9, **settings)
    model, rates = fitted(callback)
    if BACKEND == "tensorflow":  # every replica has taken the same decision
        import tensorflow as tf

        parts = tf.distribute.get_strategy().experimental_local_results
        held = {float(part) for part in parts(model.optimizer._learning_rate.value)}
        assert len(held) == 1
    return rates + [event.metric for event in callback.events]


CASES = {
    "lr_find": range_test,
    "lr_sweep": sweep,
    "plateau by the epoch": lambda: plateau(monitor="loss", restore_best_weights=True),
    "plateau by the step": lambda: plateau(monitor="batch_loss", frequency=2, max_rescues=1),
    "schedule": lambda: fitted(
        klr.LRScheduler(klr.schedules.Cosine(0.1, 0.0, steps=16), momentum=lambda step: 0.5),
        lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    )[1],
    "restarts": lambda: fitted(
        klr.CosineWarmRestarts(first_cycle_epochs=2, cycle_mult=1, snapshots=1)
    )[1],
    "Keras' plateau": lambda: fitted(
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    )[1],
}

if __name__ == "__main__":
    split_the_cpu()
    found = {}
    for name, case in CASES.items():
        alone = case()
        with two_devices():
            found[name] = alone, case()
    print(json.dumps(found))
