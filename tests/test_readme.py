"""The code of the README and of the pages in `docs` runs, and what they say is so."""

import inspect
import pathlib
import re
import shlex
import sys
import types
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_lr as klr

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf8")
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(ROOT)): path.read_text("utf8") for path in DOCS.rglob("*.md")}
PAGES["README.md"] = README
sys.path.insert(0, str(ROOT / "tests" / "schedules"))

import equivalents


def between(marker, page):
    """Return what stands between two comments of a page."""
    pattern = rf"<!-- {marker} -->\n(.*)\n<!-- /{marker} -->"
    return re.search(pattern, PAGES[page], re.DOTALL).group(1)


def blocks(text):
    """Return the Python of a page, block by block."""
    return [code for _, code in titled_blocks(text)]


def titled_blocks(text):
    """Return a title, or an empty string, and the code of each block."""
    found = re.findall(r'```python(?: title="(.*?)")?\n(.*?)```', text, flags=re.DOTALL)
    return [(title, code) for title, code in found if not code.startswith("--8<--")]


def run(block, names):
    """Run a block, in which `expression  # -> value` claims that the two are equal."""
    claims = re.sub(r"(?m)^(\S.*?) +# -> (.+)$", r"agree(\1, \2)", block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(claims, "page.md", "exec"), names)


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
    """What the pages take as given: the data and the model of the first screen."""
    monkeypatch.chdir(tmp_path)
    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=keras.backend.backend() == "jax")  # XLA takes longer
    given = {"x": x / 16, "y": y, "model": model, "loss": loss, "agree": agree, "np": np}
    yield given | {"keras": keras, "klr": klr, "keras_lr": klr}
    plt.close("all")


@pytest.fixture
def ray(monkeypatch):
    """Put the two functions of Ray that are used in its place, and run tasks at once."""

    def remote(**resources):
        def task(function):
            function.remote = function
            return function

        return task

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(remote=remote, get=list))


BY_THEMSELVES = ("docs/errors.md", "docs/questions.md", "README.md")
WITH_CODE = sorted(page for page in PAGES if blocks(PAGES[page]) and page not in BY_THEMSELVES)


@pytest.mark.parametrize("page", WITH_CODE)
def test_all_python_of_a_page_runs_in_order(page, names, ray, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    for title, code in titled_blocks(PAGES[page]):
        if title:
            (tmp_path / title).write_text(code, "utf8")
        run(code, names)  # asserts what it claims
    for name in set(sys.modules) - before:
        if name in [title.removesuffix(".py") for title, _ in titled_blocks(PAGES[page])]:
            del sys.modules[name]
    assert set(names) - {"__builtins__"}


def test_all_python_of_the_readme_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"agree": agree}
    for code in blocks(README):
        run(code, names)
    plt.close("all")
    assert names["result"].peak == pytest.approx(float(names["model"].optimizer.learning_rate))


QUESTIONS = re.split(r"(?m)^## ", PAGES["docs/questions.md"])[1:]


@pytest.mark.parametrize("question", QUESTIONS, ids=range(1, len(QUESTIONS) + 1))
def test_the_answer_to_a_question_is_true(question, names, capsys):
    (code,) = blocks(question)
    given = set(names)
    run(code, names)  # asserts what it claims
    assert "# ->" in code or set(names) > given


def test_there_are_fifteen_questions():
    numbers = [int(question.partition(".")[0]) for question in QUESTIONS]
    assert numbers == list(range(1, 16))


ERRORS = re.findall(
    r"(?m)^## (.*?)\n\n```python\n(.*?)```\n```text\n(.*?)\n```", PAGES["docs/errors.md"], re.DOTALL
)


@pytest.mark.parametrize(("title", "code", "message"), ERRORS, ids=[error[0] for error in ERRORS])
def test_a_mistake_is_answered_as_the_page_says(title, code, message, names, capsys):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            exec(compile(code, title, "exec"), names)
        except (TypeError, ValueError, RuntimeError) as error:
            told = [str(error)]
        else:
            told = [str(each.message) for each in warned]
    pattern = re.escape(message).replace(re.escape("..."), ".*")
    assert any(re.fullmatch(pattern, each) for each in told), told
    assert title.replace("...", "").strip() in message


def test_every_mistake_of_the_page_is_tried():
    assert len(ERRORS) == len(re.findall(r"(?m)^## ", PAGES["docs/errors.md"])) >= 10


@pytest.mark.parametrize(
    "command", ["pip install '.[demo]' && python", "pip install '.[test]' && pytest"]
)
def test_the_two_commands_stand_on_the_first_screen(command):
    assert command in "\n".join(README.splitlines()[:22])


def test_the_readme_is_short():
    assert len(README.splitlines()) < 200


def test_the_table_of_equivalents_is_the_tested_one():
    shown = between("equivalents", "docs/equivalents.md")
    assert shown.strip() == equivalents.markdown().strip()


CALLS = rows(between("calls", "docs/equivalents.md"))


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


def test_the_comparison_of_the_readme_is_that_of_the_benchmark():
    measured = {row[0]: row for row in rows(between("suggestions", "docs/benchmarks.md"))}
    compared = rows(between("compared", "README.md"))
    assert len(compared) > 5
    for method, *figures in compared:
        _, _, checkpoint, worst, within, steps, _ = measured[method]
        assert figures == [checkpoint, worst, within, steps]


def test_what_is_said_of_keras_own_arguments():
    theirs = list(inspect.signature(keras.callbacks.ReduceLROnPlateau).parameters)
    ours = list(inspect.signature(klr.ReduceOnPlateauPlus).parameters)
    named = [name for name in theirs if name != "kwargs"]
    assert ours[: len(named)] == named


@pytest.mark.parametrize("page", PAGES)
def test_every_name_it_uses_is_there(page):
    for name in set(re.findall(r"\bklr\.([\w.]+)", PAGES[page])):
        found = klr
        for part in name.rstrip(".").split("."):
            assert hasattr(found, part), name
            found = getattr(found, part)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_it_names_is_there(page):
    for name in re.findall(r"\]\((?!http)([\w/.-]+)(?:#[\w-]+)?\)", PAGES[page]):
        assert ((ROOT / page).parent / name).exists(), name
    for name in re.findall(r"`(?:python (?:-m )?)?(benchmarks[/.][\w/.]+)`", PAGES[page]):
        place = ROOT / (name if name.endswith(".py") else name.replace(".", "/"))
        files = (place, place.with_suffix(".py"), place / "__main__.py")
        assert any(file.is_file() for file in files), name


CHECKS = {each for page in PAGES.values() for each in re.findall(r"`(pytest tests/[^`]+)`", page)}


@pytest.mark.parametrize("command", sorted(CHECKS))
def test_every_check_of_a_guarantee_selects_tests(command):
    words = shlex.split(command)[1:]
    chosen = words[words.index("-k") + 1] if "-k" in words else ""
    for path in words[: words.index("-k")] if chosen else words:
        files = [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).glob("test_*.py"))
        tests = re.findall(r"def (test_\w+)", "".join(file.read_text() for file in files))
        assert any(word in test for test in tests for word in chosen.split(" or ")), command


ROOMS = {"search", "schedules", "callbacks", "optimizers", "plot"}


def test_every_public_name_has_a_place_in_the_reference():
    pages = "\n".join(text for page, text in PAGES.items() if "/reference/" in page)
    shown = set(re.findall(r"(?m)^::: keras_lr\.([\w.]+)$", pages))
    public = [name for name in klr.__all__ if name not in ROOMS and name != "__version__"]
    for name in public:
        home = getattr(klr, name).__module__.removeprefix("keras_lr.")
        rooms = [home[:end] for end in range(len(home) + 1)]
        assert shown & {*rooms, f"{home}.{name}"}, name


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text("utf8")
    notebooks = [f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    pages = [page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")]
    for name in [*pages, *notebooks]:
        assert re.search(rf"(?m)[:-] {re.escape(name)}$", navigation), name
