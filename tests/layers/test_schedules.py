"""Schedules by the names of groups and optimizers, and the learning rates of groups in logs."""

import keras
import numpy as np
import pytest
from keras import ops
from layers.networks import FACTORS, data, network, weights
from support.tiny import JIT

import keras_lr as klr
from keras_lr import schedules

RISE = schedules.Linear(0.0, 0.1, steps=12)
FALL = schedules.Cosine(0.05, 0.0, steps=12)


def linear():
    """Return two linear layers in a row, which NumPy can train too."""
    keras.utils.set_random_seed(0)
    first = keras.layers.Dense(4, use_bias=False, name="first")
    last = keras.layers.Dense(1, use_bias=False, name="last")
    return keras.Sequential([keras.Input((6,)), first, last])


def descent(model, first, last):
    """Return the weights after one step of gradient descent for each pair of learning rates."""
    x, y = data()
    a, b = (each.astype("float64") for each in weights(model))
    for step, rates in enumerate(zip(first, last, strict=True)):
        rows = slice(8 * (step % 4), 8 * (step % 4) + 8)
        slope = 2 * (x[rows] @ a @ b - y[rows, :1]) / 8
        a, b = a - rates[0] * x[rows].T @ slope @ b.T, b - rates[1] * (x[rows] @ a).T @ slope
    return [a, b]


def fit(model, *callbacks, epochs=3, **arguments):
    x, y = data()
    y = y[:, : model.output_shape[-1]]
    given = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(x, y, epochs=epochs, callbacks=list(callbacks), **given)


def grouped(factors, rate=0.5, optimizer=keras.optimizers.SGD):
    model = linear()
    model.compile(klr.by_layer(optimizer(rate), model, factors), "mse", jit_compile=JIT)
    return model


@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_each_group_follows_its_schedule(unit):
    model = grouped({"first": 0.1, "last": 1.0})
    scale = 1 if unit == "step" else 4
    given = {
        "last": schedules.Cosine(0.05, 0.0, steps=12 // scale),
        "first": schedules.Linear(0.0, 0.1, steps=12 // scale),
    }
    expected = descent(model, RISE.values(np.arange(12)), FALL.values(np.arange(12)))
    history = fit(model, klr.LRScheduler(given, unit=unit)).history
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    ends = np.array([3, 7, 11])
    np.testing.assert_allclose(history["learning_rate/first"], RISE.values(ends), rtol=1e-6)
    np.testing.assert_allclose(history["learning_rate/last"], FALL.values(ends), rtol=1e-6)
    largest = np.maximum(RISE.values(ends), FALL.values(ends))
    np.testing.assert_allclose(history["learning_rate"], largest, rtol=1e-6)


def test_a_group_without_a_schedule_keeps_its_rate():
    model = grouped({"first": 0.1, "last": 1.0}, rate=0.0625)
    expected = descent(model, [0.00625] * 12, FALL.values(np.arange(12)))
    history = fit(model, klr.LRScheduler({"last": FALL})).history
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(history["learning_rate/first"], [0.00625] * 3, rtol=1e-6)


def test_a_delay_and_a_warm_up_for_one_group():
    delayed = schedules.Constant(0.0).then(schedules.Linear(0.1, 0.0, steps=6).warmup(2), after=4)
    model = grouped({"first": 1.0, "last": 1.0})
    expected = descent(model, delayed.values(np.arange(12)), FALL.values(np.arange(12)))
    before = weights(model)[0]
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(np.array(ops.convert_to_numpy(self.model.weights[0])))

    fit(model, klr.LRScheduler({"first": delayed, "last": FALL}), Look())
    np.testing.assert_array_equal(seen[0], before)
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_function_of_epoch_and_rate_gets_the_rate_of_its_group():
    model = grouped({"first": 0.5, "last": 1.0}, rate=0.0625)
    halved = klr.LRScheduler({"first": lambda epoch, lr: lr / 2})
    history = fit(model, halved).history
    np.testing.assert_allclose(history["learning_rate/first"], [2**-6, 2**-7, 2**-8], rtol=1e-6)


def test_the_optimizer_has_its_own_rates_again_and_in_checkpoints(tmp_path):
    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / "model.keras")

    model = grouped({"first": 0.125, "last": 1.0}, optimizer=keras.optimizers.Adam)
    fit(model, klr.LRScheduler({"first": RISE, "last": FALL}), Save())
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        assert each.optimizer.factors == {"first": 0.125, "last": 1.0}
        assert each.optimizer.learning_rates == {"first": 0.0625, "last": 0.5}


def test_a_plateau_scales_the_schedules_of_all_groups():
    model = grouped({"first": 0.1, "last": 1.0})
    constant = {"first": schedules.Constant(2**-6), "last": schedules.Constant(2**-5)}
    plateau = klr.ReduceOnPlateauPlus("loss", patience=1, factor=0.5, min_delta=1e9, verbose=0)
    history = fit(model, klr.LRScheduler(constant), plateau, epochs=4).history
    first, last = (np.array(history[f"learning_rate/{name}"]) for name in ("first", "last"))
    np.testing.assert_allclose(first / last, 0.5, rtol=1e-6)
    assert last[-1] < last[0]


@pytest.mark.parametrize("schedule", [None, schedules.Constant(0.125)])
def test_learning_rates_of_groups_are_logged(schedule):
    model = network()
    optimizer = klr.by_layer(keras.optimizers.SGD(0.125), model, FACTORS)
    model.compile(optimizer, "mse", jit_compile=JIT)

    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.optimizer.factors = {"mid": 2.0}

    history = fit(model, klr.LRScheduler(schedule), Change(), epochs=2).history
    assert history["learning_rate/body"] == [0.015625, 0.015625]
    assert history["learning_rate/mid"] == [0.0625, 0.25]
    assert history["learning_rate/head"] == [0.125, 0.125]
    assert history["learning_rate"] == [0.125, 0.25]


def test_a_plateau_logs_them_and_halves_all():
    model = grouped({"first": 0.25, "last": 1.0}, rate=0.0625)
    plateau = klr.ReduceOnPlateauPlus("loss", patience=1, factor=0.5, min_delta=1e9, verbose=0)
    history = fit(model, plateau, epochs=4).history
    assert history["learning_rate"][-1] < history["learning_rate"][0] == 0.0625
    ratio = np.divide(history["learning_rate/first"], history["learning_rate/last"])
    assert set(ratio) == {0.25}


@pytest.mark.parametrize("schedule", [None, schedules.Constant(0.0625)])
def test_a_cooldown_logs_them_on_their_way(schedule):
    model = grouped({"first": 0.25, "last": 0.5}, rate=schedule or 0.0625)
    history = fit(model, klr.Cooldown(at_epoch=1, epochs=2)).history
    np.testing.assert_allclose(history["learning_rate/first"], [2**-6, 0.0097656, 0.001953], 1e-3)
    np.testing.assert_allclose(
        np.divide(history["learning_rate/first"], 0.5), history["learning_rate"]
    )
    assert history["learning_rate/last"] == history["learning_rate"]


@pytest.mark.needs("optimizers.MultiOptimizer")
@pytest.mark.parametrize("order", [("slow", "quick"), ("quick", "slow")])
def test_optimizers_by_name_and_not_by_the_order_they_were_built(order):
    model = linear()
    optimizers = {name: keras.optimizers.SGD(0.5, name=name) for name in ("slow", "quick")}
    by_path = keras.optimizers.OptimizerMap(optimizers["quick"])
    by_path[model.layers[0].kernel.path] = optimizers["slow"]
    model.compile(keras.optimizers.MultiOptimizer(by_path), "mse", jit_compile=JIT)
    expected = descent(model, RISE.values(np.arange(12)), FALL.values(np.arange(12)))
    given = {"slow": RISE, "quick": FALL}
    fit(model, klr.LRScheduler({name: given[name] for name in order}))
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_an_optimizer_that_is_not_named_is_left_alone():
    model = linear()
    optimizers = {name: keras.optimizers.SGD(0.0625, name=name) for name in ("slow", "quick")}
    by_path = keras.optimizers.OptimizerMap(optimizers["quick"])
    by_path[model.layers[0].kernel.path] = optimizers["slow"]
    model.compile(keras.optimizers.MultiOptimizer(by_path), "mse", jit_compile=JIT)
    expected = descent(model, [0.0625] * 12, FALL.values(np.arange(12)))
    fit(model, klr.LRScheduler({"quick": FALL}))
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_name_that_nothing_has_is_refused_before_training():
    model = grouped({"first": 0.25, "last": 1.0})
    before = weights(model)
    with pytest.raises(ValueError, match="must be some of 'first', 'last'"):
        fit(model, klr.LRScheduler({"frist": FALL}))
    plain = linear()
    plain.compile("sgd", "mse", jit_compile=JIT)
    with pytest.raises(ValueError, match="by_layer"):
        fit(plain, klr.LRScheduler({"first": FALL}))
    with pytest.raises(ValueError, match="must be a schedule"):
        klr.LRScheduler({})
    with pytest.raises(TypeError, match="must be a schedule"):
        klr.LRScheduler({"first": 0.1})
    for ours, theirs in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
