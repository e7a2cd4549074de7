"""The stages of `fine_tune`: what they train, and how they are compiled."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_lr._keras.layer_tree import Weight, layers_in_order, own_weights
from keras_lr._keras.models import compile_config
from keras_lr._keras.optimizers import groups_of, leaf_optimizers
from keras_lr.errors import complaint
from keras_lr.layers import by_layer
from keras_lr.layers.keys import REST, assigned
from keras_lr.layers.levels import levels_of
from keras_lr.layers.weights import weights_to_divide

OWNER = "fine_tune"
_HALVES = 2  # groups below the head, as fast.ai's models have


def head_of(model: keras.Model, head: Any) -> tuple[Any, list[Weight]]:
    """Return the key of a model's head, and the weights below it.

    Args:
        model: A model that has its weights.
        head: What a user says; None for the last level of the model.

    Raises:
        ValueError: If the key matches nothing, or there is nothing below.
    """
    weights = weights_to_divide(OWNER, model)
    key = levels_of(OWNER, model)[-1] if head is None else head
    key = tuple(key) if isinstance(key, list) else key
    inside = assigned(OWNER, "head", [key], weights)
    below = [weight for weight in weights if id(weight.variable) not in inside]
    if not below:
        rule, fix = "there must be layers below the head", "Pass the last layer as head"
        raise ValueError(complaint(OWNER, rule, fix, head=head))
    return key, below


def factors_of(
    model: keras.Model, head: Any, below: list[Weight], lowest: float
) -> dict[Any, float]:
    """Return factors for the levels below the head, in two halves, and 1 for the head.

    Args:
        model: The model.
        head: The key of its head.
        below: The weights below it.
        lowest: The factor of the lower half; the other one has its root.
    """
    inside = {id(weight.variable) for weight in below}
    weights = weights_to_divide(OWNER, model)
    levels, covered = [], set()
    for level in levels_of(OWNER, model):
        found = set(assigned(OWNER, "head", [level], weights))
        if found <= inside:
            levels.append(level if isinstance(level, tuple) else (level,))
            covered |= found
    if covered != inside or len(levels) < _HALVES:  # the head is none of whole levels
        return {head: 1.0, REST: float(lowest)}
    half = len(levels) // 2
    lower, upper = (
        tuple(key for level in part for key in level) for part in (levels[:half], levels[half:])
    )
    return {lower: float(lowest), upper: float(lowest) ** 0.5, head: 1.0}


@contextlib.contextmanager
def frozen(model: keras.Model, below: list[Weight]) -> Iterator[None]:
    """Freeze weights, and the BatchNorm layers below the head, as `trainable=False` does."""
    inside = {id(weight.variable) for weight in below}
    layers, is_below = [], True
    for layer in layers_in_order(model):
        own = own_weights(layer)  # a layer without any is where the one before it is
        is_below = id(own[0]) in inside if own else is_below
        if is_below and isinstance(layer, keras.layers.BatchNormalization):
            layers.append((layer, layer.trainable))
    variables = [(weight.variable, weight.variable.trainable) for weight in below]
    try:
        for layer, _ in layers:
            layer.trainable = False
        for variable, _ in variables:
            variable.trainable = False
        yield
    finally:
        for layer, trainable in layers:
            layer.trainable = trainable
        for variable, trainable in variables:
            variable.trainable = trainable


class Recompilation:
    """A model compiled anew for each stage, with an optimizer of groups like its own.

    Args:
        model: A compiled model.

    Attributes:
        arguments: What it was compiled with.
    """

    def __init__(self, model: keras.Model) -> None:
        self.arguments = compile_config(model)
        self._model, self._optimizer = model, model.optimizer

    def compile(self, factors: Any) -> None:
        """Compile the model for a stage.

        Args:
            factors: For `by_layer`; None keeps the groups that its optimizer has.
        """
        optimizer = keras.optimizers.get(self.arguments["optimizer"])
        if groups_of(leaf_optimizers(optimizer)[0])[0]:
            made = type(optimizer).from_config(optimizer.get_config())
        else:
            made = by_layer(optimizer, self._model, factors)
        self._model.compile(**{**self.arguments, "optimizer": made})
        self._optimizer = self._model.optimizer

    def undo(self) -> None:
        """Compile the model as it was, unless something else has compiled it since."""
        if self._model.optimizer is self._optimizer:
            self._model.compile(**self.arguments)


@contextlib.contextmanager
def compiled_back(model: keras.Model) -> Iterator[Recompilation]:
    """Let a model be compiled anew; undo that if an exception leaves the block."""
    recompilation = Recompilation(model)
    try:
        yield recompilation
    except BaseException:
        recompilation.undo()
        raise
