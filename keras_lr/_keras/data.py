"""The batches that `fit` would make of whatever it takes as data, made by Keras' own adapters."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras.src.trainers import data_adapters
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils

from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW

# What `fit` hands to a training step: x, (x,), (x, y) or (x, y, sample_weight), of tensors, on JAX
# mostly of arrays.
Batch = Any

if ON_TENSORFLOW:
    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class FitData:
    """The arguments of `Model.fit` that say what a step is given, and in which order.

    Attributes:
        x: Arrays, a structure of arrays, `tf.data`, `PyDataset`, `DataLoader`, generator.
        y: Targets.
        sample_weight: Weights of the samples.
        class_weight: Weights of the classes; Keras folds them into the sample weights.
        batch_size: Samples per batch of arrays; None for Keras' default.
        steps_per_epoch: Batches per epoch; None for all there are.
        shuffle: True, False or `"batch"`.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: dict[int, float] | None = None
    batch_size: int | None = None
    steps_per_epoch: int | None = None
    shuffle: bool | str = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name; without a batch size for data that comes in batches."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return given if is_rows(self.x) else given | {"batch_size": None}

    @cached_property
    def adapter(self) -> Any:
        """Keras' adapter of the data, which does not shuffle."""
        return data_adapters.get_data_adapter(**self.arguments | {"shuffle": False})

    @property
    def is_endless(self) -> bool:
        """Whether one pass over the data never ends."""
        if self.steps_per_epoch is not None:
            return False
        if isinstance(self.adapter, data_adapters.PyDatasetAdapter):
            return self.adapter.num_batches is None
        cardinality = getattr(self.x, "cardinality", None)
        return callable(cardinality) and int(cardinality()) == -1  # `tf.data.INFINITE_CARDINALITY`

    @property
    def rows(self) -> "Rows | None":
        """The samples, to pick any of them; None for data that comes in batches."""
        is_array_like = isinstance(self.adapter, data_adapters.ArrayDataAdapter)
        return Rows(self.adapter) if is_array_like else None

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one pass, unshuffled, as `fit` hands them to a step."""
        adapter, rows = self.adapter, self.rows
        if rows is not None:
            yield from rows.in_order()
        elif isinstance(adapter, data_adapters.PyDatasetAdapter):
            # Without workers, which read ahead in other threads.
            endless = adapter.num_batches is None
            found = adapter._infinite_generator() if endless else adapter._finite_generator()
            yield from _converted(found)
        elif ON_JAX:
            yield from adapter.get_jax_iterator()
        elif not ON_TENSORFLOW:
            yield from adapter.get_torch_dataloader()
        elif isinstance(adapter, data_adapters.TFDatasetAdapter):
            yield from map(_without_optionals, adapter.get_tf_dataset())
        else:
            # A `tf.data` pipeline around Python code would read ahead as well.
            yield from _converted(adapter.get_numpy_iterator())


class Rows:
    """Samples of arrays of any kind that Keras takes, picked by their numbers.

    Args:
        adapter: Keras' adapter of the arrays.
    """

    def __init__(self, adapter: Any) -> None:
        inputs = adapter._inputs
        if ON_TENSORFLOW:
            inputs = keras.tree.lists_to_tuples(inputs)
        kind = None if ON_TENSORFLOW else keras.backend.backend()
        self._arrays = array_slicing.convert_to_sliceable(inputs, target_backend=kind)
        self.count: int = adapter._num_samples
        self.batch_size: int = max(1, min(adapter.batch_size, self.count))

    def pick(self, places: np.ndarray) -> Batch:
        """Return the batch of the samples at the given places."""

        def picked(array: Any) -> Any:
            return None if array is None else _as_in_fit(array, places)

        return keras.tree.map_structure(picked, self._arrays)

    @property
    def has_weights(self) -> bool:
        """Whether every batch holds weights of its samples."""
        parts = self._arrays
        return isinstance(parts, tuple) and len(parts) == 3 and parts[2] is not None

    def targets(self) -> Any:
        """Return the targets of all samples, of several outputs the first; None if there are none.

        None too where a target has more than two axes: a copy could be large.
        """
        parts = self._arrays
        if not isinstance(parts, tuple) or len(parts) < 2:
            return None
        leaf = next((leaf for leaf in keras.tree.flatten(parts[1]) if leaf is not None), None)
        if leaf is None or len(getattr(leaf.array, "shape", (0, 0, 0))) > 2:
            return None
        return _as_in_fit(leaf, np.arange(self.count))

    def in_order(self) -> Iterator[Batch]:
        """Yield the batches of one pass, unshuffled."""
        for start in range(0, self.count, self.batch_size):
            yield self.pick(np.arange(start, min(start + self.batch_size, self.count)))


def split_arrays(source: Any, share: float) -> tuple[Any, Any]:
    """Return a structure of arrays without its last part, and that part: `validation_split`."""
    parts: tuple[Any, Any] = array_slicing.train_validation_split(source, validation_split=share)
    return parts


def numpy_batches(
    x: Any, y: Any = None, sample_weight: Any = None, *, batch_size: int | None = None
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield one pass over `fit`'s data, unshuffled, as NumPy batches (x, y, sample_weight)."""
    data = FitData(x=x, y=y, sample_weight=sample_weight, batch_size=batch_size)
    for batch in data.adapter.get_numpy_iterator():
        yield keras.utils.unpack_x_y_sample_weight(batch)


def is_arrays(x: Any) -> bool:
    """Return whether `x` is an array or a structure of arrays: any sample can be picked."""
    return bool(data_adapters.array_data_adapter.can_convert_arrays(x))


def is_rows(x: Any) -> bool:
    """Return whether `x` has no batches of its own: arrays, or lists of numbers and strings."""
    plain = str | bytes | int | float
    return all(isinstance(leaf, plain) or is_arrays(leaf) for leaf in keras.tree.flatten(x))


def is_one_shot(adapter: Any) -> bool:
    """Return whether data can be read only once: Keras' adapter of a generator."""
    return isinstance(adapter, data_adapters.GeneratorDataAdapter)


def batch_length(batch: Batch) -> int:
    """Return the number of samples in a batch."""
    return int(next(leaf for leaf in keras.tree.flatten(batch) if leaf is not None).shape[0])


def with_equal_inputs(batch: Batch) -> Batch | None:
    """Return a batch of which every sample has the inputs of the first, for the targets it has.

    None of a single sample, of inputs alone, which are targets too, and of sparse or ragged ones.
    """
    if not isinstance(batch, tuple) or len(batch) < 2 or batch[1] is None:
        return None
    x, *others = batch
    samples = batch_length(batch)
    if samples < 2:
        return None
    first = np.zeros(samples, dtype=int)
    leaves = keras.tree.flatten(x)
    if not all(leaf is None or _is_dense(leaf) for leaf in leaves):
        return None
    equal = [_taken(leaf, first) for leaf in leaves]
    return (keras.tree.pack_sequence_as(x, equal), *others)


def _taken(leaf: Any, places: np.ndarray) -> Any:
    if leaf is None or isinstance(leaf, np.ndarray):
        return leaf if leaf is None else leaf[places]
    return keras.ops.take(leaf, places, axis=0)


def _is_dense(leaf: Any) -> bool:
    if ON_TENSORFLOW and not isinstance(leaf, np.ndarray):
        return isinstance(leaf, tf.Tensor)
    return isinstance(leaf, np.ndarray) or keras.ops.is_tensor(leaf)


def _as_in_fit(array: Any, places: np.ndarray) -> Any:
    """Return rows of an array as Keras' adapter of arrays hands them to a step."""
    rows = array[places]
    if ON_JAX:
        return array.convert_to_jax_compatible(rows)
    if not ON_TENSORFLOW:
        return keras.ops.convert_to_tensor(array.convert_to_torch_compatible(rows))
    if isinstance(rows, tf.SparseTensor | tf.RaggedTensor):
        return rows
    rows = array.convert_to_tf_dataset_compatible(rows)
    return rows.sparse if hasattr(rows, "ragged_values") else tf.convert_to_tensor(rows)


def _converted(batches: Iterator[Any]) -> Iterator[Batch]:
    """Yield batches of any arrays as Keras' adapters convert them for a step."""
    if ON_JAX:
        yield from data_adapter_utils.get_jax_iterator(batches)
    elif not ON_TENSORFLOW:
        yield from data_adapter_utils.get_torch_dataloader(batches)
    else:
        for batch in data_adapter_utils.get_numpy_iterator(batches):
            yield keras.tree.map_structure(_as_tensor, keras.tree.lists_to_tuples(batch))


def _as_tensor(value: Any) -> Any:
    is_tensor = value is None or isinstance(value, tf.SparseTensor | tf.RaggedTensor)
    return value if is_tensor else tf.convert_to_tensor(value)


def _without_optionals(batch: Batch) -> Batch:
    """Return a batch of `tf.data` with None where the data has it."""
    return keras.tree.map_structure(
        lambda leaf: None if isinstance(leaf, tf.experimental.Optional) else leaf, batch
    )
