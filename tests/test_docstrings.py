"""Public docstrings are in the house form: what it is, Args, Raises, Example, Reference.

That the examples run is the doctests' part. What a docstring says of its source is not checked, but
whether it names one: what has none is listed in `OUR_OWN`.
"""

import ast
import builtins
import doctest
import functools
import importlib
import inspect
import re
import textwrap

import keras
import pytest

import keras_lr

MODULES = (
    "keras_lr",
    "keras_lr.schedules",
    "keras_lr.optimizers",
    "keras_lr.callbacks",
    "keras_lr.plot",
    "keras_lr.search.suggest",
)
# Ours, or too common to have a source: nothing to refer to.
OUR_OWN = {
    "AdamTuneResult", "Constant", "Exponential", "FineTuneResult",
    "FitResult", "FlatCosine", "FromCallable",
    "Geometric", "Interpolated", "InversePower", "Linear", "Migration", "MultiStep",
    "PiecewiseConstant", "Polynomial", "ScaledExponential", "Schedule", "Step", "SuggestionError",
    "SweepResult", "Table", "TuneResult", "consensus", "fall75", "join", "lr_sweep",
    "plot_fit", "plot_history", "plot_range_test", "plot_schedule", "plot_sweep", "plot_tune",
    "plot_tune_adam", "schedule", "smooth", "tune_lr",
}  # fmt: skip
SECTIONS = ("Args", "Attributes", "Methods", "Returns", "Raises", "Example", "Reference")


def public_objects():
    """Return the public classes and functions of this library by name."""
    found = {}
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def sections(docstring):
    """Return the text of each section of a docstring by its title; what it begins with by ''."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", inspect.cleandoc(docstring), flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(value):
    """Return the names of the parameters as a caller sees them."""
    try:
        found = inspect.signature(value).parameters.values()
    except ValueError:  # an exception class
        return []
    unnamed = (inspect.Parameter.VAR_POSITIONAL,)
    return [p.name for p in found if p.kind not in unnamed and p.name not in ("self", "cls")]


def constructors(value):
    """Return the functions of ours that run when it is called."""
    if not inspect.isclass(value):
        return [value]
    ours = [base for base in value.__mro__ if base.__module__.startswith("keras_lr")]
    names = ("__init__", "__post_init__")
    found = [vars(base)[name] for base in ours for name in names if name in vars(base)]
    return [function for function in found if function.__module__.startswith("keras_lr")]


def refuses(value):
    """Whether the code that runs when it is called raises, itself or through a check."""
    for function in constructors(value):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except OSError:  # made by dataclasses
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise):
                return True
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
                name = called if isinstance(called, str) else getattr(called, "id", "")
                if name.lstrip("_").startswith("check"):
                    return True
    return False


def members(cls):
    """Return the public methods and properties that a class of ours has from us, by name."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("keras_lr"):
            mine = {k: v for k, v in vars(base).items() if not k.startswith("_")}
            kinds = (property, functools.cached_property, classmethod, staticmethod)
            found |= {k: v for k, v in mine.items() if inspect.isfunction(v) or type(v) in kinds}
    return found


def explanations(cls, name):
    """Return the docstrings of a method, of those it overrides too: what they say still holds."""
    found = [getattr(vars(base).get(name), "__doc__", None) for base in cls.__mro__]
    return [docstring for docstring in found if docstring]


def is_keras_own(cls, name):
    """Whether Keras gives the method its arguments, so that they need no explanation here."""
    bases = (keras.callbacks.Callback, keras.optimizers.Optimizer)
    schedule = keras.optimizers.schedules.LearningRateSchedule
    return any(issubclass(cls, base) and hasattr(base, name) for base in (*bases, schedule))


def unnamed_parameters(value, docstring):
    """Return the parameters that neither `Args:` nor `Attributes:` has a line for."""
    told = sections(docstring)
    text = told.get("Args", "") + told.get("Attributes", "")
    return [n for n in parameters(value) if not re.search(rf"^\s+\**{n}\b.*:", text, flags=re.M)]


PUBLIC = public_objects()


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_docstring_is_in_the_house_form(path):
    value = PUBLIC[path]
    docstring = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert docstring, f"{path}: there is no docstring"
    told = sections(docstring)
    missing = [f"Args: {name}" for name in unnamed_parameters(value, docstring)]
    if not told[""].splitlines()[0].strip():
        missing.append("what it is, in one line")
    if refuses(value) and "Raises" not in told:
        missing.append("Raises:")
    if inspect.isfunction(value) and "Returns" not in told and len(told) < 3:
        missing.append("Returns:")
    if ">>>" not in told.get("Example", ""):
        missing.append("Example: with a doctest")
    if "Reference" not in told and value.__name__ not in OUR_OWN:
        missing.append("Reference:, or a place in OUR_OWN")
    assert not missing, f"{path} lacks {missing}"


def undefined(source):
    """Return the names that a piece of code uses and neither imports nor makes."""
    made, used = set(dir(builtins)), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            made.add(node.name)
        elif isinstance(node, ast.arg):
            made.add(node.arg)
    return used - made


@pytest.mark.parametrize("path", PUBLIC)
def test_an_example_can_be_pasted_at_a_prompt(path):
    """The doctests run it, but in a module that has imported what the example may need."""
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(PUBLIC[path]))
    assert undefined("".join(example.source for example in examples)) == set()


@pytest.mark.parametrize("path", PUBLIC)
def test_help_begins_with_one_sentence(path):
    first, _, _ = inspect.getdoc(PUBLIC[path]).partition("\n\n")
    assert first.endswith(".")
    assert len(first) <= 100
    assert "\n" not in first


@pytest.mark.parametrize("module", [keras_lr, keras_lr.schedules, keras_lr.optimizers])
def test_completion_shows_public_names_only(module):
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize("path", [path for path, value in PUBLIC.items() if inspect.isclass(value)])
def test_every_method_and_property_says_what_it_is(path):
    cls = PUBLIC[path]
    missing = []
    for name, member in members(cls).items():
        docstring = member.__doc__ if isinstance(member, property) else getattr(cls, name).__doc__
        if isinstance(member, functools.cached_property):
            docstring = member.func.__doc__
        if not docstring:
            missing.append(name)
        elif callable(getattr(cls, name)) and not is_keras_own(cls, name):
            unnamed = [
                set(unnamed_parameters(getattr(cls, name), told))
                for told in explanations(cls, name)
            ]
            missing += [f"{name}, Args: {p}" for p in sorted(set.intersection(*unnamed))]
    assert not missing, f"{path} lacks docstrings of {missing}"


def test_nothing_is_excused_that_is_not_there():
    names = {value.__name__ for value in PUBLIC.values()}
    assert names >= OUR_OWN
    assert len(PUBLIC) > 40
    assert keras_lr.Adam in PUBLIC.values()
