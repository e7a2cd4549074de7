"""The README's code runs, what it says of values is so, and its tables are the tested ones."""

import inspect
import pathlib
import re
import shlex
import sys
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_lr as klr

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
sys.path.insert(0, str(ROOT / "tests" / "schedules"))

import equivalents


def between(marker):
    """Return what stands between two comments."""
    return re.search(rf"<!-- {marker} -->\n(.*)\n<!-- /{marker} -->", README, re.DOTALL).group(1)


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def run(block, names):
    """Run a block, in which `expression  # -> value` claims that the two are equal."""
    claims = re.sub(r"(?m)^(\S.*?) +# -> (.+)$", r"agree(\1, \2)", block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(claims, "README.md", "exec"), names)


def agree(got, claimed):
    if isinstance(claimed, float) or (isinstance(claimed, list) and isinstance(claimed[0], float)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(got), claimed, rtol=1e-3)
    else:
        assert got == claimed


def rows(table):
    """Return the cells of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the README's questions and tables of calls take as given."""
    monkeypatch.chdir(tmp_path)
    x, y = load_digits(return_X_y=True)
    layers = [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=keras.backend.backend() == "jax")  # XLA takes longer
    given = {"x": x / 16, "y": y, "model": model, "loss": loss, "agree": agree}
    yield given | {"keras": keras, "klr": klr, "keras_lr": klr}
    plt.close("all")


def test_all_python_of_the_readme_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = blocks(README.replace(between("questions"), ""))
    assert len(code) >= 8
    names = {"agree": agree}
    for block in code:
        run(block, names)
    plt.close("all")
    assert names["history"].history["learning_rate"]
    assert names["ensemble"].predict(names["x"][:2], verbose=0).shape == (2, 10)


QUESTIONS = between("questions").split("</details>")[:-1]


@pytest.mark.parametrize("question", QUESTIONS, ids=range(1, len(QUESTIONS) + 1))
def test_the_answer_to_a_question_is_true(question, names, capsys):
    (code,) = blocks(question)
    given = set(names)
    run(code, names)  # asserts what it claims
    assert "# ->" in code or set(names) > given


def test_there_are_fifteen_questions():
    numbers = [int(re.search(r"<b>(\d+)\. ", question).group(1)) for question in QUESTIONS]
    assert numbers == list(range(1, 16))


@pytest.mark.parametrize(
    "command", ["pip install '.[demo]' && python", "pip install '.[test]' && pytest"]
)
def test_the_two_commands_stand_on_the_first_screen(command):
    assert command in "\n".join(README.splitlines()[:22])


def test_the_table_of_equivalents_is_the_tested_one():
    assert between("equivalents").strip() == equivalents.markdown().strip()


CALLS = rows(between("calls"))


@pytest.mark.parametrize("row", CALLS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_what_to_call_instead_can_be_called(row, names):
    offered = {name: getattr(klr, name) for name in klr.__all__}
    given = {"lr": 0.1, "function": lambda epoch: 0.1 / (1 + epoch)}
    instead = eval(row[2].strip("`"), names | offered | given)
    if "lr_find(" in row[2]:
        assert isinstance(instead, klr.RangeTestResult | plt.Axes | dict | float)
    else:
        kinds = keras.callbacks.Callback | keras.optimizers.Optimizer
        assert isinstance(instead, kinds)


def test_what_is_said_of_keras_own_arguments():
    theirs = list(inspect.signature(keras.callbacks.ReduceLROnPlateau).parameters)
    ours = list(inspect.signature(klr.ReduceOnPlateauPlus).parameters)
    named = [name for name in theirs if name != "kwargs"]
    assert ours[: len(named)] == named


def test_every_name_it_uses_is_there():
    for name in set(re.findall(r"\bklr\.([\w.]+)", README)):
        found = klr
        for part in name.rstrip(".").split("."):
            assert hasattr(found, part), name
            found = getattr(found, part)


def test_every_file_it_names_is_there():
    for name in re.findall(r"\]\((?!http)([\w/.-]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(?:python -m )?(benchmarks[/.][\w/.]+)`", README):
        file = name if name.endswith(".py") else name.replace(".", "/") + ".py"
        assert (ROOT / file).exists(), name


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(pytest tests/[^`]+)`", README))))
def test_every_check_of_a_guarantee_selects_tests(command):
    words = shlex.split(command)[1:]
    chosen = words[words.index("-k") + 1] if "-k" in words else ""
    for path in words[: words.index("-k")] if chosen else words:
        files = [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).glob("test_*.py"))
        tests = re.findall(r"def (test_\w+)", "".join(file.read_text() for file in files))
        assert any(word in test for test in tests for word in chosen.split(" or ")), command
