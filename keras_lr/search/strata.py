"""Drawing samples that represent the data by their targets, the rare ones too. Pure NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ENOUGH = 8  # of a class, to say something about it
_PER_CLASS = 8  # samples drawn for each class there is; with fewer, values are only kept in order
_SUBSETS = 200


@dataclass(frozen=True)
class Draw:
    """Samples drawn, in random order.

    Attributes:
        places: int64[n], which ones.
        weights: float64[n], with which they stand for all samples: below 1 where more of a class
            were drawn than are its share.
    """

    places: NDArray[np.int64]
    weights: NDArray[np.float64]


def label_of(targets: Any) -> NDArray[Any] | None:
    """Return one number per sample that tells its class or its target; None if there is none.

    Args:
        targets: An array of targets: classes, one-hot classes, or one number per sample.
    """
    array = np.asarray(targets)
    if array.dtype.kind not in "biuf" or array.ndim == 0 or not len(array):
        return None
    array = array.reshape(len(array), -1)
    if array.shape[1] == 1:
        return array[:, 0]
    one_hot = ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()
    return array.argmax(axis=1) if one_hot else None


def draw(labels: NDArray[Any], count: int, seed: int, *, weighted: bool) -> Draw:
    """Draw samples in proportion to their classes, or at equal distances of their sorted targets.

    Of a class that is too rare for that more are drawn than its share: at least one; where the
    samples can be weighted for it, 8.

    Args:
        labels: float64[N] or int[N], class or target of every sample.
        count: How many to draw, at most N.
        seed: Of the choice.
        weighted: Whether the loss will be weighted by `Draw.weights`.

    Example:
        >>> labels = np.array([0] * 998 + [1] * 2)
        >>> drawn = draw(labels, 100, seed=0, weighted=True)
        >>> rare = labels[drawn.places] == 1
        >>> int(rare.sum()), round(float(drawn.weights[rare].sum()), 6)
        (2, 0.2)
    """
    generator = np.random.default_rng(seed)
    count = min(count, len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    ties = generator.permutation(len(labels))
    order = ties[np.argsort(labels[ties], kind="stable")]
    if len(classes) * _PER_CLASS > count:
        places = order[_systematic(len(labels), count, generator)]
        return Draw(generator.permutation(places), np.ones(count))
    least = _ENOUGH if weighted else 1
    drawn = _quotas(sizes, count, least)
    starts = np.cumsum(sizes) - sizes
    parts = [order[first : first + number] for first, number in zip(starts, drawn, strict=True)]
    shares = (sizes / len(labels)) / (drawn / count) if weighted else np.ones(len(classes))
    mixed = generator.permutation(count)
    return Draw(np.concatenate(parts)[mixed], np.repeat(shares, drawn)[mixed])


def choose_batches(labels: Sequence[NDArray[Any] | None], count: int, seed: int) -> list[int]:
    """Choose whole batches whose targets, taken together, are most like those of all of them.

    Args:
        labels: Class or target of every sample of each batch; None where it is not known.
        count: How many to choose.
        seed: Of the choice.

    Returns:
        The batches' numbers, increasing. The first ones, where the targets are not known.
    """
    known = [each for each in labels if each is not None]
    if len(known) < len(labels) or len(labels) <= count:
        return list(range(min(count, len(labels))))
    every = np.concatenate(known)
    values = np.unique(every)
    if len(values) > _ENOUGH * count:  # of numbers, their tenths
        values = np.unique(np.quantile(every, np.linspace(0.05, 0.95, 10)))
    bins = np.array([np.bincount(_nearest(values, each), minlength=len(values)) for each in known])
    wanted = bins.sum(axis=0) / len(labels) * count
    generator = np.random.default_rng(seed)
    subsets = [
        np.arange(count),
        *(generator.permutation(len(labels))[:count] for _ in range(_SUBSETS)),
    ]

    def mismatch(subset: NDArray[np.int64]) -> float:
        found = bins[subset].sum(axis=0)
        return float((~found.astype(bool)).sum()) * len(every) + float(
            ((found - wanted) ** 2 / wanted).sum()
        )

    return sorted(min(subsets, key=mismatch).tolist())


def _nearest(values: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    nearest: NDArray[np.int64] = np.searchsorted(values, labels).clip(0, len(values) - 1)
    return nearest


def _systematic(total: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return `count` places at equal distances out of `total`, from a random start."""
    distances = np.arange(count) + generator.uniform()
    places: NDArray[np.int64] = (distances * total / count).astype(np.int64)
    return places


def _quotas(sizes: NDArray[np.int64], count: int, least: int) -> NDArray[np.int64]:
    """Return how many to draw of each class: its share, but `least` where it has so many."""
    quotas: NDArray[np.int64] = np.maximum(
        np.floor(sizes * count / sizes.sum()).astype(np.int64), np.minimum(sizes, least)
    )
    while quotas.sum() != count:
        deficits = sizes * count / sizes.sum() - quotas
        if quotas.sum() < count:
            quotas[np.argmax(np.where(quotas < sizes, deficits, -np.inf))] += 1
        else:
            quotas[np.argmin(np.where(quotas > np.minimum(sizes, least), deficits, np.inf))] -= 1
    return quotas
