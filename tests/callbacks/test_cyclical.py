"""`OneCycle` and `CyclicLR`: lengths that do not fit the fit, and epochs of odd lengths."""

import keras
import numpy as np
import pytest
from callbacks.drives import Spy, data, fit, network

from keras_lr import schedules
from keras_lr.callbacks import CyclicLR, OneCycle

X, Y = data()  # 48 samples, 6 batches of 8


@pytest.mark.parametrize(
    ("callback", "warning"),
    [
        (OneCycle(0.1, steps=1000), "OneCycle: the cycle is longer than the whole fit of 18"),
        (OneCycle(0.1, steps=4), "OneCycle: the cycle is over at step 4 of 18 and has nothing"),
        (CyclicLR(0.0, 0.1, step_size_steps=1000), "CyclicLR: half a cycle is longer than the"),
        (CyclicLR(0.0, 0.1), "CyclicLR: half a cycle is longer than the whole fit of 18 steps"),
    ],
)
def test_lengths_that_do_not_fit_are_warned_of(callback, warning):
    optimizer = keras.optimizers.SGD(momentum=0.9)
    with pytest.warns(UserWarning, match=warning):
        fit(network(optimizer), (X, Y), callback)


def test_half_epochs_of_an_odd_number_of_batches_do_not_drift():
    spy = Spy()
    cycles = CyclicLR(0.0, 0.1, step_size_epochs=0.5)
    fit(network(keras.optimizers.SGD()), (X[:40], Y[:40]), cycles, spy, epochs=9)
    rates = np.reshape(spy.rates, (9, 5))
    np.testing.assert_array_equal(rates[:, 0], 0.0)
    np.testing.assert_array_equal(rates, np.tile(rates[0], (9, 1)))


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_triangles_drive_momentum_against_the_rate(mode):
    spy = Spy()
    cycles = CyclicLR(0.0, 0.1, step_size_steps=3, mode=mode, gamma=0.9, momentum=(0.8, 0.9))
    fit(network(keras.optimizers.SGD(momentum=0.5)), data(), cycles, spy, epochs=2)
    triangles = schedules.Triangular(0.0, 0.1, 3, mode=mode, gamma=0.9)
    np.testing.assert_allclose(spy.rates, triangles.values(range(12)), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(spy.momenta, 0.9 - np.array(spy.rates), rtol=1e-6)


@pytest.mark.parametrize("momentum", [0.9, (0.9,), (0.9, 0.8), (0.8, 1.0), ("low", "high")])
def test_a_momentum_that_is_no_range_is_refused(momentum):
    with pytest.raises((TypeError, ValueError), match="CyclicLR: momentum must be"):
        CyclicLR(0.0, 0.1, momentum=momentum)
