import keras
import numpy as np
import pytest
from tiny import JIT

from keras_lr._keras.monitor import ValidationWatch, metric_direction

X, Y = np.ones((4, 1)), np.ones((4, 1))


def fitted(**arguments):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae", "r2_score"], jit_compile=JIT)
    watch = ValidationWatch(model)
    model.fit(X, Y, epochs=1, verbose=0, **arguments)
    return model, watch


@pytest.fixture(scope="module")
def with_metrics():
    return fitted()[0]


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


@pytest.mark.parametrize("frequency", [1, 2])
def test_validation_data_is_noticed_even_where_it_is_not_used(frequency):
    _, watch = fitted(validation_data=(X, Y), validation_freq=frequency)
    assert watch.has_data


def test_so_is_its_absence():
    model, watch = fitted()
    assert not watch.has_data
    watch.stop()
    assert "_should_eval" not in vars(model)


class Watching(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.watch = ValidationWatch(self.model)

    def on_train_end(self, logs=None):
        self.watch.stop()


class CutOffError(Exception):
    pass


class CutOff(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise CutOffError


@pytest.mark.parametrize("own", [None, lambda epoch, frequency: False])
def test_two_watches_and_what_a_fit_that_was_cut_off_has_left(own):
    model, watch = fitted()
    watch.stop()
    if own:
        vars(model)["_should_eval"] = own
    data = {"validation_data": (X, Y), "validation_freq": 2, "verbose": 0}
    with pytest.raises(CutOffError):
        model.fit(X, Y, callbacks=[Watching(), CutOff()], **data)
    watching = [Watching(), Watching()]
    history = model.fit(X, Y, epochs=2, callbacks=watching, **data)
    assert [each.watch.has_data for each in watching] == [True, True]
    assert len(history.history.get("val_loss", [])) == (0 if own else 1)
    assert vars(model).get("_should_eval") is own
