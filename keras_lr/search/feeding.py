"""The arguments that say what a search is fed: those of `Model.fit`, checked before it begins."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from keras_lr._keras.data import Batch, FitData, is_arrays, is_rows, split_arrays
from keras_lr._keras.own_fit import has_own_fit
from keras_lr.errors import check_choice, check_integer, check_number, complaint
from keras_lr.search.given import check_data, check_most, unpacked


def check_feeding(
    owner: str, batch_size: int | None, steps_per_epoch: int | None, shuffle: bool | str
) -> None:
    """Raise unless these are what `Model.fit` takes."""
    if batch_size is not None:
        fix = "Pass a number of samples; 32 is Keras' default"
        check_integer(owner, fix, at_least=1, batch_size=batch_size)
    if steps_per_epoch is not None:
        fix = "Pass a number of batches, or None for all of the data"
        check_integer(owner, fix, at_least=1, steps_per_epoch=steps_per_epoch)
    check_most(owner, batch_size=batch_size, steps_per_epoch=steps_per_epoch)
    check_choice(owner, (True, False, "batch"), shuffle=shuffle)


def with_validation(
    owner: str,
    source: tuple[Any, Any, Any],
    data: Any,
    *,
    split: float = 0.0,
    batch_size: int | None = None,
    validation_batch_size: int | None = None,
    steps: int | None = None,
    model: Any = None,
) -> tuple[tuple[Any, Any, Any], FitData | None]:
    """Return what is to be trained on, and the validation data, as `Model.fit` tells them apart.

    Args:
        owner: The public name the user called, for error messages.
        source: x, y and sample_weight, as the user passed them.
        data: `validation_data`, as the user passed it, or as this function returned it.
        split: `validation_split`: the share of `source` that is taken from its end, where there is
            no other validation data.
        batch_size: Of the training.
        validation_batch_size: Of the validation; None for that of the training.
        steps: `validation_steps`: how many batches to evaluate; None for all there are.
        model: The model; one whose `fit` is its own may take other data.
    """
    check_feeding(owner, batch_size, None, True)
    fix = "Pass a number of samples, or None for batch_size"
    if validation_batch_size is not None:
        check_integer(owner, fix, at_least=1, validation_batch_size=validation_batch_size)
    if steps is not None:
        fix = "Pass a number of batches, or None for all of the data"
        check_integer(owner, fix, at_least=1, validation_steps=steps)
    fix = "Pass a share such as 0.2, or validation_data"
    check_number(owner, fix, at_least=0, below=1, validation_split=split)
    if isinstance(data, FitData):
        return source, data
    if isinstance(data, Iterator):
        rule = "validation_data is iterated several times, which a generator cannot be"
        fix = "Pass arrays, a dataset, or list(generator)"
        raise TypeError(complaint(owner, rule, fix, validation_data=data))
    if data is None and split:
        source, data = _split(owner, source, float(split))
    if data is None:
        return source, None
    x, y, sample_weight = unpacked(owner, data)
    if source[1] is not None and y is None and is_rows(x):
        rule = "validation_data must hold targets, as the training data does"
        raise ValueError(complaint(owner, rule, "Pass (x, y)", validation_data=type(data)))
    validation = FitData(
        x=x,
        y=y,
        sample_weight=sample_weight,
        batch_size=validation_batch_size or batch_size,
        steps_per_epoch=steps,
    )
    check_data(owner, validation, model, "validation_data")
    if not has_own_fit(model) and validation.is_endless:
        rule = "an evaluation of endless data must have a length"
        raise ValueError(complaint(owner, rule, "Pass validation_steps", validation_steps=None))
    return source, validation


def validation_batches(owner: str, data: FitData | None, adapter: Any) -> list[Batch] | None:
    """Return the batches of validation data; of arrays as large as those of the training.

    Args:
        owner: The public name the user called, for error messages.
        data: What `with_validation` returned.
        adapter: Keras' adapter of the training data, or None.
    """
    if data is None:
        return None
    if data.batch_size is None and isinstance(getattr(adapter, "batch_size", None), int):
        data = replace(data, batch_size=adapter.batch_size)
    batches = list(itertools.islice(data.batches(), data.steps_per_epoch))
    if not batches:
        rule, fix = "validation_data must hold at least one batch", "Pass data, or None"
        raise ValueError(complaint(owner, rule, fix, batches=0))
    return batches


def _split(owner: str, source: tuple[Any, Any, Any], share: float) -> tuple[Any, Any]:
    if not is_arrays(source):
        rule = "validation_split takes the last part of arrays"
        fix = "Pass validation_data"
        received = {"validation_split": share, "x": type(source[0])}
        raise ValueError(complaint(owner, rule, fix, **received))
    return split_arrays(source, share)
