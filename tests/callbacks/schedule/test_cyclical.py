"""`OneCycle` and `CyclicLR`: lengths that do not fit the fit, and epochs of odd lengths."""

import keras
import numpy as np
import pytest
from support.drives import Spy, data, fit, network
from support.tiny import JIT

from keras_lr import optimizers, schedules
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


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD,
        keras.optimizers.RMSprop,
        keras.optimizers.Adagrad,
        lambda: keras.optimizers.Adam(beta_1=0.0),
        lambda: optimizers.SGD(lr=0.5),
    ],
)
def test_without_momentum_the_rate_alone_is_cycled_and_a_line_says_so(optimizer, capsys):
    model = network(optimizer())
    history = model.fit(*data(), batch_size=8, epochs=2, verbose=2, callbacks=[OneCycle(0.1)])
    expected = schedules.OneCycle(0.1, steps=12).values([5, 11])
    np.testing.assert_allclose(history.history["learning_rate"], expected, rtol=1e-5)
    assert "momentum" not in history.history
    assert capsys.readouterr().out.count("OneCycle: the optimizer has no momentum") == 1
    with pytest.raises(ValueError, match=r"OneCycle: .*momentum"):
        fit(network(optimizer()), data(), OneCycle(0.1, momentum=(0.85, 0.95)))


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_of_several_optimizers_those_with_momentum_have_it_cycled():
    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((plain.momentum, isinstance(heavy.beta_1, keras.Variable)))

    seen = []
    plain, heavy = keras.optimizers.SGD(0.1, name="plain"), keras.optimizers.Adam(0.1, name="heavy")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    chosen = {"kernel": plain, "bias": heavy}
    model.compile(
        keras.optimizers.MultiOptimizer(lambda variable: chosen[variable.name]),
        "mse",
        jit_compile=JIT,
    )
    history = fit(model, data(), OneCycle(0.1), Look(), epochs=2)
    expected = schedules.OneCycle(0.1, steps=12).momentum().values([5, 11])
    np.testing.assert_allclose(history["momentum"], expected, rtol=1e-5)
    assert set(seen) == {(0.0, True)}
    assert (plain.momentum, heavy.beta_1) == (0.0, 0.9)


def test_a_momentum_of_another_kind_is_refused():
    for bad in ("yes", 0.9, (0.95, 0.85), (0.85,), ("low", "high"), (0.85, 1.0)):
        with pytest.raises((TypeError, ValueError), match=r"^OneCycle: momentum must"):
            OneCycle(0.1, momentum=bad)
    for low, high in ((-0.1, 0.9), (0.9, 0.1), (0.85, float("inf"))):
        with pytest.raises(ValueError, match=r"^OneCycle: (low|high) must"):
            schedules.OneCycle(0.1, steps=10).momentum(low, high)
    with pytest.raises(TypeError, match="OneCycle: three_phase must be True or False"):
        OneCycle(0.1, three_phase="no")
