"""The layers of a model as a tree, and the weights that each of them owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Weight:
    """A trainable weight and its place in a model.

    Attributes:
        variable: The weight.
        layers: The layers it is in, from the outermost to its owner, without the model itself.
        names: What each of these layers is called: by its own name, and by the attributes of the
            layer around it that hold it.
    """

    variable: Any
    layers: tuple[Any, ...]
    names: tuple[frozenset[str], ...]

    @property
    def owner(self) -> Any:
        """The layer it belongs to; None for the model itself."""
        return self.layers[-1] if self.layers else None

    @property
    def paths(self) -> list[str]:
        """The paths of the layers in the model, `backbone`, `backbone/conv1`, and so on."""
        parts = [layer.name for layer in self.layers]
        return ["/".join(parts[: end + 1]) for end in range(len(parts))]

    @property
    def path(self) -> str:
        """Its path in the model, as `backbone/conv1/kernel`."""
        return "/".join([*(layer.name for layer in self.layers), self.variable.name])


def weights_of(model: Any) -> list[Weight]:
    """Return the weights of a model that can be trained, those of frozen layers included.

    They are in the order of `model.trainable_variables`. A layer that is in several places of the
    model gives its weights once for each.
    """
    return list(_weights(model, (), ()))


def children(layer: Any) -> list[Any]:
    """Return the layers directly inside of a layer, in the order Keras holds them."""
    return list(layer._flatten_layers(recursive=False, include_self=False))


def layers_in_order(layer: Any) -> Iterator[Any]:
    """Return a layer and those inside of it at any depth, each before what is inside of it."""
    yield layer
    for child in children(layer):
        yield from layers_in_order(child)


def is_container(layer: Any) -> bool:
    """Return whether a layer is made of layers by a user: a model, or a layer not of Keras' own."""
    if isinstance(layer, keras.Model):
        return True
    of_keras = type(layer).__module__.partition(".")[0] == "keras"
    return not of_keras and any(has_weights(child) for child in children(layer))


def has_weights(layer: Any) -> bool:
    """Return whether there are weights in a layer that can be trained."""
    return any(each._trainable_variables for each in layer._flatten_layers())


def own_weights(layer: Any) -> list[Any]:
    """Return the weights that can be trained and belong to a layer itself, not to one inside."""
    return list(layer._trainable_variables)


def _weights(
    layer: Any, layers: tuple[Any, ...], names: tuple[frozenset[str], ...]
) -> Iterator[Weight]:
    for variable in own_weights(layer):
        yield Weight(variable, layers, names)
    attributes = _attributes(layer)
    for child in children(layer):
        called = frozenset({child.name, *attributes.get(id(child), ())})
        yield from _weights(child, (*layers, child), (*names, called))


def _attributes(layer: Any) -> dict[int, list[str]]:
    """Return the public attributes of a layer that hold layers, alone or in a list or dict."""
    found: dict[int, list[str]] = {}
    modules = vars(layer).get("_modules") or {}  # where torch keeps them
    for name, value in (vars(layer) | modules).items():
        if name.startswith("_"):
            continue
        held = value.values() if isinstance(value, dict) else value
        for each in held if isinstance(value, list | tuple | dict) else (value,):
            if isinstance(each, keras.layers.Layer):
                found.setdefault(id(each), []).append(name)
    return found
