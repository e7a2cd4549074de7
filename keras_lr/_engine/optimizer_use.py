"""Checks that a model is trained, and by the optimizer whose learning rate is searched."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_lr._keras.models import layers_of
from keras_lr._keras.optimizers import iterations_of, leaf_optimizers, rate_of
from keras_lr.errors import complaint

Read = Callable[[Any], np.ndarray]

PATIENCE = 8
"""Steps without an update that tell: some update after several batches, in a `train_step`."""

_LOOKED_AT = 10_000  # numbers in the weights that tell whether a model has moved


def check_trainable(model: Any, owner: str) -> None:
    """Raise if a model that is built has no weights to train.

    Args:
        model: A compiled model, built or not.
        owner: The public name the user called.
    """
    if model.trainable_variables or not all(layer.built for layer in layers_of(model)):
        return
    rule = "the model must have weights that train, but all of them are frozen"
    fix = "Set trainable=True on the layers to train, and compile again; nothing was changed"
    raise ValueError(complaint(owner, rule, fix, model=model.name, trainable_weights=0))


def small_weights(model: Any) -> list[Any]:
    """Return the smallest weights of a model, that quickly tell whether a step has moved it."""
    weights = sorted(model.trainable_variables, key=lambda each: math.prod(each.shape))
    sizes = np.cumsum([math.prod(each.shape) for each in weights])
    return weights[: int((sizes <= _LOOKED_AT).sum())]


class OptimizerUse:
    """Finds out in the first steps whether they use the compiled optimizer.

    A training step may have an optimizer of its own, or change weights by hand. The loss then falls
    with time, whatever the learning rate that is searched. An optimizer that is used counts its
    iterations; one that scales the loss and skips a step changes its scale.

    Args:
        model: A compiled model with a built optimizer.
        owner: The public name the user called.
    """

    def __init__(self, model: Any, owner: str) -> None:
        self._owner, self._optimizer = owner, type(model.optimizer).__name__
        leaves = leaf_optimizers(model.optimizer)
        rates = {id(rate_of(leaf)) for leaf in leaves}
        scalars = [v for v in model.optimizer.variables if not tuple(v.shape)]
        counters = [*(iterations_of(leaf) for leaf in leaves), *scalars]
        unique = {id(variable): variable for variable in counters if id(variable) not in rates}
        self._counters = list(unique.values())
        self._before: list[np.ndarray] = []
        self._steps = 0
        self._is_used = False

    def before_step(self, read: Read) -> None:
        """Note where the optimizer stands before the first step."""
        if not self._steps and not self._is_used:
            self._before = [read(variable) for variable in self._counters]

    def after_step(self, read: Read) -> None:
        """Raise if the optimizer has not been used in the first steps."""
        if self._is_used:
            return
        self._steps += 1
        pairs = zip(self._counters, self._before, strict=True)
        self._is_used = any(not np.array_equal(read(variable), old) for variable, old in pairs)
        if self._steps == PATIENCE:
            self.at_end()

    def at_end(self) -> None:
        """Raise if no step there was has used the optimizer."""
        if self._is_used or not self._steps:
            return
        rule = "train_step must train with the compiled optimizer, whose learning rate is searched"
        fix = "Pass compile() the optimizer that trains, and use self.optimizer"
        received = {"optimizer": self._optimizer, "its_updates": 0, "steps": self._steps}
        raise ValueError(complaint(self._owner, rule, fix, **received))
