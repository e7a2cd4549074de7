"""Everything put back: variables, random generators, attributes."""

import random

import keras
import numpy as np
from support.tiny import compiled, identical, random_numbers, regression, values

from keras_lr._engine.snapshot import ModelSnapshot, model_variables
from keras_lr._engine.state import TrainingState
from keras_lr._keras.fit_effects import fit_effects_kept
from keras_lr._keras.random import RandomSnapshot

X, Y = regression()


def test_a_snapshot_puts_back_every_variable_and_attribute():
    model = compiled()
    model.fit(X, Y, verbose=0)
    model.note = "before"
    before = values(model)
    snapshot = ModelSnapshot(model, TrainingState(model))
    model.fit(X, Y, verbose=0)
    model.note = "after"
    assert not identical(values(model), before)
    snapshot.restore()
    assert identical(values(model), before)
    assert model.note == "before"


def test_a_snapshot_is_a_copy():
    model = compiled()
    model.fit(X, Y, verbose=0)
    before = values(model)
    snapshot = ModelSnapshot(model, TrainingState(model))
    for _ in range(2):  # restoring must not hand out the copies themselves either
        model.fit(X, Y, verbose=0)
        snapshot.restore()
        assert identical(values(model), before)


def test_the_variables_include_what_weights_leave_out():
    model = compiled()
    model.fit(X, Y, verbose=0)
    paths = {variable.path for variable in model_variables(model)}
    assert any("seed_generator_state" in path for path in paths)
    assert any("moving_mean" in path for path in paths)
    assert any("momentum" in path for path in paths)
    assert len(paths) > len(model.get_weights())


def test_random_generators_come_back():
    keras.random.normal((1,))  # so that Keras' global generator is there
    snapshot = RandomSnapshot()
    first = (
        random_numbers(),
        float(np.asarray(keras.ops.convert_to_numpy(keras.random.normal(())))),
    )
    snapshot.restore()
    second = (
        random_numbers(),
        float(np.asarray(keras.ops.convert_to_numpy(keras.random.normal(())))),
    )
    assert first == second


def test_what_fit_sets_on_a_model_goes_away():
    model = compiled()
    had = "history" in vars(model)
    with fit_effects_kept(model):
        model.fit(X, Y, verbose=0)
        model.stop_training = True
    assert ("history" in vars(model)) == had
    first = model.fit(X, Y, verbose=0)
    with fit_effects_kept(model):
        model.fit(X, Y, verbose=0)
    assert model.history is first
    assert model.stop_training is False


def test_a_global_generator_made_meanwhile_begins_again():
    """As a step with unseeded `keras.random` makes one, in a search as in the fit without it."""

    def draw():
        return float(keras.ops.convert_to_numpy(keras.random.normal(())))

    def twin(search):
        keras.utils.clear_session()
        random.seed(1)
        if search:
            snapshot = RandomSnapshot()
            draw()
            snapshot.restore()
        return [draw(), draw()]

    try:
        assert twin(search=True) == twin(search=False)
    finally:
        keras.utils.clear_session()
