"""Ctrl-C keeps what is trained so far; before the training it leaves the model as it was."""

import os
import signal

import keras
import numpy as np
import pytest
from one_call.support import VALIDATION, X, Y, by_hand, light
from support.tiny import identical, random_numbers, values

from keras_lr import Cooldown, fit
from keras_lr._engine.trials import Trials

ARGUMENTS = {"batch_size": 8, "steps": 40, "tune": 0.01, "verbose": 0}


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C after some batches of the fit."""

    def __init__(self, *batches, raises=False):
        super().__init__()
        self.batches, self.raises, self.done = batches, raises, 0

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        if self.done in self.batches:
            if self.raises:
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGINT)


def test_the_present_update_is_the_last(capsys):
    model, twin = light(), light()
    keras.utils.set_random_seed(5)
    handler = signal.getsignal(signal.SIGINT)
    arguments = {"validation_data": VALIDATION, "checkpoint": False, **ARGUMENTS}
    result = fit(model, X, Y, callbacks=[Press(12)], **arguments)
    assert signal.getsignal(signal.SIGINT) is handler
    assert result.interrupted
    assert result.training_steps == 13
    assert "stopping after this update; press Ctrl-C again" in capsys.readouterr().out
    assert len(result.history.history["val_loss"]) == len(result.history.epoch) == 2
    keras.utils.set_random_seed(5)
    arguments = {"x": X, "y": Y, "batch_size": 8, "validation_data": VALIDATION}
    by_hand(twin, result, keep="average", epochs=5, **arguments)
    twin.optimizer.learning_rate = result.peak
    assert identical(values(model), values(twin))
    assert "interrupted" in repr(result)


def test_it_is_cooled_down_if_asked():
    arguments = {"callbacks": [Press(12)], "cooldown_steps": 6, **ARGUMENTS}
    result = fit(light(), X, Y, **arguments)
    assert result.interrupted
    peak = 0.01
    np.testing.assert_allclose(result.learning_rates[11:13], peak, rtol=1e-5)
    np.testing.assert_allclose(result.learning_rates[-6:], peak * (1 - np.arange(6) / 6), rtol=1e-5)
    assert result.training_steps in (18, 19)


@pytest.mark.parametrize("validated", [True, False])
def test_what_is_trained_stays_where_an_interrupt_comes_through(validated):
    arguments = {"validation_data": VALIDATION} if validated else {}
    model, twin = light(), light()
    keras.utils.set_random_seed(5)
    press = Press(12, raises=True)
    result = fit(model, X, Y, callbacks=[press], **arguments, **ARGUMENTS)
    assert (result.interrupted, result.training_steps, result.kept) == (True, 12, "last")
    keras.utils.set_random_seed(5)
    by_hand(twin, result, keep=None, x=X, y=Y, batch_size=8, epochs=5, **arguments)
    twin.optimizer.learning_rate = result.peak
    assert identical(values(model), values(twin))
    assert set(model.fit(X, Y, verbose=0).history) == {"loss"}


@pytest.mark.usefixtures("short_trials")
@pytest.mark.parametrize("steps", [5, 15])
def test_in_the_search_it_is_ctrl_c_and_leaves_no_trace(steps, monkeypatch):
    step, made = Trials.step, []

    def interrupted(self, *arguments):
        made.append(1)
        if len(made) > steps:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Trials, "step", interrupted)
    model = light()
    model.fit(X, Y, verbose=0)
    before = values(model)
    keras.utils.set_random_seed(1)
    numbers = random_numbers()
    keras.utils.set_random_seed(1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, **{**ARGUMENTS, "tune": True})
    assert random_numbers() == numbers
    assert identical(values(model), before)


def test_an_error_in_the_training_leaves_the_optimizer_its_own_rate():
    def fail(batch, logs):
        if batch == 3:
            raise RuntimeError("broken")

    model = light(keras.optimizers.SGD(0.123))
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=fail)
    with pytest.raises(RuntimeError, match="broken"):
        fit(model, X, Y, callbacks=[callback], **ARGUMENTS)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.123)
    assert int(model.optimizer.iterations) == 4
    assert model.fit(X, Y, epochs=1, verbose=0).epoch == [0]


def test_a_second_cooldown_is_refused():
    with pytest.raises(ValueError, match="one cooldown is enough"):
        fit(light(), X, Y, cooldown_steps=3, callbacks=[Cooldown(5)], **ARGUMENTS)
