"""The statistics of BatchNorm layers, taken anew from data."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_lr._keras.evaluation import Batch, batch_length


def batch_norm_layers(model: Any) -> list[Any]:
    """Return the BatchNorm layers of a model, at any depth, that are not frozen."""
    layers = model._flatten_layers()
    kind = keras.layers.BatchNormalization
    return [layer for layer in layers if isinstance(layer, kind) and layer.trainable]


def recompute_batch_norm(model: Any, batches: Iterable[Batch]) -> None:
    """Make the moving statistics the mean of the statistics of given batches.

    A batch counts by its number of samples. Weights that have been averaged or swapped in never
    saw the data at which their statistics were gathered.

    Args:
        model: A built model.
        batches: Batches to run through it in training mode.
    """
    layers = batch_norm_layers(model)
    momenta = [layer.momentum for layer in layers]
    seen = 0
    try:
        for batch in batches:
            size = batch_length(batch)
            for layer in layers:
                layer.momentum = seen / (seen + size)
            model(keras.tree.map_structure(keras.ops.convert_to_tensor, batch[0]), training=True)
            seen += size
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
