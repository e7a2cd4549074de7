"""Several sets of weights for one model: put into it for a while, or used beside it."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lr._engine.averages.cloning import finalize
from keras_lr._keras.backend import strategy_scope
from keras_lr._keras.models import takes_training
from keras_lr._keras.random import random_state_kept
from keras_lr._keras.variables import VariableSnapshot, has_value, read_variable, write_variable

Weights = Sequence[np.ndarray]


@contextlib.contextmanager
def values_kept(model: Any) -> Iterator[None]:
    """Put every variable of a model and its optimizer back after a context, and the generators."""
    _sync(model)
    optimizer = getattr(model, "optimizer", None)
    held = [*model.variables, *model.metrics_variables, *(optimizer.variables if optimizer else ())]
    # After a `fit` that was cut off on JAX some have no value.
    before = VariableSnapshot([each for each in held if has_value(each)], read_variable)
    with random_state_kept():
        try:
            yield
        finally:
            _sync(model)  # what was cut off on JAX has yet to hand the values back
            before.restore(write_variable)


@contextlib.contextmanager
def weights_in_place(model: Any, weights: Weights) -> Iterator[None]:
    """Let a model have other weights for the length of a context.

    Args:
        model: A built model.
        weights: One array per weight.
    """
    with values_kept(model):
        put_weights(model, weights)
        yield


def put_weights(model: Any, weights: Weights) -> None:
    """Write weights past a model's own methods, which a callback may have put something around."""
    for variable, value in zip(model.weights, weights, strict=True):
        write_variable(variable, value)


def read_weights(model: Any, path: Path) -> list[np.ndarray]:
    """Return the weights in a file that `Model.save_weights` has written for a model."""
    try:
        with values_kept(model), warnings.catch_warnings():
            # The file has an optimizer too, the model perhaps none that is built.
            warnings.filterwarnings("ignore", message="Skipping variable loading")
            type(model).load_weights(model, path)
            return [read_variable(variable) for variable in model.weights]
    finally:
        finalize(model)


class WeightSet(keras.Model):  # type: ignore[misc]
    """A model that computes what another one does, with weights of its own.

    Nothing of the other model is copied, so it may be of any kind. Its layers are called in a scope
    where its variables have the values of these.

    Args:
        model: The built model.
        weights: One array per weight of it.
        name: The name.

    Attributes:
        source: Returns the model.
    """

    def __init__(self, model: Any, weights: Weights, name: str) -> None:
        super().__init__(name=name)
        _sync(model)
        values = {id(each): value for each, value in zip(model.weights, weights, strict=True)}
        # A function, and past Keras' tracking: no variable of the other model is this one's, to be
        # listed, trained, saved or loaded with it.
        object.__setattr__(self, "source", lambda: model)
        with strategy_scope(model):
            self._own = [_variable_like(each, values.get(id(each))) for each in model.variables]
        self.run_eagerly, self.jit_compile = model.run_eagerly, model.jit_compile
        self.built = True

    @property
    def variables(self) -> list[Any]:
        """One for each of the other model's, in its order."""
        return list(self._own)

    @property
    def weights(self) -> list[Any]:
        """One for each of the other model's, in its order."""
        variables = {
            id(each): own for each, own in zip(self.source().variables, self._own, strict=True)
        }
        return [variables[id(each)] for each in self.source().weights]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return what the other model would with these weights. What it updates is updated here."""
        named = {"training": training} if takes_training(self.source()) else {}
        pairs = list(zip(self.source().variables, self._own, strict=True))
        given = [(theirs, own.value) for theirs, own in pairs]
        with keras.StatelessScope(state_mapping=given, collect_losses=True) as scope:
            before = [scope.get_current_value(theirs) for theirs, _ in pairs]
            outputs = self.source()(inputs, **named)
            after = [scope.get_current_value(theirs) for theirs, _ in pairs]
        for (_, own), old, new in zip(pairs, before, after, strict=True):
            if new is not old:
                own.assign(new)
        for loss in scope.losses:
            self.add_loss(loss)
        return outputs


def _sync(model: Any) -> None:
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def _variable_like(variable: Any, value: np.ndarray | None) -> Any:
    own = keras.Variable(
        read_variable(variable) if value is None else value,
        dtype=variable.dtype,
        trainable=variable.trainable,
        name=variable.name,
    )
    own.regularizer = getattr(variable, "regularizer", None)
    own.constraint = getattr(variable, "constraint", None)
    return own
