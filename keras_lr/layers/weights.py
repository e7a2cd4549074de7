"""The weights of a model that can be put into groups, and kinds of them."""

from __future__ import annotations

import re
from typing import Any

import keras

from keras_lr._keras.layer_tree import Weight, own_weights, weights_of
from keras_lr.errors import complaint

_NORMALIZATION = re.compile(r"Norm(alization)?(\d[dD])?$")


def weights_to_divide(owner: str, model: Any) -> list[Weight]:
    """Return the weights of a model that can be trained.

    Args:
        owner: The public name the user called.
        model: The model.

    Raises:
        TypeError: If it is no model.
        ValueError: If it has no weights yet.
    """
    if not isinstance(model, keras.Model):
        rule, fix = "model must be a keras.Model", "Pass the model that is to be trained"
        raise TypeError(complaint(owner, rule, fix, model=model))
    weights = weights_of(model) if model.built else []
    if not weights:
        rule = "the model must have its weights, so that their layers are known"
        fix = "Build it first: begin with keras.Input, or call it on a batch"
        raise ValueError(complaint(owner, rule, fix, model=model.name))
    return weights


def is_kernel(variable: Any, layer: Any) -> bool:
    """Return whether a weight is a kernel or an embedding: no bias, and not of a normalisation.

    Args:
        variable: The weight.
        layer: Its owner; None for the model itself.
    """
    is_small = len(variable.shape) <= 1 or "bias" in variable.name
    return not (is_small or (layer is not None and _NORMALIZATION.search(type(layer).__name__)))


def has_kernel(layer: Any) -> bool:
    """Return whether a layer has a kernel or an embedding itself."""
    return any(is_kernel(variable, layer) for variable in own_weights(layer))
