"""Whole batches that represent the data: what a probe is made of."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_lr._keras.data import Batch, Rows
from keras_lr._keras.variables import as_numpy
from keras_lr.search.strata import choose_batches, draw, label_of


def drawn_batches(rows: Rows, count: int, seed: int) -> list[Batch]:
    """Draw batches from samples that `fit` shuffles, by their targets where these are known.

    Where the data has sample weights, or class weights, more samples of a rare class are drawn than
    are its share, and weigh less for it.

    Args:
        rows: The samples.
        count: How many batches, all of them full.
        seed: Of the choice.
    """
    size = rows.batch_size
    labels = _labels(rows.targets())
    if labels is None:
        places = np.random.default_rng(seed).permutation(rows.count)[: count * size]
        return [rows.pick(places[first : first + size]) for first in range(0, len(places), size)]
    drawn = draw(labels, count * size, seed, weighted=rows.has_weights)
    batches = []
    for first in range(0, len(drawn.places), size):
        batch = rows.pick(drawn.places[first : first + size])
        batches.append(_weighted(batch, drawn.weights[first : first + size]))
    return batches


def batches_in_order(rows: Rows, count: int, seed: int) -> list[Batch]:
    """Choose batches from samples that `fit` takes in their order.

    Args:
        rows: The samples.
        count: How many batches, all of them full.
        seed: Of the choice.
    """
    size = rows.batch_size
    starts = range(0, rows.count - size + 1, size)
    labels = _labels(rows.targets())
    parts = [None if labels is None else labels[first : first + size] for first in starts]
    chosen = choose_batches(parts, count, seed)
    return [rows.pick(np.arange(starts[index], starts[index] + size)) for index in chosen]


def chosen_batches(batches: Sequence[Batch], count: int, seed: int) -> list[Batch]:
    """Choose some of the batches that the user has made."""
    labels = [_labels(_targets(batch)) for batch in batches]
    return [batches[index] for index in choose_batches(labels, count, seed)]


def _targets(batch: Batch) -> Any:
    _, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return next((leaf for leaf in keras.tree.flatten(y) if leaf is not None), None)


def _labels(targets: Any) -> NDArray[Any] | None:
    """Return a label per sample; of several outputs the first is taken."""
    if targets is None or not hasattr(targets, "shape") or len(targets.shape) > 2:
        return None
    return label_of(as_numpy(targets))


def _weighted(batch: Batch, weights: NDArray[np.float64]) -> Batch:
    """Return a batch whose sample weights, if it has any, are multiplied."""
    if (weights == 1.0).all():
        return batch
    x, y, sample_weight = batch

    def multiplied(leaf: Any) -> Any:
        shape = (len(weights),) + (1,) * (len(leaf.shape) - 1)
        factor = keras.ops.cast(keras.ops.convert_to_tensor(weights.reshape(shape)), leaf.dtype)
        return leaf * factor

    return x, y, keras.tree.map_structure(multiplied, sample_weight)
