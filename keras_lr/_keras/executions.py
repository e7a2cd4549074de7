"""The data of one execution of a train function, which makes one or several steps.

`fit` hands an execution a list of batches on torch, and elsewhere an iterator, from which the
function takes as many as it needs. Keras 3.16 stacks the batches of an execution on JAX: there the
iterator gives all of them at once, as arrays with one more axis, or where they differ in shape as a
list of a class of its own.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import keras
from keras.src.trainers.data_adapters import data_adapter_utils

from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW, ON_TORCH

# What the end of data of unknown length raises.
END_OF_DATA: tuple[type[BaseException], ...] = (StopIteration,)
if ON_TENSORFLOW:
    import tensorflow as tf

    END_OF_DATA += (tf.errors.OutOfRangeError,)

_BatchList: Any = getattr(data_adapter_utils, "PartialBatchList", None)


def execution_of(model: Any, batches: Sequence[Any]) -> Any:
    """Return batches in the form that a model's train and test functions take.

    Args:
        model: A compiled model.
        batches: The batches, at most `steps_per_execution` of them.
    """
    if ON_TORCH:
        return list(batches)
    if _stacks(model):
        return iter([_BatchList(batches)])
    return iter(batches)


def batches_of_execution(model: Any, execution: Any) -> Iterator[Any]:
    """Return the batches that `fit` has handed to a train function, at least one.

    Args:
        model: A compiled model.
        execution: What the function has been handed.

    Raises:
        StopIteration: If the data has ended; another exception on TensorFlow.
    """
    several = model.steps_per_execution
    taken = iter(execution)
    first = next(taken)
    if not _stacks(model):
        return islice(chain([first], taken), several)
    return iter(first if isinstance(first, _BatchList) else _unstacked(first))


def execution_with(model: Any, execution: Any, columns: Sequence[Any]) -> tuple[Any, int]:
    """Return an execution on JAX of which each batch has values beside it, and its length.

    Args:
        model: A compiled model.
        execution: What `fit` has handed to its train function.
        columns: Arrays, of which the first axis are the steps; as many as an execution can have.

    Raises:
        StopIteration: If the data has ended.
    """
    if _stacks(model):
        first = next(execution)
        if not isinstance(first, _BatchList):
            steps = len(next(leaf for leaf in keras.tree.flatten(first) if leaf is not None))
            return iter([(first, tuple(column[:steps] for column in columns))]), steps
        batches = list(first)
    else:
        batches = [next(execution)]
        batches += islice(execution, model.steps_per_execution - 1)
    pairs = list(zip(batches, zip(*columns, strict=True), strict=False))
    return execution_of(model, pairs), len(pairs)


def _stacks(model: Any) -> bool:
    """Return whether the batches of an execution come together."""
    return ON_JAX and _BatchList is not None and model.steps_per_execution > 1


def _unstacked(batches: Any) -> list[Any]:
    """Return the batches that arrays with one axis more hold."""
    leaves = keras.tree.flatten(batches)
    parts = [None if leaf is None else list(leaf) for leaf in leaves]
    count = next(len(part) for part in parts if part is not None)
    return [
        keras.tree.pack_sequence_as(
            batches, [None if part is None else part[index] for part in parts]
        )
        for index in range(count)
    ]
