import keras
import numpy as np
import pytest

from keras_lr._keras.variables import DIRECT
from keras_lr.callbacks.plateau.rates import Scaled, compile_anew, scalable_rate


def make_model(rate):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(rate), lambda y, z: -z)
    return model


def step(model):
    """Train one batch with gradient 1; return the distance gone, which is the rate applied."""
    before = model.get_weights()[0].item()
    model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    return model.get_weights()[0].item() - before


def test_a_held_rate_is_the_variable():
    model = make_model(0.1)
    rate = scalable_rate(model, model.optimizer)
    rate.write(DIRECT, 0.025)
    assert (rate.read(DIRECT), rate.start) == (pytest.approx(0.025), pytest.approx(0.1))
    assert step(model) == pytest.approx(0.025)


def test_a_schedule_is_scaled_in_a_step_that_is_already_compiled():
    model = make_model(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0))
    assert step(model) == pytest.approx(0.1)
    rate = scalable_rate(model, model.optimizer)
    for scale in (0.5, 0.25):  # two in turn: an old trace must not be found again
        rate.write(DIRECT, scale * rate.start)
        applied = rate.applied(DIRECT)
        assert step(model) == pytest.approx(applied, abs=1e-6)  # read off a weight of order 1
    assert applied == pytest.approx(0.1 / 3 * 0.25)
    assert isinstance(
        model.optimizer._learning_rate.schedule, keras.optimizers.schedules.InverseTimeDecay
    )


def test_scaling_adds_no_variable():
    model = make_model(keras.optimizers.schedules.CosineDecay(0.1, 10))
    step(model)
    before = [variable.path for variable in model.optimizer.variables]
    rate = scalable_rate(model, model.optimizer)
    rate.write(DIRECT, 0.01)
    step(model)
    assert [variable.path for variable in model.optimizer.variables] == before


def test_scaled_comes_back_from_its_config():
    scaled = Scaled(keras.optimizers.schedules.CosineDecay(0.1, 10), 0.5)
    again = Scaled.from_config(scaled.get_config())
    value = float(keras.ops.convert_to_numpy(scaled(3)))
    assert float(keras.ops.convert_to_numpy(again(3))) == value


def test_compiling_anew_keeps_a_train_step_of_ones_own():
    model = make_model(0.1)
    own = model.train_step
    vars(model)["train_step"] = own
    compile_anew(model)
    assert vars(model)["train_step"] is own
