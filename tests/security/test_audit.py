"""Pickles, files, processes and connections, seen by Python's own audit of a process."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import keras
import numpy as np
import pytest

from benchmarks.uses import CALLBACKS, SEARCHES, fit_with

SCRIPT = pathlib.Path(__file__).with_name("audited.py")
SAVING = ["CosineWarmRestarts", "ReduceOnPlateauPlus", "WeightAverage", "Cooldown"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("allowed")


@pytest.fixture(scope="module")
def found(folder):
    environment = os.environ | {
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": str(SCRIPT.parents[2]),
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)  # which JAX would write to
    command = [sys.executable, str(SCRIPT), str(folder)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_nothing_is_unpickled(found):
    assert len(found) == 3 * len(CALLBACKS) + len(SEARCHES) + 2
    assert {use: seen["unpickled"] for use, seen in found.items() if seen["unpickled"]} == {}


def test_no_process_and_no_connection_is_begun(found):
    assert {use: seen["begun"] for use, seen in found.items() if seen["begun"]} == {}


def is_of_the_host(path):
    """Return whether TensorFlow has written a file itself, to trace a step, or nobody has."""
    return path in (os.devnull, tempfile.gettempdir()) or "__autograph" in path


def test_files_are_written_only_where_that_is_asked_for(found, folder):
    stray = {}
    for use, seen in found.items():
        touched = [each for each in seen["written"] + seen["changed"] if not is_of_the_host(each)]
        if use.endswith(("a folder", "gone on")):
            touched = [path for path in touched if not path.startswith(str(folder))]
        if touched and use != "a saved model":  # which Keras unpacks
            stray[use] = touched
    assert stray == {}


@pytest.mark.parametrize("name", SAVING)
def test_files_are_written_as_drafts_that_take_their_place_when_whole(found, name):
    seen = found[f"{name}, a folder"]
    assert seen["changed"]  # HDF5 files are opened out of Python's sight
    assert any(".draft" in path for path in seen["changed"])
    assert all(".draft" in path for path in seen["written"])
    assert seen["left"]
    assert not any(".draft" in path for path in seen["left"])


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize("name", SAVING)
def test_a_pickle_put_in_the_place_of_a_state_is_not_read(tmp_path, name):
    fit_with(name, str(tmp_path / "state"), killed=True)
    trap, arrays = tmp_path / "sprung", []
    for path in (tmp_path / "state").rglob("*.npz"):
        with np.load(path) as held:
            names = held.files
        evil = np.array([Evil(trap)], dtype=object)
        np.savez(path, **dict.fromkeys(names, evil))
        arrays.append(path)
    assert arrays or name == "CosineWarmRestarts"
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        fit_with(name, str(tmp_path / "state"), initial_epoch=1)
    assert not trap.exists()
