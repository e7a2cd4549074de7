"""The demo's command line; the demo itself is run by the build."""

import sys

import pytest

from keras_lr.__main__ import main


def test_a_missing_folder_is_told_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    output = tmp_path / "missing" / "picture.png"
    monkeypatch.setattr(sys, "argv", ["keras_lr", "--output", str(output)])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr()
    assert "--output: there is no folder" in told.err
    assert told.out == ""
