"""The learning rate found through every wrapper, and a schedule held still for a while."""

import keras
import numpy as np
import pytest
from support.tiny import compiled, identical, regression, values

import keras_lr
from keras_lr._engine.hyperparameters import LearningRates
from keras_lr._engine.overrides import held_learning_rates
from keras_lr._engine.state import TrainingState
from keras_lr._keras.optimizers import (
    accumulation_steps,
    current_learning_rate,
    default_learning_rate,
    is_scheduled,
    leaf_optimizers,
)

X, Y = regression()
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


def scheduled():
    return SGD(keras.optimizers.schedules.CosineDecay(0.5, 40))


def multi():
    chosen = keras.optimizers.OptimizerMap(SGD(0.1))
    chosen[".*bias"] = Adam(0.01)
    return keras.optimizers.MultiOptimizer(chosen)


@pytest.mark.parametrize(
    ("make", "rates"),
    [
        (lambda: Adam(0.25), [0.25]),
        (lambda: keras.optimizers.LossScaleOptimizer(Adam(0.25)), [0.25]),
        (scheduled, [0.5]),
        (lambda: SGD(lambda: 0.125), [0.125]),
        (lambda: keras_lr.Adam(lr=0.25, decay=0.1), [0.25]),
        pytest.param(multi, [0.01, 0.1], marks=pytest.mark.needs("optimizers.MultiOptimizer")),
    ],
)
def test_found_through_every_wrapper(make, rates):
    found = [current_learning_rate(leaf) for leaf in leaf_optimizers(make())]
    np.testing.assert_allclose(found, rates, rtol=1e-6)


def test_what_is_a_schedule():
    assert is_scheduled(scheduled())
    assert is_scheduled(SGD(lambda: 0.1))
    assert not is_scheduled(SGD(0.1))


@pytest.mark.parametrize(
    ("optimizer", "default"),
    [(Adam(5.0), 1e-3), (SGD(5.0), 1e-2), (keras_lr.Adam(lr=5.0), 1e-3)],
)
def test_the_default_is_that_of_the_class(optimizer, default):
    assert default_learning_rate(optimizer) == default


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_of_several_optimizers_the_largest_is_written_and_the_others_follow():
    model = compiled(multi)
    rates = LearningRates(model)
    assert rates.initial == pytest.approx(0.1)
    rates.write(TrainingState(model), 2.0)
    found = [current_learning_rate(leaf) for leaf in leaf_optimizers(model.optimizer)]
    np.testing.assert_allclose(sorted(found), [0.2, 2.0], rtol=1e-6)


def test_accumulation_is_found_through_wrappers():
    inner = Adam(gradient_accumulation_steps=4)
    model = compiled(lambda: keras.optimizers.LossScaleOptimizer(inner))
    assert accumulation_steps(model) == 4
    assert accumulation_steps(compiled()) == 1


def test_a_held_schedule_comes_back_and_training_goes_on_as_if_nothing_had_been():
    touched, plain = (compiled(scheduled, dropout=0.0) for _ in range(2))
    touched.fit(X, Y, verbose=0, shuffle=False)
    schedule = touched.optimizer._learning_rate
    function = touched.train_function
    names = [variable.path for variable in touched.optimizer.variables]
    with held_learning_rates(touched):
        assert not is_scheduled(touched.optimizer)
        assert touched.train_function is not function
    assert touched.optimizer._learning_rate is schedule
    assert touched.train_function is function
    assert [variable.path for variable in touched.optimizer.variables] == names
    touched.fit(X, Y, verbose=0, shuffle=False)
    plain.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    assert identical(values(touched), values(plain))


def test_without_a_schedule_nothing_is_held():
    model = compiled()
    model.fit(X, Y, verbose=0)
    function = model.train_function
    with held_learning_rates(model):
        assert model.train_function is function
