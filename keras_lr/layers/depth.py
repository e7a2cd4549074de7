"""Factors on the learning rate that fall with the depth of the layers, read from the model."""

from __future__ import annotations

import itertools
from typing import Any

import keras

from keras_lr.errors import check_integer, check_number, complaint
from keras_lr.layers.levels import levels_of


def layer_decay(model: keras.Model, decay: float = 0.8) -> dict[Any, float]:
    r"""Return factors for `by_layer` that fall by the same ratio from each level to the one below.

    Of $n$ levels, counted from 0 at the inputs, level $i$ gets the factor $decay^{n - 1 - i}$. The
    last one, which is the head, keeps the optimizer's learning rate.

    A level is a block: one of several layers or models of a class in a row, such as those of a
    transformer, or layers with the same beginning up to a number, `conv2_block1_...`. Outside of
    blocks, each layer with a kernel is a level, together with a normalisation behind it. All
    embeddings, and the weights of a model itself such as a class token, are the lowest level.

    Args:
        model: A model that has its weights.
        decay: The ratio, above 0 and at most 1.

    Returns:
        A dict, with the layers of each level as keys, from the inputs to the outputs. It is a plain
        dict: look at it, and change what is meant otherwise.

    Raises:
        TypeError: If `model` is no model, or `decay` no number.
        ValueError: If `decay` is out of its range, or the model has no weights yet.

    Example:
        >>> import keras
        >>> from keras_lr import layer_decay
        >>> layers = [keras.layers.Embedding(9, 4), *map(keras.layers.Dense, (4, 4, 1))]
        >>> model = keras.Sequential([keras.Input((None,)), *layers])
        >>> list(layer_decay(model, 0.5).values())
        [0.125, 0.25, 0.5, 1.0]

    Reference:
        Clark et al., arXiv:2003.10555, Section 3.1; Bao et al., arXiv:2106.08254.
    """
    fix = "Pass a number above 0 and at most 1; 0.65 to 0.9 are usual for transformers"
    check_number("layer_decay", fix, above=0.0, at_most=1.0, decay=decay)
    levels = levels_of("layer_decay", model)
    top = len(levels) - 1
    return {key: float(decay) ** (top - level) for level, key in enumerate(levels)}


def geometric(
    model: keras.Model, lowest: float = 1 / 100, *, groups: int | None = None
) -> dict[Any, float]:
    r"""Return factors for `by_layer` that rise evenly, on a logarithmic scale, to 1 at the head.

    Of $n$ groups, group $i$ gets the factor $lowest^{1 - i / (n - 1)}$: fast.ai's
    `slice(lr * lowest, lr)`.

    Args:
        model: A model that has its weights.
        lowest: The factor of the first group, above 0 and at most 1.
        groups: How many groups to make of the model's levels, see `layer_decay`: of about as many
            levels each. None for one of each level.

    Returns:
        A dict like that of `layer_decay`.

    Raises:
        TypeError: If `model` is no model, or an argument no number.
        ValueError: If an argument is out of its range, there are fewer levels than groups, or the
            model has no weights yet.

    Example:
        >>> import keras
        >>> from keras_lr import geometric
        >>> layers = map(keras.layers.Dense, (4, 4, 1))
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> [round(factor, 6) for factor in geometric(model).values()]
        [0.01, 0.1, 1.0]

    Reference:
        Howard and Gugger, arXiv:2002.04688, Section 4.6.
    """
    fix = "Pass a number above 0 and at most 1; fast.ai's default is 1/100"
    check_number("geometric", fix, above=0.0, at_most=1.0, lowest=lowest)
    levels = levels_of("geometric", model)
    if groups is not None:
        fix = "Pass a number of groups, or leave it out for one of each level"
        check_integer("geometric", fix, at_least=1, groups=groups)
        if groups > len(levels):
            rule = f"there can be no more groups than levels, which are {len(levels)}"
            raise ValueError(complaint("geometric", rule, "Pass fewer", groups=groups))
        levels = _merged(levels, groups)
    top = max(1, len(levels) - 1)
    below = [(len(levels) - 1 - level) / top for level in range(len(levels))]
    return {key: float(lowest) ** each for key, each in zip(levels, below, strict=True)}


def _merged(levels: list[Any], groups: int) -> list[Any]:
    """Return levels joined to groups of about as many each."""
    bounds = [round(len(levels) * group / groups) for group in range(groups + 1)]
    joined = []
    for first, end in itertools.pairwise(bounds):
        parts = [each if isinstance(each, tuple) else (each,) for each in levels[first:end]]
        keys = tuple(key for part in parts for key in part)
        joined.append(keys if len(keys) > 1 else keys[0])
    return joined
