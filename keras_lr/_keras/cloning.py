"""A copy of a model's architecture, made of its configuration but not compiled."""

from typing import Any

import keras


def clone_uncompiled(model: Any) -> Any:
    """Return what `keras.models.clone_model` does, for a model with a graph, but not compiled.

    Keras also compiles the copy, for which a loss, metric or optimizer of a user's own would have
    to be registered.

    Args:
        model: A functional or sequential model.
    """
    attributes = vars(model)
    compiled = attributes["compiled"]
    attributes["compiled"] = False
    try:
        return keras.models.clone_model(model)
    finally:
        attributes["compiled"] = compiled
