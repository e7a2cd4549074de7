import keras
import numpy as np
import pytest
from support.tiny import JIT, identical

from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._keras.variables import DIRECT


def values(variables):
    return [keras.ops.convert_to_numpy(variable.value).copy() for variable in variables]


def make_model(rate=0.1, policy=None):
    layers = [keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse", jit_compile=JIT)
    model.optimizer.build(model.trainable_variables)
    train(model)
    return model


def train(model):
    model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_goes_back_to_weights_and_optimizer(tmp_path, saved, scheduled):
    model = make_model(keras.optimizers.schedules.CosineDecay(0.1, 100) if scheduled else 0.1)
    weights, slots = values(model.weights), values(model.optimizer.variables)
    rollback = WeightCheckpoint.take(model, DIRECT)
    if saved:
        rollback.save(tmp_path / "best.npz")
        rollback = WeightCheckpoint.load(tmp_path / "best.npz")
    train(model)
    rollback.restore(model, DIRECT, optimizer=False)
    assert identical(values(model.weights), weights)
    assert not identical(values(model.optimizer.variables), slots)
    rollback.restore(model, DIRECT, optimizer=True)
    positions = int(scheduled)  # a schedule's position does not go backwards
    assert identical(values(model.optimizer.variables)[positions:], slots[positions:])
    assert int(model.optimizer.iterations) == (2 if scheduled else 1)


def test_leaves_the_learning_rate_alone():
    model = make_model()
    rollback = WeightCheckpoint.take(model, DIRECT)
    model.optimizer.learning_rate = 0.01
    rollback.restore(model, DIRECT, optimizer=True)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate.value)) == np.float32(
        0.01
    )


def test_holds_bfloat16_exactly(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("bfloat16")
    try:
        model = make_model()
    finally:
        keras.config.set_dtype_policy(before)
    weights = values(model.weights)
    WeightCheckpoint.take(model, DIRECT).save(tmp_path / "best.npz")
    train(model)
    WeightCheckpoint.load(tmp_path / "best.npz").restore(model, DIRECT, optimizer=True)
    assert identical(values(model.weights), weights)


def test_tells_what_has_broken_from_what_was_never_finite():
    constant = [np.array([-np.inf, 0.0])]
    start = WeightCheckpoint([np.ones(2), *constant], [np.array(0)])
    assert WeightCheckpoint([np.zeros(2), *constant], [np.array(5)]).is_sound_beside(start)
    assert not WeightCheckpoint(
        [np.array([1.0, np.nan]), *constant], [np.array(5)]
    ).is_sound_beside(start)
    assert not WeightCheckpoint([np.ones(2), *constant], [np.array(np.inf)]).is_sound_beside(start)
