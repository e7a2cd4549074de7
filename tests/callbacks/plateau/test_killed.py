"""Runs that are killed and go on from a backup, bit for bit."""

import json
import math

import keras
import numpy as np
import pytest
from support.plateau import Scripted, X, Y, fit, make_model
from support.tiny import identical

from keras_lr.callbacks.plateau import ReduceOnPlateauPlus
from keras_lr.callbacks.plateau.rates import compile_anew

LAST = 7


KILLS = [
    ({}, False, [0, 3, 6]),
    ({}, True, [4]),
    ({"restore_best_weights": True, "smoothing": 3, "cooldown": 1}, False, [2, 4]),
    ({"max_rescues": 3, "restore_best_weights": True, "restore_optimizer": True}, False, [3, 5]),
    ({"max_rescues": 3}, True, [3]),
    ({"frequency": 3}, False, [3]),
    ({"frequency": 5, "min_delta": 9.0, "restore_best_weights": True}, False, [2, 5]),
]


class KilledError(Exception):
    """Stands for a power cut."""


class Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KilledError


def rewinder(model):
    """Return what makes a model as it was, so that it need not be compiled again for each run."""
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    variables = [*model.variables, *optimizer.variables]
    start = [keras.ops.convert_to_numpy(variable.value).copy() for variable in variables]
    rate = optimizer._learning_rate

    def rewind():
        model._initial_epoch = None
        if not isinstance(rate, keras.Variable):
            optimizer.learning_rate = rate
            compile_anew(model)
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)

    return rewind


@pytest.mark.parametrize(("arguments", "scheduled", "epochs"), KILLS)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, arguments, scheduled, epochs):
    values = [1.0, 0.5, 0.7, math.nan if "max_rescues" in arguments else 0.8, 0.6, 0.9, 0.9, 0.4]
    monitor = "batch_loss" if "frequency" in arguments else "metric"

    rate = keras.optimizers.schedules.CosineDecay(0.05, 60) if scheduled else 0.05
    model = make_model(keras.optimizers.Adam(rate))
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            monitor, factor=0.5, patience=2, mode="min", backup_dir=directory, **arguments
        )
        backup = keras.callbacks.BackupAndRestore(directory)
        history = fit(model, [Scripted(values), plateau, backup, *killed], epochs=LAST + 1)
        return model.get_weights(), plateau, history.history["learning_rate"]

    whole, expected, rates = run(tmp_path / "whole")
    assert expected.events
    for epoch in epochs:
        directory = tmp_path / f"killed{epoch}"
        with pytest.raises(KilledError):
            run(directory, Kill(epoch))
        resumed, plateau, rest = run(directory)
        assert rest == rates[epoch + 1 :]
        assert identical(resumed, whole)
        assert repr(plateau.events) == repr(expected.events)
        assert not directory.exists()


@pytest.mark.parametrize("plateau_first", [True, False])
def test_a_kill_between_two_backups_loses_nothing_or_says_so(tmp_path, plateau_first):
    values = [1.0, 0.5, 0.7, 0.8, 0.6, 0.9, 0.9, 0.4]
    model = make_model()
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            "metric", 0.5, 2, mode="min", backup_dir=directory, restore_best_weights=True
        )
        saving = [plateau, *killed, keras.callbacks.BackupAndRestore(directory)]
        order = 1 if plateau_first else -1
        history = fit(model, [Scripted(values), *saving[::order]], epochs=LAST + 1)
        return model.get_weights(), history.history["learning_rate"]

    whole, rates = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Kill(4))
    if plateau_first:  # Keras' backup is one epoch behind: that epoch is run again
        resumed, rest = run(tmp_path / "killed")
        assert rest == rates[4:]
        assert identical(resumed, whole)
    else:
        with pytest.warns(UserWarning, match="List the callback before BackupAndRestore"):
            run(tmp_path / "killed")


def test_a_backup_written_before_going_back_goes_back_too(tmp_path):
    values = [1.0, 0.5, 0.7, 0.8, 0.6, 0.9, 0.9, 0.4]
    model = make_model()
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            "metric", 0.5, 2, mode="min", backup_dir=directory, restore_best_weights=True
        )
        backup = keras.callbacks.BackupAndRestore(directory)
        fit(model, [Scripted(values), backup, plateau, *killed], epochs=LAST + 1)
        return model.get_weights()

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Kill(3))  # the epoch of the first reduction
    assert identical(run(tmp_path / "killed"), whole)


def test_a_loss_that_another_callback_has_logged_can_be_saved(tmp_path):
    plateau = ReduceOnPlateauPlus("loss", max_rescues=1, backup_dir=tmp_path / "backup")
    fit(make_model(), [Scripted([np.float32(1.0), X[0, 0]], "loss"), plateau], epochs=2)
    state = json.loads(json.dumps(plateau.get_state()))
    assert state == plateau.get_state()
    assert {type(value) for value in (plateau.best, plateau.wait)} <= {float, int}


def test_a_backup_of_an_epoch_without_validation_goes_on_from_it(tmp_path):
    values = [None, 1.0, None, 1.1, None, 0.5]
    model = make_model()
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            "val_x", 0.5, 1, mode="min", backup_dir=directory, restore_best_weights=True
        )
        backup = keras.callbacks.BackupAndRestore(directory)
        callbacks = [Scripted(values, "val_x"), plateau, backup, *killed]
        fit(model, callbacks, validation_data=(X, Y), validation_freq=2)
        return model.get_weights()

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Kill(4))  # the epoch after the first reduction
    assert identical(run(tmp_path / "killed"), whole)
