"""The statistics of BatchNorm layers, taken anew from data."""

import contextlib
from collections.abc import Iterable
from typing import Any

import keras

from keras_lr._keras.backend import ON_TORCH
from keras_lr._keras.data import Batch, batch_length
from keras_lr._keras.models import layers_of, training_forward
from keras_lr._keras.random import RandomSnapshot
from keras_lr._keras.variables import VariableSnapshot, read_variable, write_variable


def batch_norm_layers(model: Any) -> list[Any]:
    """Return the BatchNorm layers of a model, at any depth, that are not frozen."""
    layers = layers_of(model)
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
    statistics = [each for layer in layers for each in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in layers]
    found = list(map(read_variable, statistics))
    totals: list[Any] = [0.0] * len(statistics)
    seen = 0
    for layer in layers:
        layer.momentum = 0.0  # then they are those of the last batch
    try:
        forward = training_forward(model)
        for batch in batches:
            forward(keras.tree.map_structure(keras.ops.convert_to_tensor, batch[0]))
            size = batch_length(batch)
            values = [read_variable(each).astype("float64") for each in statistics]
            totals = [total + size * value for total, value in zip(totals, values, strict=True)]
            seen += size
        found = [total / seen for total in totals] if seen else found
    finally:  # also where the data raises
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for variable, value in zip(statistics, found, strict=True):
            write_variable(variable, value)


def recompute_batch_norm_alone(model: Any, batches: Iterable[Batch]) -> None:
    """Do so, and leave everything else as it was: seeds, other layers' states, random generators.

    Args:
        model: A built model, after its last step.
        batches: Batches to run through it.
    """
    statistics = {id(each) for layer in batch_norm_layers(model) for each in layer.variables}
    others = [each for each in model.non_trainable_variables if id(each) not in statistics]
    generators, states = RandomSnapshot(), VariableSnapshot(others, read_variable)
    try:
        with _without_gradients():
            recompute_batch_norm(model, batches)
    finally:
        states.restore(write_variable)
        generators.restore()


def _without_gradients() -> contextlib.AbstractContextManager[Any]:
    if not ON_TORCH:
        return contextlib.nullcontext()
    import torch

    context: contextlib.AbstractContextManager[Any] = torch.no_grad()
    return context
