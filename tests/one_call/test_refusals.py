"""Bad input is refused in words before anything is trained; the model is as before."""

import keras
import numpy as np
import pytest
from one_call.support import VALIDATION, X, Y, light
from support.tiny import identical, random_numbers, values

import keras_lr as klr

ARGUMENTS = {"steps": 500, "batch_size": 8, "verbose": 0}
EMPTY = X[:0]


def schedule_twice(peak, steps, more):
    return None


CASES = [
    ({"steps": None}, ValueError, "one of epochs and steps must be given"),
    ({"epochs": 3}, ValueError, "one of epochs and steps must be given"),
    ({"steps": 0}, ValueError, "steps must be at least 1"),
    ({"steps": 1.5}, TypeError, "steps must be an integer"),
    ({"steps": None, "epochs": 0}, ValueError, "epochs must be at least 1"),
    ({"steps": None, "epochs": 2, "initial_epoch": 2}, ValueError, "epochs must be at least 3"),
    ({"initial_epoch": -1}, ValueError, "initial_epoch must be at least 0"),
    ({"tune": 0.0}, ValueError, "tune must be"),
    ({"tune": "yes"}, TypeError, "tune must be a number"),
    ({"schedule": "cosine"}, TypeError, "schedule must be a schedule"),
    ({"schedule": klr.schedules.Cosine}, TypeError, "schedule must be a schedule"),
    ({"schedule": schedule_twice}, TypeError, "the peak and the number of updates"),
    ({"averages": 1.0}, ValueError, "decay must be"),
    ({"averages": "all"}, ValueError, "averages must be one of 'auto'"),
    ({"averages": (0.9, 0.9)}, ValueError, "decays must be different"),
    ({"averages": 0.9, "validation_data": None}, ValueError, "only by validation data"),
    ({"checkpoint": True, "validation_data": None}, ValueError, "only by validation data"),
    ({"checkpoint": "best"}, ValueError, "checkpoint must be one of"),
    ({"monitor": 3}, TypeError, "monitor must be a name"),
    ({"monitor": "loss"}, ValueError, "monitor must be a metric of validation"),
    ({"mode": "most"}, ValueError, "mode must be one of"),
    ({"cooldown_steps": 0}, ValueError, "cooldown_steps must be at least 1"),
    ({"validation_freq": 0}, ValueError, "validation_freq must be at least 1"),
    ({"validation_split": 1.0}, ValueError, "validation_split must be"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ({"seed": -1}, ValueError, "seed must be at least 0"),
    ({"verbose": 3}, ValueError, "verbose must be one of"),
    ({"x": EMPTY, "y": EMPTY}, ValueError, "at least one batch"),
    ({"x": X[:10]}, ValueError, "one number of samples"),
    ({"y": np.full_like(Y, np.nan)}, ValueError, "untrained model must be finite"),
    ({"callbacks": ["early"]}, TypeError, "callbacks must be Keras callbacks"),
    ({"callbacks": [klr.OneCycle(0.1)]}, ValueError, "drives the learning rate itself"),
    ({"callbacks": [klr.LRScheduler(lambda step: 0.1)]}, ValueError, "drives the learning rate"),
    (
        {"callbacks": klr.CosineWarmRestarts(0.1, first_cycle_epochs=1)},
        ValueError,
        "drives the learning",
    ),
    ({"callbacks": [klr.LRRangeTest()]}, ValueError, "drives the learning rate itself"),
    (
        {"callbacks": [keras.callbacks.ReduceLROnPlateau()]},
        ValueError,
        "Received: callback='ReduceLROnPlateau'",
    ),
    (
        {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr)]},
        ValueError,
        "drives the learning rate itself",
    ),
    (
        {"callbacks": [klr.WeightAverage()], "averages": 0.9},
        ValueError,
        "averaged by WeightAverage already",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), CASES)
def test_it_is_said_what_is_wrong(arguments, error, message):
    model = light()
    model.fit(X, Y, verbose=0)
    before = values(model)
    keras.utils.set_random_seed(1)
    numbers = random_numbers()
    keras.utils.set_random_seed(1)
    given = {"x": X, "y": Y, "validation_data": VALIDATION, **ARGUMENTS, **arguments}
    with pytest.raises(error, match=message) as refused:
        klr.fit(model, **given)
    assert str(refused.value).startswith("fit: ")
    assert len(str(refused.value)) < 300
    assert random_numbers() == numbers
    assert identical(values(model), before)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(ValueError, match="fit: the model must be compiled"):
        klr.fit(keras.Sequential([keras.layers.Dense(1)]), X, Y, steps=5)
    with pytest.raises(TypeError, match="fit: model must be a Keras model"):
        klr.fit(X, X, Y, steps=5)


def test_too_few_batches_for_an_update_are_refused():
    model = light(keras.optimizers.SGD(gradient_accumulation_steps=50))
    with pytest.raises(ValueError, match="8 batches make no update of 50"):
        klr.fit(model, X, Y, epochs=1, batch_size=8, verbose=0)


def test_frozen_weights_are_refused():
    model = light()
    model.trainable = False
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(ValueError, match="weights that train, but all of them are frozen"):
        klr.fit(model, X, Y, **ARGUMENTS)


def test_where_something_else_averages_the_weights_nothing_is_chosen():
    arguments = {"validation_data": VALIDATION, "steps": 16, "batch_size": 8, "tune": 0.01}
    average = klr.WeightAverage(0.5)
    result = klr.fit(light(), X, Y, callbacks=[average], verbose=0, **arguments)
    assert (result.kept, result.kept_value) == ("last", None)
    model = light(keras.optimizers.Adam(use_ema=True))
    swapping = keras.callbacks.SwapEMAWeights()
    result = klr.fit(model, X, Y, callbacks=[swapping], verbose=0, **arguments)
    assert result.kept_value is None
    assert "val_loss_decay_0.98" not in result.history.history
    logs = klr.fit(light(), X, Y, callbacks=[klr.LRScheduler()], verbose=0, **arguments)
    assert logs.training_steps == 16
