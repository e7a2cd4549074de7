"""The demo's command line, its table and its words; the whole of it is run by the build."""

import os
import pathlib
import subprocess
import sys

import pytest

from keras_lr.__main__ import NEXT, Trained, Way, main, row, verdict

ROOT = pathlib.Path(__file__).parents[1]


def test_a_missing_folder_is_told_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    output = tmp_path / "missing" / "picture.png"
    monkeypatch.setattr(sys, "argv", ["keras_lr", "--output", str(output)])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr()
    assert "--output: there is no folder" in told.err
    assert told.out == ""


def test_without_scikit_learn_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keras_lr"])
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match=r"Install it with: pip install 'keras-lr\[demo\]'"):
        main()


def test_nothing_of_the_backend_is_printed_at_the_start(tmp_path):
    """TensorFlow logs to the file descriptor as it is imported, whatever is set."""
    command = [sys.executable, "-m", "keras_lr", "--output", str(tmp_path / "missing" / "a.png")]
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    }
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert told.returncode == 2
    assert told.stderr.splitlines()[0].startswith("usage: python -m keras_lr")
    assert told.stdout == ""


def test_the_table_fits_80_columns():
    way = Way("2 ask the clock", "warm-up + cosine", 0.1, cost=10_000)
    line = row(way, [Trained({}, loss, 50.0) for loss in (10.5, 12.5, 11.0)])
    assert "11.000" in line
    assert len(line) <= 80
    assert max(map(len, NEXT.splitlines())) <= 80


def test_the_verdict_names_the_winner_and_what_is_as_good():
    losses = {"a": [0.30, 0.31, 0.32], "b": [0.10, 0.11, 0.20], "c": [0.19, 0.22, 0.25]}
    told = verdict(losses)
    assert told.startswith("Lowest loss: b, 0.110.")
    assert "over 3 seeds: c." in told
    assert told.endswith("Highest: a, 0.310.")
