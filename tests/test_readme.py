"""The README's code runs, and its tables are the generated ones."""

import pathlib
import re
import sys
import warnings

import matplotlib.pyplot as plt
import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
sys.path.insert(0, str(ROOT / "tests" / "schedules"))

import equivalents


def test_all_python_of_the_readme_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 8
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)
    plt.close("all")
    assert names["history"].history["learning_rate"]
    assert names["ensemble"].predict(names["x"][:2], verbose=0).shape == (2, 10)


@pytest.mark.parametrize(
    "command", ["pip install '.[demo]' && python", "pip install '.[test]' && pytest"]
)
def test_the_two_commands_stand_on_the_first_screen(command):
    assert command in "\n".join(README.splitlines()[:22])


def test_the_table_of_equivalents_is_the_tested_one():
    table = re.search(r"<!-- equivalents -->\n(.*)<!-- /equivalents -->", README, re.DOTALL).group(
        1
    )
    assert table.strip() == equivalents.markdown().strip()


def test_every_file_it_names_is_there():
    for name in re.findall(r"`pytest (tests/[\w/.]+)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\((?!http)([\w/.]+)\)", README):
        assert (ROOT / name).exists(), name
