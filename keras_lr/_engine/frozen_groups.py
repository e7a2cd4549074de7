"""Groups of layers that are frozen for a time, by their factors on the learning rate."""

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import keras
import numpy as np

from keras_lr._engine.hooks import compiled_anew
from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._engine.train_function import TrainFunction
from keras_lr._keras.layer_tree import layers_in_order, own_weights
from keras_lr._keras.optimizers import groups_of
from keras_lr._keras.patch import Patch


class FrozenGroups:
    """Holds groups of layers still, until `remove`.

    A factor of 0 freezes weights. `BatchNormalization` in a frozen group is in inference mode, as
    under `trainable=False`; that is part of the compiled step, which is therefore traced anew when
    such a layer is frozen or thawed.

    What is saved meanwhile are the factors that the optimizer has of its own, with what anyone has
    made of them since.

    Args:
        model: A model in training, compiled with an optimizer that has groups.
        owner: The public name of what freezes, for error messages.
        leaf: Its only leaf optimizer.

    Attributes:
        frozen: The groups that are frozen now.
    """

    def __init__(self, model: Any, owner: str, leaf: Any) -> None:
        self.frozen: frozenset[str] = frozenset()
        self._model, self._leaf = model, leaf
        self._names, _ = groups_of(leaf)
        self._owner = owner
        self._overrides: HyperparameterOverrides | None = None
        self._batch_norms = list(_batch_norms(model, leaf))
        self._patched: list[Any] = []
        self._inference = contextlib.ExitStack()

    def freeze(self, groups: Collection[str]) -> None:
        """Freeze these groups, and no others. Not for use inside a step."""
        if self.frozen == frozenset(groups):
            return
        function = self._model.train_function
        hooks = []
        if isinstance(function, TrainFunction):
            function.state.changes.frozen, hooks = frozenset(groups), function.hooks
        if any(getattr(hook, "drives_groups", False) for hook in hooks):
            self.frozen = frozenset(groups)
            self._leaf.stop(self.frozen)  # the driver keeps their rates at 0
        else:
            if self._overrides is None:
                self._overrides = HyperparameterOverrides(
                    self._model, self._owner, leaves=[self._leaf], held=self._is_held
                )
            own = self._overrides.own_factors().tolist()
            self.frozen = frozenset(groups)
            self._leaf.factors = {
                name: 0.0 if name in self.frozen else factor
                for name, factor in zip(self._names, own, strict=True)
            }
        layers = [layer for group, layer in self._batch_norms if group in self.frozen]
        if layers != self._patched:
            self._put_in_inference_mode(layers)

    def remove(self) -> None:
        """Give the groups their own factors back. Can be called again."""
        function = self._model.train_function
        if isinstance(function, TrainFunction):
            function.state.changes.frozen = frozenset()
        self._put_in_inference_mode([])
        if self._overrides is not None:
            self._overrides.remove()

    def _is_held(self) -> np.ndarray:
        return np.array([name in self.frozen for name in self._names])

    def _put_in_inference_mode(self, layers: list[Any]) -> None:
        self._inference.close()
        self._patched = layers
        for layer in layers:
            self._inference.callback(_inferring(layer).remove)
        if layers:
            self._inference.enter_context(compiled_anew(self._model))


def _batch_norms(model: Any, leaf: Any) -> Iterator[tuple[str | None, Any]]:
    """Return the BatchNorm layers in a model that train, each with its group.

    One without weights that train is in the group of the weights before it.
    """
    group = None
    for layer in layers_in_order(model):
        own = own_weights(layer) if layer.trainable else []
        if own:
            group = leaf.group_of(own[0])
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            yield group, layer


def _inferring(layer: Any) -> Patch:
    """Let a layer be called in inference mode, also in a training step."""

    def call(*arguments: Any, **named: Any) -> Any:
        return patch.original(*arguments, **{**named, "training": False})

    patch = Patch(layer, "call", call)
    return patch
