"""One rule for the backups of all callbacks: trouble is warned of, and does not end the run."""

import json
import os

import keras
import numpy as np
import pytest
from support.drives import data, everything, fit, network

from keras_lr.callbacks import Cooldown, ReduceOnPlateauPlus, WeightAverage

X, Y = data()
MAKE = {
    "ReduceOnPlateauPlus": lambda folder: ReduceOnPlateauPlus(
        "loss", patience=9, backup_dir=folder
    ),
    "Cooldown": lambda folder: Cooldown(100, at_step=7, backup_dir=folder),
    "WeightAverage": lambda folder: WeightAverage(0.9, keep="last", backup_dir=folder),
}


class DiedError(Exception):
    pass


class Dies(keras.callbacks.Callback):
    """Ends the process, as it were, when an epoch begins."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise DiedError


def sgd():
    return network(keras.optimizers.SGD(0.1, momentum=0.9))


def not_of_a_state(path):
    if path.suffix == ".json":
        path.write_text(json.dumps({"2": {"state": {"rates": 3}, "weights": {}}}))
    else:
        np.savez(path, plain=np.array(json.dumps({"taken": "many"})))


FAULTS = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "list": lambda path: path.write_text("[1, 2]"),
    "not of a state": not_of_a_state,
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", MAKE)
def test_what_cannot_be_read_is_warned_of_and_training_goes_on(name, fault, tmp_path):
    model = sgd()
    with pytest.raises(DiedError):
        fit(model, (X, Y), MAKE[name](tmp_path), Dies())
    for path in [path for path in tmp_path.iterdir() if path.suffix in (".json", ".npz")]:
        FAULTS[fault](path)
    said = "saved" if fault == "missing" else "the saved state is damaged; it begins afresh"
    with pytest.warns(UserWarning, match=f"{name}: .*{said}"):
        history = fit(model, (X, Y), MAKE[name](tmp_path), epochs=3, initial_epoch=2)
    assert len(history["loss"]) == 1


@pytest.mark.parametrize("name", MAKE)
def test_a_full_disk_is_warned_of_and_leaves_no_half_file(name, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    folder, twin = tmp_path / "backup", sgd()
    monkeypatch.setattr(os, "replace", full)
    model, seen = sgd(), []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.extend(folder.glob("*"))
    )
    with pytest.warns(UserWarning, match=f"{name}: the state could not be saved.*No space left"):
        fit(model, (X, Y), MAKE[name](folder), look)
    fit(twin, (X, Y), MAKE[name](None))
    np.testing.assert_array_equal(everything(model), everything(twin))
    assert seen == []
