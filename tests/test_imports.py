"""The import of the package: public names, modules left unloaded, one-way dependencies."""

import ast
import graphlib
import json
import pathlib
import re
import subprocess
import sys

import pytest

import keras_lr

PACKAGE = pathlib.Path(keras_lr.__file__).parent
ROOMS = {
    "keras_lr._keras": set(),
    "keras_lr.schedules": set(),
    "keras_lr._engine": {"keras_lr.schedules", "keras_lr._keras"},
    "keras_lr.optimizers": {"keras_lr.schedules", "keras_lr._keras"},
    "keras_lr.layers": {"keras_lr.optimizers", "keras_lr._keras"},
    "keras_lr.callbacks": {"keras_lr.schedules", "keras_lr._keras", "keras_lr._engine"},
    "keras_lr.search": {"keras_lr.schedules", "keras_lr._keras", "keras_lr._engine"},
    "keras_lr.one_call": {
        "keras_lr.schedules",
        "keras_lr._keras",
        "keras_lr._engine",
        "keras_lr.layers",
        "keras_lr.callbacks",
        "keras_lr.search",
    },
}
NUMPY_ONLY = (
    "callbacks/cooldown/descent.py",
    "callbacks/plateau/controller.py",
    "callbacks/plateau/parameters.py",
    "callbacks/plateau/state.py",
    "callbacks/weight_average/averaging.py",
    "search/suggest.py",
    "search/sweep/choice.py",
    "search/range_test/curve.py",
    "search/range_test/loss_watch.py",
)


def imports(path, *, top_level_only=False):
    """Yield the modules a file imports, as dotted names."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", keras_lr.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert name == "__version__" or getattr(keras_lr, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        keras_lr.nothing  # noqa: B018


IN_A_NEW_PROCESS = """
import importlib, json, pkgutil, sys

def loaded():
    return [name for name in ("matplotlib", "pandas", "optuna", "sklearn") if name in sys.modules]

def registered():
    return sorted(n for n in keras.saving.get_custom_objects() if n.startswith("keras_lr"))

import keras
by_keras = loaded()
import keras_lr
by_us, at_once = loaded(), registered()
for module in pkgutil.walk_packages(keras_lr.__path__, "keras_lr."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
found = {"by_keras": by_keras, "by_us": by_us, "at_once": at_once, "in_the_end": registered()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported():
    """What a new process has loaded and registered after each import."""
    command = [sys.executable, "-c", IN_A_NEW_PROCESS]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_import_loads_no_optional_package(imported):
    assert imported["by_us"] == imported["by_keras"]


def test_what_a_saved_model_may_need_is_registered_at_once(imported):
    assert len(imported["at_once"]) > 20
    assert imported["at_once"] == imported["in_the_end"]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_one_way(room):
    folder = PACKAGE / room.removeprefix("keras_lr.")
    for path in folder.rglob("*.py"):
        used = {name for name in imports(path) if name.startswith("keras_lr.")}
        for other in set(ROOMS) - ROOMS[room] - {room}:
            assert not {name for name in used if name.startswith(other)}, path


def modules_imported(tree, modules):
    """Yield the modules of the package that a file imports, also late, but not for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module
        yield from modules_imported(node, modules)


def test_there_is_no_circle_of_imports():
    paths = PACKAGE.rglob("*.py")
    modules = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in paths
    }
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    graph = {
        name: set(modules_imported(ast.parse(path.read_text()), modules)) & set(modules) - {name}
        for name, path in modules.items()
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises for a circle
    assert set(order) == set(modules)


def test_nothing_imports_the_plots_when_it_is_imported():
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "plot":
            used = set(imports(path, top_level_only=True))
            assert not {name for name in used if name.startswith("keras_lr.plot")}, path


def test_private_names_of_keras_stay_in_the_host():
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "_keras":
            assert not [name for name in imports(path) if name.startswith("keras.src")], path


def test_private_attributes_are_used_by_their_owners_and_the_host():
    used = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name in ("_keras", "optimizers"):  # subclasses may use what is made for them
            continue
        attributes = [
            n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)
        ]
        own = {
            node.attr
            for node in attributes
            if ast.unparse(node.value) in ("self", "cls", "super()")
        }
        for node in attributes:
            if re.match(r"_[a-z]", node.attr) and node.attr not in own:
                used.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}")
    assert used == []


def test_module_docstrings_say_what_is_in_the_file():
    asking = re.compile(r"(What|Which|Where|When|Whether|How|Whatever|Who)\b")
    docstrings = {p: ast.get_docstring(ast.parse(p.read_text())) for p in PACKAGE.rglob("*.py")}
    assert all(docstrings.values())
    assert [str(path) for path, text in docstrings.items() if asking.match(text)] == []


@pytest.mark.parametrize("file", NUMPY_ONLY)
def test_the_pure_core_needs_no_keras(file):
    used = {name.split(".")[0] for name in imports(PACKAGE / file)}
    assert not used & {"keras", "tensorflow", "jax", "torch"}
