"""The training data of the running `fit`, for one more pass through them."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import keras
from keras.src.trainers import data_adapters

from keras_lr._keras.data import Batch
from keras_lr._keras.running_fit import running_fit


def fit_batches(model: Any) -> Callable[[], Iterator[Batch]] | None:
    """Return what yields an epoch of the running fit's batches.

    None for a generator, which can be read only once, and for a loop of one's own.

    Args:
        model: The model in `fit`.
    """
    run = running_fit(model)
    if run is None:
        return None
    adapter = run.data_adapter
    if isinstance(adapter, data_adapters.generator_data_adapter.GeneratorDataAdapter):
        return None
    limit = run.steps_per_epoch or adapter.num_batches

    def batches() -> Iterator[Batch]:
        for batch in islice(_all_batches(adapter, limit), limit):
            yield keras.utils.unpack_x_y_sample_weight(batch)

    return batches


def _all_batches(adapter: Any, limit: int | None) -> Iterator[Any]:
    dataset = getattr(adapter, "py_dataset", None)
    if dataset is not None and limit is not None:
        # Keras' iterator would start workers, and would count this pass as one of its epochs.
        length = dataset.num_batches or limit
        return (dataset[index % length] for index in range(limit))
    return iter(adapter.get_numpy_iterator())
