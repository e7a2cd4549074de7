"""Refusals of data that `Model.fit` would not take, in one form and before anything is trained."""

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from types import GeneratorType
from typing import Any

import keras

from keras_lr._engine.batch_loss import has_custom_train_step
from keras_lr._keras.data import FitData, is_arrays, is_rows
from keras_lr._keras.own_fit import has_own_fit
from keras_lr._keras.random import random_state_kept
from keras_lr.errors import complaint, float_or_inf, shortened

MOST = 2**31 - 1
"""The largest number of steps, samples or repeats that can be meant."""

_LONGEST_REASON = 110


def check_most(owner: str, /, **received: int | None) -> None:
    """Raise if a number of something is larger than can be meant."""
    for name, value in received.items():
        if value is not None and value > MOST:
            rule, fix = f"{name} must be at most {MOST}", "Pass a smaller number"
            raise ValueError(complaint(owner, rule, fix, **{name: value}))


def check_class_weight(owner: str, class_weight: Any) -> None:
    """Raise unless it is None, or a dictionary from classes to weights."""
    if class_weight is None:
        return
    fix = "Pass {0: 1.0, 1: 5.0}, say, or None"
    if not isinstance(class_weight, Mapping):
        rule = "class_weight must be a dictionary from classes to weights"
        raise TypeError(complaint(owner, rule, fix, class_weight=class_weight))
    for key, weight in class_weight.items():
        if isinstance(key, bool) or not isinstance(key, Integral) or key < 0:
            rule = "the classes of class_weight must be integers, 0 or more"
            raise ValueError(complaint(owner, rule, fix, **{"class": key}))
        number = float_or_inf(weight) if isinstance(weight, Real) else math.nan
        if not (math.isfinite(number) and number >= 0):
            rule = "the weights of class_weight must be finite numbers, 0 or more"
            raise ValueError(complaint(owner, rule, fix, weight=weight))


def check_data(
    owner: str, data: FitData, model: Any = None, name: str = "x", hint: str = ""
) -> None:
    """Raise unless Keras can make batches of the data.

    Args:
        owner: The public name the user called, for error messages.
        data: The data.
        model: The model; one whose `fit` is not Keras' own may take other data.
        name: The argument that `data.x` came in.
        hint: What else may have been meant by `y`, if `x` is a dataset.
    """
    check_class_weight(owner, data.class_weight)
    if isinstance(data.x, GeneratorType) or has_own_fit(model):
        return
    if _is_empty(data.x):
        rule, fix = f"{name} must hold at least one batch", "Pass arrays or a dataset"
        raise ValueError(complaint(owner, rule, fix, **{name: _form(data.x)}))
    given = {"y": data.y, "sample_weight": data.sample_weight}
    received = {name: _form(data.x)} | {k: _form(v) for k, v in given.items() if v is not None}
    gives_batches = isinstance(data.x, Iterable | keras.utils.PyDataset) and not is_rows(data.x)
    if data.y is not None and gives_batches:
        rule = f"y must be None where {name} is a dataset, which holds the targets"
        fix = hint or "Leave it out"
        raise ValueError(complaint(owner, rule, fix, **received))
    for argument, value in given.items():
        if value is not None and _is_empty(value):
            rule, fix = f"{argument} must hold an array, or be None", "Leave it out, or fill it"
            raise ValueError(complaint(owner, rule, fix, **{argument: value}))
    _check_inputs(owner, data.x, model, name, received)
    counts = [len(keras.tree.flatten(value)) for value in given.values()]
    if data.y is not None and data.sample_weight is not None and counts[1] not in (1, counts[0]):
        rule = "sample_weight must be one array, or one for each of y"
        raise ValueError(complaint(owner, rule, "Pass an array or None", **received))
    try:
        with random_state_kept():  # data may draw random numbers as it is looked at
            empty = data.adapter.num_batches == 0
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        said = " ".join(str(error).split())
        which = "one number of samples" if "cardinality" in said else "data that Model.fit takes"
        rule = f"{', '.join(received)} must be {which}"
        if "cardinality" not in said and "Unrecognized" not in said:
            rule += f" ({shortened(said, _LONGEST_REASON)})"
        fix = "Pass arrays of equal length, or a dataset"
        raise ValueError(complaint(owner, rule, fix, **received)) from error
    if empty:
        rule, fix = f"{name} must hold at least one batch", "Pass data that does"
        raise ValueError(complaint(owner, rule, fix, **{name: _form(data.x)}))


def _check_inputs(owner: str, x: Any, model: Any, name: str, received: dict[str, Any]) -> None:
    """Raise if a list holds more or fewer arrays than the model has inputs: x and y, say."""
    inputs = getattr(model, "inputs", None)
    if not inputs or not isinstance(x, list | tuple) or has_custom_train_step(model):
        return
    leaves = keras.tree.flatten(x)
    if len(leaves) == len(inputs) or not all(is_arrays(leaf) for leaf in leaves):
        return
    rule = f"{name} must hold one array for each input of the model ({len(inputs)})"
    fix = "Pass x and y apart, or batches of both as a dataset"
    raise ValueError(complaint(owner, rule, fix, **received))


def unpacked(owner: str, validation_data: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of validation data; raise unless it has one to three parts."""
    try:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(validation_data)
    except ValueError as error:
        rule = "validation_data must be x, (x, y), (x, y, sample_weight) or a dataset"
        fix = "Pass one of these, or None"
        received = {"parts": len(validation_data)}
        raise ValueError(complaint(owner, rule, fix, **received)) from error
    if _is_empty(x):
        rule, fix = "validation_data must hold at least one batch", "Pass data, or None"
        raise ValueError(complaint(owner, rule, fix, validation_data=_form(validation_data)))
    return x, y, sample_weight


def _is_empty(value: Any) -> bool:
    """Return whether a structure has no arrays at all, or one without samples."""
    leaves = [leaf for leaf in keras.tree.flatten(value) if leaf is not None]
    return not leaves or any(_length(leaf) == 0 for leaf in leaves)


def _length(leaf: Any) -> int | None:
    shape = getattr(leaf, "shape", None)
    return int(shape[0]) if isinstance(shape, tuple) and shape and shape[0] is not None else None


def _form(value: Any) -> Any:
    """Return what to show of data: the shapes of its arrays, the types of what is none."""

    def shown(leaf: Any) -> str:
        shape = getattr(leaf, "shape", None)
        return f"shape {tuple(shape)}" if isinstance(shape, tuple) else type(leaf).__name__

    return keras.tree.map_structure(shown, value) if value is not None else None
