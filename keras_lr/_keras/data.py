"""Whatever `fit` takes as data, as batches of NumPy arrays."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras.src.trainers import data_adapters

from keras_lr._checks import complaint
from keras_lr._keras.evaluation import Batch, batch_length


def numpy_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    class_weight: dict[int, float] | None = None,
) -> Iterator[Batch]:
    """Yield one epoch of `fit`'s data, unshuffled, as NumPy batches (x, y, sample_weight).

    Args:
        x: As `Model.fit` takes it: arrays, a structure of arrays, `tf.data`, `PyDataset`,
            `DataLoader`, generator.
        y: As `Model.fit` takes it.
        sample_weight: As `Model.fit` takes it.
        batch_size: Samples per batch of arrays; None for Keras' 32.
        class_weight: As `Model.fit` takes it; folded into the sample weights, as Keras does.
    """
    adapter = data_adapters.get_data_adapter(
        x=x,
        y=y,
        sample_weight=sample_weight,
        batch_size=batch_size,
        shuffle=False,
        class_weight=class_weight,
    )
    for batch in adapter.get_numpy_iterator():
        yield keras.utils.unpack_x_y_sample_weight(batch)


def is_arrays(x: Any) -> bool:
    """Return whether `x` is an array or a structure of arrays: any sample can be picked."""
    return bool(data_adapters.array_data_adapter.can_convert_arrays(x))


def sample_count(owner: str, x: Any) -> int:
    """Return the number of samples in an array or a structure of arrays.

    Raises:
        TypeError: If they cannot be picked one by one, as from a sparse matrix.
    """
    first = keras.tree.flatten(x)[0]
    try:
        return len(first)
    except TypeError:
        rule, fix = "samples must be picked at random from x", "Pass dense arrays or a dataset"
        raise TypeError(complaint(owner, rule, fix, x=type(first))) from None


def pick_samples(
    owner: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    size: int,
    seed: int,
    class_weight: dict[int, float] | None = None,
) -> Batch:
    """Return `size` samples as one batch: from arrays at random, else the first ones.

    The global random generators are not touched.

    Raises:
        TypeError: If samples cannot be picked, in the name of `owner`.
    """
    if is_arrays((x, y, sample_weight)):
        count = sample_count(owner, x)
        chosen = np.sort(np.random.default_rng(seed).permutation(count)[:size])

        def pick(leaf: Any) -> Any:
            return None if leaf is None else np.asarray(leaf)[chosen]

        x, y, sample_weight = keras.tree.map_structure(pick, (x, y, sample_weight))
    batches: list[Batch] = []
    for batch in numpy_batches(x, y, sample_weight, batch_size=size, class_weight=class_weight):
        batches.append(batch)
        if sum(batch_length(each) for each in batches) >= size:
            break

    def join(*parts: Any) -> Any:
        return None if parts[0] is None else np.concatenate(parts)[:size]

    joined: Batch = keras.tree.map_structure(join, *batches)
    return joined
