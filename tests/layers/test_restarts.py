"""Warm restarts of an optimizer with groups of layers, whose factors are not its moments."""

import keras
import numpy as np
import pytest
from layers.networks import FACTORS, data, network, weights
from support.tiny import JIT

import keras_lr as klr
from keras_lr import schedules

OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.1),
}


def compiled(model, optimizer, factors):
    model.compile(klr.by_layer(OPTIMIZERS[optimizer](), model, factors), "mse", jit_compile=JIT)
    return model


def fit(model, *callbacks, epochs):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    return model.fit(*data(), epochs=epochs, callbacks=list(callbacks), **options)


def restarts():
    return klr.CosineWarmRestarts(
        0.1, first_cycle_epochs=1, cycle_mult=1, reset_optimizer=True, snapshots=0
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_restart_is_a_fit_with_a_new_optimizer(optimizer):
    model, twin = network(), network()
    fit(compiled(model, optimizer, FACTORS), restarts(), epochs=3)
    for _ in range(3):
        cycle = schedules.Cosine(0.1, 0.0, steps=4)
        fit(compiled(twin, optimizer, FACTORS), klr.LRScheduler(cycle), epochs=1)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_factors_set_since_stay():
    """Those of Unfreeze, and those set by hand."""

    class Set(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.optimizer.factors = {"head": 0.25}

    model = compiled(network(), "adam", FACTORS)
    history = fit(model, klr.Unfreeze({"body": 2}), restarts(), Set(), epochs=3).history
    rates = np.array([history[f"learning_rate/{group}"] for group in FACTORS])
    shares = 0.5 * rates / history["learning_rate/mid"]
    np.testing.assert_allclose(shares, [[0, 0, 0.125], [0.5] * 3, [1.0, 0.25, 0.25]], rtol=1e-6)
    assert model.optimizer.factors == FACTORS | {"head": 0.25}
