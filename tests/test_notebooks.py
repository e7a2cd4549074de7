"""Every committed notebook is whole, quiet and executed. The gate itself runs them."""

import pathlib
import re

import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 1_500_000
ROOTS = "home|root|Users|tmp|private|var|opt|mnt|usr|work"
MACHINE_PATH = re.compile(rf"(?<![\w.])/({ROOTS})/|[A-Z]:\\")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def texts(output):
    """Return what a reader sees of an output as text."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [output.evalue, *output.traceback]
    return [str(data) for kind, data in output.data.items() if kind.startswith("text/")]


def test_they_are_numbered_from_0_to_7():
    numbers = [path.name.partition("-")[0] for path in NOTEBOOKS]
    assert numbers == [str(number) for number in range(8)]


@every_notebook
def test_it_is_a_valid_notebook_of_modest_size(path):
    nbformat.validate(read(path))
    assert path.stat().st_size < MOST_BYTES


@every_notebook
def test_its_title_has_its_number(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {path.name[0]}. ")


@every_notebook
def test_it_was_executed_in_order(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_notebook
def test_a_word_comes_before_each_code_cell(path):
    kinds = [cell.cell_type for cell in read(path).cells]
    alone = [n for n, kind in enumerate(kinds) if kind == "code" and kinds[n - 1] != "markdown"]
    assert not alone


@every_notebook
def test_it_has_no_errors_and_no_warnings(path):
    for cell in code_cells(path):
        if "raises-exception" in cell.metadata.get("tags", ()):
            continue
        for output in cell.outputs:
            assert output.output_type != "error", output.evalue
            assert output.get("name") != "stderr", output.text


@every_notebook
def test_its_first_cell_installs_the_library_and_picks_a_backend(path):
    first = code_cells(path)[0].source
    assert 'find_spec("keras_lr") is None' in first
    assert "%pip install" in first
    assert first.index("KERAS_BACKEND") < first.index("import keras\n")


@every_notebook
def test_it_shows_a_picture(path):
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@every_notebook
def test_it_names_no_place_on_the_machine_that_ran_it(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            for text in texts(output):
                assert not MACHINE_PATH.search(text), text


@pytest.mark.parametrize(
    ("text", "names_a_place"),
    [
        ("saved to /tmp/run/model.keras", True),
        ("File '/home/me/code.py'", True),
        (r"C:\Users\me", True),
        ("loss per sample / batch, 3/4", False),
        ("https://example.org/home/page", False),
    ],
)
def test_what_counts_as_a_place(text, names_a_place):
    assert bool(MACHINE_PATH.search(text)) == names_a_place
