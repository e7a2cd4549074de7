"""Short trials, so that the tests are: 4 of 10 updates at most, whatever the length of the run."""

import pytest

from keras_lr.one_call import data, tuning


@pytest.fixture
def short_trials(monkeypatch):
    monkeypatch.setattr(tuning, "trial_steps", lambda total: 10)
    monkeypatch.setattr(data, "TRIAL_STEPS", 10)
