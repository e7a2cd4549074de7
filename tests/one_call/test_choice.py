"""The weights that `fit` keeps: of the end, or of the best epoch where the run has overfitted."""

import keras
import numpy as np
import pytest
from one_call.support import X, Y, light

from keras_lr import fit

WORSE = (X[16:], -Y[16:])  # the better the training, the worse this


def run(model, checkpoint, validation=WORSE, **arguments):
    arguments = {"averages": (), "batch_size": 8, "steps": 40, "tune": 0.3, **arguments}
    return fit(
        model, X[:16], Y[:16], checkpoint=checkpoint, validation_data=validation, verbose=0,
        **arguments,
    )  # fmt: skip


@pytest.mark.parametrize("checkpoint", [True, "auto"])
def test_the_best_epoch_is_kept_of_a_run_that_overfits(checkpoint):
    model = light(keras.optimizers.SGD())
    result = run(model, checkpoint)
    losses = result.history.history["val_loss"]
    assert result.kept_epoch == int(np.argmin(losses)) < len(losses) - 1
    assert result.kept_value == min(losses)
    assert model.evaluate(*WORSE, verbose=0) == pytest.approx(min(losses), rel=1e-5)


def test_the_end_is_kept_if_that_is_asked_for():
    model = light(keras.optimizers.SGD())
    result = run(model, False, averages=(0.9,))
    losses = result.history.history["val_loss"]
    assert (result.kept_epoch, result.kept_value) == (None, losses[-1])
    assert model.evaluate(*WORSE, verbose=0) == pytest.approx(losses[-1], rel=1e-5)


class Told(keras.metrics.Metric):
    """A metric of validation that says what it is told, one value for each evaluation."""

    def __init__(self, values):
        super().__init__(name="told")
        self.said = self.add_weight(shape=(), initializer="zeros", name="said")
        self.values, self.index = values, 0

    def update_state(self, *arguments, **named):
        pass

    def reset_state(self):
        pass

    def result(self):
        return self.said + 0.0


class Tell(keras.callbacks.Callback):
    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def on_epoch_begin(self, epoch, logs=None):
        self.metric.said.assign(self.metric.values[epoch])


@pytest.mark.parametrize(
    ("values", "mode", "epoch"),
    [
        ([1.0, 0.2, 0.1, 0.18], "min", None),
        ([1.0, 0.2, 0.1, 0.20], "min", 2),
        ([0.0, 0.8, 0.9, 0.82], "max", None),
        ([0.0, 0.8, 0.9, 0.80], "max", 2),
        ([1.0, 0.5, 0.4, 0.3], "min", None),
        ([0.3, 0.4, 0.5, 0.6], "min", 0),
    ],
)
def test_overfitting_is_the_loss_of_a_tenth_of_what_was_gained(values, mode, epoch):
    model = light()
    metric = Told(values)
    model.compile("sgd", "mse", metrics=[metric], jit_compile=False)
    result = run(
        model, "auto", monitor="val_told", mode=mode, callbacks=[Tell(metric)], steps=8,
    )  # fmt: skip
    assert [round(each, 3) for each in result.history.history["val_told"]] == values
    assert result.kept_epoch == epoch
    assert result.kept_value == pytest.approx(values[-1] if epoch is None else values[epoch])


@pytest.mark.parametrize("averages", ["auto", 0.5, (0.5, 0.9), None, (), False])
def test_which_averages_are_validated(averages):
    result = run(light(), False, averages=averages, steps=8)
    names = [name for name in result.history.history if "decay" in name]
    expected = {"auto": ["0", "0.98", "0.995"], 0.5: ["0", "0.5"], (0.5, 0.9): ["0", "0.5", "0.9"]}
    assert names == [f"val_loss_decay_{each}" for each in expected.get(averages, [])]


def test_a_callback_that_sets_weights_at_the_end_has_its_way():
    model = light(keras.optimizers.SGD())
    stop = keras.callbacks.EarlyStopping(patience=100, restore_best_weights=True)
    result = run(model, False, averages=(0.9,), callbacks=[stop])
    losses = result.history.history["val_loss"]
    assert model.evaluate(*WORSE, verbose=0) == pytest.approx(min(losses), rel=1e-5)
