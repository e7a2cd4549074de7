import keras
import numpy as np
import pytest
from support.tiny import JIT

from keras_lr._engine.monitor import has_validation_data, metric_direction

X, Y = np.ones((4, 1)), np.ones((4, 1))


def fitted(**arguments):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae", "r2_score"], jit_compile=JIT)
    model.fit(X, Y, epochs=1, verbose=0, **arguments)
    return model


@pytest.fixture(scope="module")
def with_metrics():
    return fitted()


@pytest.mark.parametrize(
    ("monitor", "direction"),
    [
        ("val_loss", "min"),
        ("head_loss", "min"),
        ("val_mae", "min"),
        ("r2_score", "max"),
        ("x", None),
    ],
)
def test_metrics_have_a_direction(with_metrics, monitor, direction):
    assert metric_direction(with_metrics, monitor) == direction


class Watching(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.has_data = has_validation_data(self.model)


@pytest.mark.parametrize(
    ("arguments", "has_data"),
    [
        ({}, False),
        ({"validation_data": (X, Y)}, True),
        ({"validation_data": (X, Y), "validation_freq": 2}, True),
        ({"validation_split": 0.5}, True),
    ],
)
def test_validation_data_is_noticed_even_where_it_is_not_used(arguments, has_data):
    watching = Watching()
    fitted(callbacks=[watching], **arguments)
    assert watching.has_data is has_data


def test_outside_of_a_fit_there_is_none(with_metrics):
    assert not has_validation_data(with_metrics)
