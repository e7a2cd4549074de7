"""Ctrl-C in a search: what is known is returned, and the model is as before, bit for bit."""

import keras
import numpy as np
import pytest
from support.tiny import compiled, identical, random_numbers, regression, values

from keras_lr import lr_find, lr_sweep, tune_lr
from keras_lr._engine.trials import Trials
from keras_lr.search.tune_adam.tune import tune_adam

X, Y = regression()
RATES = [1e-4, 1e-3, 1e-2]


def strikes_after(steps, monkeypatch):
    """Let Ctrl-C strike in a trial, after so many steps of all trials together."""
    step, made = Trials.step, []

    def interrupted(self, *arguments):
        made.append(1)
        if len(made) > steps:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Trials, "step", interrupted)


def untouched(search):
    """Run a search that is interrupted; check that it has left no trace."""
    model = compiled()
    model.fit(X, Y, verbose=0)
    before, history = values(model), model.history
    keras.utils.set_random_seed(1)
    numbers = random_numbers()
    keras.utils.set_random_seed(1)
    try:
        return search(model)
    finally:
        assert random_numbers() == numbers
        assert identical(values(model), before)
        assert model.history is history


def test_lr_find_returns_the_curve_so_far(monkeypatch, capsys):
    whole = untouched(lambda model: lr_find(model, X, Y, steps=12, batch_size=20, verbose=0))
    fit = keras.callbacks.CallbackList.on_train_batch_begin

    def strike(self, batch, logs=None):
        if batch == 8:
            raise KeyboardInterrupt
        return fit(self, batch, logs)

    monkeypatch.setattr(keras.callbacks.CallbackList, "on_train_batch_begin", strike)
    capsys.readouterr()
    result = untouched(lambda model: lr_find(model, X, Y, steps=12, batch_size=20, verbose=0))
    assert result.stop_reason == "interrupted"
    assert len(result.losses) == 8
    np.testing.assert_array_equal(result.losses, whole.losses[:8])
    np.testing.assert_array_equal(result.learning_rates, whole.learning_rates[:8])
    said = capsys.readouterr().out
    assert said == "lr_find: interrupted. The result holds 8 of 12 steps; the model is as before.\n"


def test_ctrl_c_before_there_is_a_curve_is_ctrl_c(monkeypatch):
    def strike(self, batch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.callbacks.CallbackList, "on_train_batch_begin", strike)
    with pytest.raises(KeyboardInterrupt):
        untouched(lambda model: lr_find(model, X, Y, steps=12, batch_size=20, verbose=0))


def sweep(model, **arguments):
    options = {"steps": 5, "batch_size": 20, "method": "sequential", "verbose": 0} | arguments
    return lr_sweep(model, X, Y, RATES, **options)


def test_lr_sweep_returns_the_rates_that_are_done(monkeypatch, capsys):
    whole = untouched(sweep)
    strikes_after(12, monkeypatch)
    capsys.readouterr()
    result = untouched(sweep)
    np.testing.assert_array_equal(result.learning_rates, RATES[:2])
    np.testing.assert_array_equal(result.losses, whole.losses[:2])
    assert not result.finished
    assert whole.finished
    assert "interrupted" in repr(result)
    assert "interrupted" not in repr(whole)
    assert capsys.readouterr().out.startswith("lr_sweep: interrupted. ")


def test_lr_sweep_returns_the_repeats_that_are_done(monkeypatch):
    whole = untouched(sweep)
    strikes_after(22, monkeypatch)
    result = untouched(lambda model: sweep(model, repeats=2))
    np.testing.assert_array_equal(result.losses, whole.losses)
    assert not result.finished


def test_one_rate_of_a_sweep_tells_nothing(monkeypatch):
    strikes_after(8, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        untouched(sweep)


def tune(model, **arguments):
    options = {"steps": 40, "max_cost": 40, "batch_size": 20, "verbose": 0} | arguments
    return tune_lr(model, X, Y, **options)


def test_tune_lr_reads_the_trials_that_are_done(monkeypatch, capsys):
    whole = untouched(tune)
    strikes_after(15, monkeypatch)
    capsys.readouterr()
    result = untouched(lambda model: tune(model, apply=True))
    assert result.trials == whole.trials[:1]
    assert result.short_run_learning_rate == pytest.approx(10 ** whole.trials[0].x)
    assert not result.finished
    assert "interrupted" in repr(result)
    assert capsys.readouterr().out.startswith("tune_lr: interrupted. ")


def test_tune_lr_without_a_trial_knows_nothing(monkeypatch):
    strikes_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        untouched(tune)


def test_ctrl_c_in_a_search_within_a_search_ends_both(monkeypatch):
    strikes_after(15, monkeypatch)
    options = {"steps": 40, "n_trials": 1, "validation_data": (X, Y), "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        untouched(lambda model: tune_adam(model, X, Y, batch_size=20, **options))
