"""A plateau's backup that is damaged, missing, or on a full disk: a warning, and no crash."""

import json
import os
import pathlib

import keras
import numpy as np
import pytest
from support.drives import displacement

import keras_lr as klr
from keras_lr._engine.checkpoint import WeightCheckpoint

VALUES = [1.0, 0.5, 0.7, 0.8, 0.6, 0.9, 0.9, 0.4]
DIE_AFTER = 4


class DiedError(Exception):
    pass


class Scripted(keras.callbacks.Callback):
    def __init__(self, dies):
        super().__init__()
        self.dies = dies

    def on_epoch_end(self, epoch, logs=None):
        logs["metric"] = VALUES[epoch]

    def on_epoch_begin(self, epoch, logs=None):
        if self.dies and epoch == DIE_AFTER:
            raise DiedError


def run(model, folder, dies=False, **arguments):
    plateau = klr.ReduceOnPlateauPlus(
        "metric", 0.5, 2, mode="min", backup_dir=folder, restore_best_weights=True
    )
    x = np.ones((2, 1), "float32")
    callbacks = [Scripted(dies), plateau]
    model.fit(x, x, epochs=len(VALUES), callbacks=callbacks, verbose=0, **arguments)
    return plateau


@pytest.fixture
def died(tmp_path):
    """A model and the folder of a run that was cut off."""
    model = displacement(keras.optimizers.SGD(0.1))
    with pytest.raises(DiedError):
        run(model, tmp_path, dies=True)
    return model, tmp_path


def path_of(folder, ending):
    (path,) = folder.glob(f"*{ending}")
    return path


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_parts(path):
    path.write_text(json.dumps({key: {"state": {}} for key in json.loads(path.read_text())}))


def of_a_number(path):
    entries = json.loads(path.read_text())
    for entry in entries.values():
        entry["weights"] = {"best": 3}
    path.write_text(json.dumps(entries))


def written(path, save, *arrays):
    with path.open("wb") as file:
        save(file, *arrays)


JSON_FAULTS = {
    "missing": pathlib.Path.unlink,
    "half": halve,
    "empty": lambda path: path.write_text(""),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("3"),
    "no numbers of epochs": lambda path: path.write_text('{"first": {}}'),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "without parts": without_parts,
    "weights without names": of_a_number,
}
NPZ_FAULTS = {
    "missing": pathlib.Path.unlink,
    "half": halve,
    "empty": lambda path: path.write_bytes(b""),
    "other": lambda path: path.write_bytes(b"no archive"),
    "one array": lambda path: written(path, np.save, np.zeros(3)),
    "other arrays": lambda path: written(path, np.savez, np.zeros(3)),
}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_a_damaged_state_is_warned_of_and_the_plateau_begins_anew(died, fault):
    model, folder = died
    JSON_FAULTS[fault](path_of(folder, ".json"))
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    said = "no state was saved" if fault == "missing" else "the saved state is damaged"
    with pytest.warns(UserWarning, match=f"ReduceOnPlateauPlus: {said}") as caught:
        plateau = run(model, folder, initial_epoch=DIE_AFTER)
    assert len([one for one in caught if one.category is UserWarning]) == 1
    assert plateau.events[0].epoch == DIE_AFTER + 2
    assert plateau.events[0].lr_before == pytest.approx(rate)
    assert not folder.exists()


@pytest.mark.parametrize("fault", NPZ_FAULTS)
def test_damaged_weights_are_warned_of_and_the_rates_go_on(died, fault):
    model, folder = died
    NPZ_FAULTS[fault](path_of(folder, ".npz"))
    with pytest.warns(UserWarning, match="the saved best weights cannot be read") as caught:
        plateau = run(model, folder, initial_epoch=DIE_AFTER)
    assert len([one for one in caught if one.category is UserWarning]) == 1
    assert [event.epoch for event in plateau.events] == [3, 5]
    assert "best" in plateau._run.restore_points.states  # those of the best epoch since


@pytest.mark.parametrize("step", ["weights", "text", "replace"])
def test_a_full_disk_leaves_the_old_state_and_no_draft(tmp_path, monkeypatch, step):
    model = displacement(keras.optimizers.SGD(0.1))
    with pytest.raises(DiedError):
        run(model, tmp_path, dies=True)

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    def half(self, file, *arguments, **named):
        pathlib.Path(file).write_bytes(b"half")
        full()

    owner, name = {
        "weights": (WeightCheckpoint, "save"),
        "text": (pathlib.Path, "write_text"),
        "replace": (os, "replace"),
    }[step]
    monkeypatch.setattr(owner, name, half if step == "weights" else full)
    monkeypatch.setattr(klr.callbacks.plateau.backup.PlateauBackup, "remove", lambda self: None)
    with pytest.warns(UserWarning, match="could not be saved.*No space left"):
        plateau = run(model, tmp_path, initial_epoch=DIE_AFTER)
    assert plateau.events
    entries = json.loads(path_of(tmp_path, ".json").read_text())
    assert max(map(int, entries)) == {"weights": len(VALUES) - 1}.get(step, DIE_AFTER)
    for entry in entries.values():
        assert WeightCheckpoint.load(tmp_path / entry["weights"]["best"]).fits(model)
    assert not list(tmp_path.glob("*.draft"))


def test_a_loop_over_epochs_is_not_warned_of(tmp_path):
    model = displacement(keras.optimizers.SGD(0.1))
    x = np.ones((2, 1), "float32")
    plateau = klr.ReduceOnPlateauPlus("loss", reset=False, backup_dir=tmp_path)
    for epoch in range(3):
        model.fit(x, x, initial_epoch=epoch, epochs=epoch + 1, callbacks=[plateau], verbose=0)
    assert plateau.controller.patience == 10
