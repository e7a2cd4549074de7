"""The contents of a `FitResult`, and its repr."""

import dataclasses
import json

import numpy as np
import pytest
from one_call.support import VALIDATION, X, Y, light

from keras_lr import FitResult, TuneResult, fit


@pytest.fixture
def result(short_trials):
    arguments = {"batch_size": 8, "steps": 60, "validation_data": VALIDATION, "verbose": 0}
    return fit(light(), X, Y, **arguments)


def test_it_is_frozen(result):
    assert isinstance(result, FitResult)
    assert isinstance(result.tuning, TuneResult)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.peak = 1.0
    with pytest.raises(ValueError, match="read-only"):
        result.learning_rates[0] = 1.0


def test_the_rates_are_those_of_the_schedule(result):
    steps = np.arange(result.training_steps)
    np.testing.assert_allclose(result.learning_rates, result.schedule.values(steps), rtol=1e-6)
    assert result.learning_rates.dtype == np.float32
    assert result.tuning.learning_rate == result.peak
    logged = result.history.history["learning_rate"]
    ends = np.array(result.epoch_ends) - 1
    np.testing.assert_allclose(logged, result.learning_rates[ends], rtol=1e-6)


def test_it_can_be_written_as_json(result):
    held = json.loads(json.dumps(result.to_dict()))
    assert held["peak"] == result.peak
    assert held["tuning"]["cost_steps"] + held["training_steps"] == held["total_steps"] == 60
    assert held["history"]["history"]["loss"] == result.history.history["loss"]
    again = FitResult.from_dict(held)
    assert again == result
    assert repr(again) == repr(result)
    assert len(again.plot()) == 3
    assert again != FitResult.from_dict(held | {"peak": 1.0})


def test_it_is_a_table(result):
    frame = result.to_dataframe()
    assert frame["update"].tolist() == list(result.epoch_ends)
    assert frame["loss"].tolist() == result.history.history["loss"]
    assert {"val_loss", "learning_rate"} <= set(frame.columns)
    assert frame.index.tolist() == result.history.epoch


def test_its_repr_says_what_was_done(result):
    said = repr(result)
    assert said.startswith(f"FitResult(peak={result.peak:.3g}, {len(result.tuning.trials)} trials")
    assert f"{result.tuning_steps} of 60 updates tuning, {result.training_steps} training" in said
    assert f"(val_loss {result.kept_value:.4g})" in said


def test_its_repr_without_trials():
    result = fit(light(), X, Y, batch_size=8, steps=8, tune=0.01, verbose=0)
    assert repr(result) == (
        "FitResult(peak=0.01, as given; 0 of 8 updates tuning, 8 training; kept: last weights)"
    )
