"""Prior knowledge about optimizers, by families whose learning rates are on the same scale."""

from dataclasses import dataclass
from typing import Any

from keras_lr._keras.optimizers import default_learning_rate, leaf_optimizers
from keras_lr._keras.versions import optimizer_class


@dataclass(frozen=True)
class Family:
    """Optimizers whose learning rates mean the same.

    Attributes:
        learning_rate: The usual one, from which a search starts.
        beta: The best learning rate of a run falls with its length T as `T ** -beta`.
    """

    learning_rate: float
    beta: float


# A step of a fixed size, whatever the gradient, leaves noise that only a smaller learning rate
# removes: the longer the run, the more that pays, up to 1 / sqrt(T) in theory. A step in proportion
# to the gradient grows smaller by itself.
_FIXED_STEP, _SHRINKING_STEP = 0.35, 0.1

# Keras' defaults, but for Adagrad and Adadelta, where they are far below what their papers use.
_FAMILIES = {
    "SGD": Family(0.01, _SHRINKING_STEP),
    "Ftrl": Family(0.001, _SHRINKING_STEP),
    "Adagrad": Family(0.01, _SHRINKING_STEP),
    "Adadelta": Family(1.0, _SHRINKING_STEP),
    "ScheduleFreeAdamW": Family(0.0025, _SHRINKING_STEP),
}


def family_of(optimizer: Any) -> Family:
    """Return the family of an optimizer, through every wrapper and subclass.

    Of several optimizers the first one decides. A class that is not
    known counts as adaptive, from its own default learning rate or else 0.001.

    Args:
        optimizer: Any Keras optimizer.
    """
    leaf = leaf_optimizers(optimizer)[0]
    known = {optimizer_class(name): family for name, family in _FAMILIES.items()}
    for base in type(leaf).__mro__:
        if base in known:
            return known[base]
    return Family(default_learning_rate(leaf) or 0.001, _FIXED_STEP)
