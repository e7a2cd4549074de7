"""Sweeps on JAX: memory within its bound, and a way chosen by measured costs."""

import keras
import numpy as np
import pytest
from support.tiny import identical, regression, values

from keras_lr._engine import vmapped
from keras_lr._engine.step_cost import step_operations
from keras_lr._engine.trials import trials
from keras_lr.search.data import TrainingData
from keras_lr.search.sweep import costs
from keras_lr.search.sweep.sweep import lr_sweep

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="only JAX trains several lanes at once"
)
X, Y = regression(samples=64)
RATES = [1e-3, 1e-2, 1e-1]
OPTIONS = {"steps": 4, "batch_size": 16, "verbose": 0}


def dense(*widths, features=8):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(width) for width in (*widths, 1)]
    model = keras.Sequential([keras.Input((features,)), *layers])
    model.compile(keras.optimizers.Adam(), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def size_of_state(model):
    return sum(value.nbytes for value in values(model))


def test_lanes_beyond_the_bound_are_refused_in_words(monkeypatch):
    model = dense(64)
    before = values(model)
    monkeypatch.setattr(vmapped, "_MOST_BYTES", 3 * size_of_state(model))
    with pytest.raises(ValueError, match="too much memory") as refused:
        lr_sweep(model, X, Y, RATES, method="lanes", **OPTIONS)
    words = str(refused.value)
    assert all(part in words for part in ("needed='", "limit='", 'method="sequential"'))
    assert "JAX" not in words
    assert identical(before, values(model))


def test_auto_keeps_to_the_bound(monkeypatch):
    monkeypatch.setattr(costs, "quicker_way", lambda *known: "lanes")
    assert lr_sweep(dense(64), X, Y, RATES, **OPTIONS).method == "lanes"
    monkeypatch.setattr(vmapped, "_MOST_BYTES", 1000)
    assert lr_sweep(dense(64), X, Y, RATES, **OPTIONS).method == "sequential"


def test_the_bound_is_on_the_peak_with_its_activations(monkeypatch):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(8, 3, padding="same", activation="relu") for _ in range(2)]
    parts = [keras.Input((32, 32, 1)), *layers, keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*parts, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monkeypatch.setattr(vmapped, "_MOST_BYTES", 100 * size_of_state(model))
    images = np.zeros((64, 32, 32, 1), dtype="float32")
    with pytest.raises(ValueError, match="too much memory"):
        lr_sweep(model, images, Y, RATES, method="lanes", **OPTIONS)


@pytest.mark.parametrize("held_out", [None, (X, Y)])
def test_a_sequential_sweep_holds_one_copy_of_the_state_beside_the_model(held_out):
    import jax

    model, held = dense(200, 200), []
    elsewhere = sum(array.nbytes for array in jax.live_arrays()) - size_of_state(model)

    def watched(logs):
        held.append(sum(array.nbytes for array in jax.live_arrays()) - elsewhere)
        return logs["loss"]

    options = {"monitor": watched, "method": "sequential", "validation_data": held_out} | OPTIONS
    lr_sweep(model, X, Y, RATES, **options)
    assert max(held) < 2.2 * size_of_state(model)


def test_the_operations_of_a_step_are_those_of_its_products():
    model, batch = dense(32, features=8), (X[:16], Y[:16], None)
    data = TrainingData("test", X, Y, model=model)
    with trials(model, data.for_fit, batch, "test") as opened:
        opened.begin()
        counted = step_operations(model, opened.state.carried(), batch)
    forward = 2 * 16 * (8 * 32 + 32 * 1)
    backward = 2 * 16 * (8 * 32 + 2 * 32 * 1)  # none for the gradient of the data
    assert counted == forward + backward


def test_the_steps_of_a_recurrence_are_counted_each():
    def counted(length):
        keras.utils.set_random_seed(0)
        parts = [keras.Input((length, 3)), keras.layers.LSTM(5), keras.layers.Dense(1)]
        model = keras.Sequential(parts)
        model.compile("sgd", "mse")
        batch = np.zeros((4, length, 3), dtype="float32"), np.zeros((4, 1), dtype="float32"), None
        data = TrainingData("test", *batch[:2], model=model)
        with trials(model, data.for_fit, batch, "test") as opened:
            opened.begin()
            return step_operations(model, opened.state.carried(), batch)

    assert counted(20) > 1.8 * counted(10)


@pytest.mark.parametrize("trained", [True, False])
def test_a_step_that_the_user_has_trained_is_compiled(trained, monkeypatch):
    known = []
    monkeypatch.setattr(
        costs, "quicker_way", lambda *asked: known.append(asked[3].is_compiled) or "sequential"
    )
    model = dense(4)
    model.fit(X, Y, epochs=int(trained), verbose=0)
    lr_sweep(model, X, Y, RATES, **OPTIONS)
    assert known[0] == trained


def test_what_has_been_measured_is_kept_until_the_model_is_compiled_anew(monkeypatch):
    asked = []

    def noted(lanes, steps, operations, alone, together):
        asked.append((alone, together))
        return "sequential"

    monkeypatch.setattr(costs, "quicker_way", noted)
    model = dense(4)
    lr_sweep(model, X, Y, RATES, **OPTIONS)
    (first, _), (second, _) = asked[0], asked[-1]
    assert (first.compiling, first.step, first.is_compiled) == (None, None, False)
    assert min(second.compiling, second.step) > 0
    asked.clear()
    lr_sweep(model, X, Y, RATES, **OPTIONS)
    again = asked[0][0]
    assert (again.compiling, again.is_compiled) == (second.compiling, True)
    model.compile(keras.optimizers.Adam(), "mse")
    asked.clear()
    lr_sweep(model, X, Y, RATES, **OPTIONS)
    assert asked[0][0] == first
