"""The levels of a model by depth: embeddings, blocks, and layers outside of blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from keras_lr._keras.layer_tree import Weight, children, has_weights, is_container, own_weights
from keras_lr.layers.keys import by_text
from keras_lr.layers.weights import has_kernel, weights_to_divide

# So many layers of one class side by side are blocks; two may be a backbone and a head, or towers.
_BLOCKS_AT_LEAST = 3

_BLOCK_NAME = re.compile(r".*block[_-]?\d+[a-z]?(?=[_/]|$)|.*(?:layer|stage)[_-]?\d+(?=[_/]|$)")


@dataclass(frozen=True)
class _Unit:
    """A layer that is in one level as a whole, or a weight of a model itself.

    Attributes:
        path: Its path in the model.
        layer: The layer; None for a weight.
        kind: An addition, such as a normalisation, is in the level of another unit.
        block: The block that its name tells it is in, if any.
    """

    path: str
    layer: Any
    kind: Literal["embedding", "block", "kernel", "addition"]
    block: str | None = None


def levels_of(owner: str, model: Any) -> list[Any]:
    """Return keys for the levels of a model, from the inputs to the outputs.

    Args:
        owner: The public name the user called.
        model: The model.

    Returns:
        For each level the path of its layer, or a tuple of several. Where a path could be taken for
        another one, the layer itself.

    Raises:
        TypeError: If it is no model.
        ValueError: If it has no weights yet.
    """
    weights = weights_to_divide(owner, model)
    return [_keys(level, weights) for level in _joined(list(_units(model, ())))]


def _units(layer: Any, names: tuple[str, ...]) -> Iterator[_Unit]:
    """Return the units in a layer, from the inputs to the outputs."""
    for variable in own_weights(layer):
        yield _Unit("/".join([*names, variable.name]), None, "embedding")
    inside = [child for child in children(layer) if has_weights(child)]
    similar = Counter(type(child) for child in inside)
    for child in inside:
        path = (*names, child.name)
        if is_container(child):
            is_block = similar[type(child)] >= _BLOCKS_AT_LEAST
            if not is_block and (isinstance(child, keras.Model) or _is_stack(child)):
                yield from _units(child, path)
                continue
        yield _unit(child, path)


def _unit(layer: Any, names: tuple[str, ...]) -> _Unit:
    path = "/".join(names)
    if isinstance(layer, keras.layers.Embedding) or "Embed" in type(layer).__name__:
        return _Unit(path, layer, "embedding")
    if is_container(layer):
        return _Unit(path, layer, "block")
    named = _BLOCK_NAME.match(path)
    is_addition = not children(layer) and not has_kernel(layer)
    return _Unit(path, layer, "addition" if is_addition else "kernel", named and named[0])


def _is_stack(layer: Any) -> bool:
    """Return whether a layer is made of blocks, and not one itself."""
    blocks = Counter(type(child) for child in children(layer) if is_container(child))
    return any(number > 1 for number in blocks.values())


def _joined(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """Return units joined to levels.

    An addition is in the level of the layer that it follows, and after a block in the next one: a
    last normalisation is with the head.
    """
    embeddings: list[_Unit] = []
    levels: list[list[_Unit]] = []
    blocks: dict[str, list[_Unit]] = {}
    waiting: list[_Unit] = []
    current: list[_Unit] | None = None  # what an addition is put to
    for unit in units:
        if unit.block in blocks:
            blocks[unit.block].append(unit)
            current = None
        elif unit.kind == "embedding":
            embeddings.append(unit)
            current = embeddings
        elif unit.kind == "addition" and unit.block is None:
            (waiting if current is None else current).append(unit)
        else:
            level = [*waiting, unit]
            levels.append(level)
            waiting = []
            if unit.block is not None:
                blocks[unit.block] = level
            current = level if unit.kind == "kernel" and unit.block is None else None
    levels = [level for level in (embeddings, *levels) if level]
    if not levels:
        return [waiting]
    levels[-1].extend(waiting)
    return levels


def _keys(level: Sequence[_Unit], weights: Sequence[Weight]) -> Any:
    """Return the key for a level: that of a block by its name, or one or several for its units."""
    blocks = {unit.block for unit in level}
    block = blocks.pop() if len(blocks) == 1 else None
    inside = {key for unit in level for key in _inside(unit, weights)}
    if block is not None and (found := _text_for(block, inside, weights)):
        return found
    keys = tuple(_key(unit, weights) for unit in level)
    return keys if len(keys) > 1 else keys[0]


def _key(unit: _Unit, weights: Sequence[Weight]) -> Any:
    """Return the name or the path of a unit, if as a key it stands for that alone; else the layer.

    A weight of a model itself has no other key than its path.
    """
    if unit.layer is None:
        return unit.path
    return _text_for(unit.path, _inside(unit, weights), weights) or unit.layer


def _inside(unit: _Unit, weights: Sequence[Weight]) -> set[int]:
    """Return the weights in a unit by the `id` of their variables."""
    if unit.layer is None:
        return {id(weight.variable) for weight in weights if weight.path == unit.path}
    return {id(w.variable) for w in weights if any(each is unit.layer for each in w.layers)}


def _text_for(path: str, wanted: set[int], weights: Sequence[Weight]) -> str | None:
    """Return the last part of a path, or all of it, if as a key it stands for these weights."""
    for text in (path.rsplit("/", 1)[-1], path):
        if {id(weight.variable) for weight in by_text(text, weights)} == wanted:
            return text
    return None
