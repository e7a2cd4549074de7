"""Keras' optimizers with the `lr` and `decay` of Keras 2, and the way there from old code."""

from keras_lr.optimizers.by_layer import ByLayer as ByLayer  # registered, for saved models
from keras_lr.optimizers.decayed import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    RMSprop,
)
from keras_lr.optimizers.migration import Migration, migrate

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Migration",
    "Nadam",
    "RMSprop",
    "migrate",
]


def __dir__() -> list[str]:
    return sorted(__all__)
