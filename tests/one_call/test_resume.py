"""A run that was killed goes on where it was, without another search."""

import json

import keras
import numpy as np
import pytest
from one_call.support import VALIDATION, X, Y, light
from support.tiny import identical, values

from keras_lr import fit, schedules
from keras_lr.one_call import tuning

pytestmark = pytest.mark.usefixtures("short_trials")
ARGUMENTS = {"batch_size": 8, "epochs": 9, "shuffle": False, "verbose": 0}


class KilledError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends the process, as it were, in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch
        self.present = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.present = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.present == self.epoch and batch == 3:
            raise KilledError


def run(model, directory, *callbacks, **arguments):
    backup = keras.callbacks.BackupAndRestore(directory)
    return fit(model, X, Y, callbacks=[backup, *callbacks], **{**ARGUMENTS, **arguments})


@pytest.fixture
def no_search(monkeypatch):
    def search(*arguments, **named):
        raise AssertionError("it has searched again")

    def start():
        monkeypatch.setattr(tuning, "run_climb", search)

    return start


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("validated", [False, True])
def test_a_run_goes_on_to_the_bit(epoch, validated, tmp_path, no_search, capsys):
    arguments = {"validation_data": VALIDATION} if validated else {}
    whole = light()
    expected = run(whole, tmp_path / "whole", **arguments)
    assert not (tmp_path / "whole").exists()
    with pytest.raises(KilledError):
        run(light(), tmp_path / "killed", Kill(epoch), **arguments)
    no_search()
    again = light()
    result = run(again, tmp_path / "killed", **arguments)
    assert result.peak == expected.peak
    assert result.tuning == expected.tuning
    assert result.history.epoch == expected.history.epoch[epoch:]
    np.testing.assert_array_equal(result.learning_rates, expected.learning_rates[8 * epoch :])
    assert result.epoch_ends == expected.epoch_ends[epoch:]
    assert (result.kept, result.kept_value) == (expected.kept, expected.kept_value)
    assert identical(values(again), values(whole))
    assert not (tmp_path / "killed").exists()


def test_a_schedule_in_the_optimizer_is_set_aside_again(tmp_path, no_search):
    def made():
        return light(keras.optimizers.SGD(schedules.Linear(5.0, 0.0, steps=7)))

    whole = made()
    expected = run(whole, tmp_path / "whole")
    with pytest.raises(KilledError):
        run(made(), tmp_path / "killed", Kill(2))
    no_search()
    again = made()
    result = run(again, tmp_path / "killed")
    np.testing.assert_allclose(result.learning_rates, expected.learning_rates[16:], rtol=1e-6)
    assert identical(values(again), values(whole))


def test_another_length_is_refused(tmp_path):
    with pytest.raises(KilledError):
        run(light(), tmp_path, Kill(2))
    model = light()
    before = values(model)
    with pytest.raises(ValueError, match="planned for 72 updates"):
        run(model, tmp_path, epochs=10)
    assert identical(values(model), before)


@pytest.mark.parametrize("damage", ["{", "{}", '{"peak": "high"}'])
def test_a_damaged_plan_is_refused(damage, tmp_path):
    with pytest.raises(KilledError):
        run(light(), tmp_path, Kill(2))
    file = tmp_path / "plan-fit.json"
    assert json.loads(file.read_text())["total"] == 72
    file.write_text(damage)
    with pytest.raises(ValueError, match="is damaged"):
        run(light(), tmp_path)


def test_a_backup_that_stays_keeps_its_plan(tmp_path, no_search):
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(light(), X, Y, callbacks=[backup], **ARGUMENTS)
    assert (tmp_path / "plan-fit.json").exists()


def test_what_is_said_when_it_goes_on(tmp_path, capsys):
    with pytest.raises(KilledError):
        run(light(), tmp_path, Kill(2))
    capsys.readouterr()
    run(light(), tmp_path, verbose=2)
    assert "fit: going on with a run of 72 updates" in capsys.readouterr().out
