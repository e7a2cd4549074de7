"""A schedule that a user writes: what the decorator gives it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_lr import schedules


@schedules.schedule
class Sawtooth(schedules.Schedule):
    """Falls in a straight line, over and over."""

    peak: float
    period: int = 4
    steps = None

    def value(self, step):
        """Return the value."""
        done = ops.cast(step % self.period, "float32") / self.period
        return self.peak * (1.0 - done)


def test_it_has_the_values_and_operators_of_ours():
    joined = (2.0 * Sawtooth(0.5)).warmup(2)
    np.testing.assert_allclose(joined.values(range(8)), [0, 0.5, 1, 0.75, 0.5, 0.25, 1, 0.75])
    assert repr(joined) == "(Sawtooth(peak=0.5) * 2.0).warmup(2)"


def test_it_is_frozen_and_equal_by_its_fields():
    assert Sawtooth(0.5) == Sawtooth(0.5, 4) != Sawtooth(0.5, 5)
    with pytest.raises(AttributeError):
        Sawtooth(0.5).peak = 1.0


def test_it_is_saved_with_a_model_under_its_own_package(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(Sawtooth(0.5, 3)), "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer._learning_rate == Sawtooth(0.5, 3)
    name = keras.saving.get_registered_name(Sawtooth)
    assert name == f"{__name__.partition('.')[0]}>Sawtooth"
    assert keras.saving.get_registered_name(schedules.Linear) == "keras_lr>Linear"


def test_an_operator_of_ones_own_replaces_none_of_ours():
    with pytest.raises(TypeError, match=r"Mine: the method 'then' makes Then already"):

        @schedules.schedule
        class Mine(schedules.Schedule):
            _method = "then"
            steps = None
