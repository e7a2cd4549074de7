"""Keys for parts of a model: names, paths, prefixes, patterns, layers, and functions of weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import keras

from keras_lr._keras.layer_tree import Weight
from keras_lr.errors import complaint

Key: TypeAlias = "str | keras.layers.Layer | Callable[[Any], bool]"
Keys: TypeAlias = "Key | tuple[Key, ...]"

REST = "rest"


def name_of(keys: Keys) -> str:
    """Return the name of the group that a key stands for; of several keys, the first names it."""
    first = keys[0] if isinstance(keys, tuple) else keys
    if isinstance(first, str):
        return first
    if isinstance(first, keras.layers.Layer):
        return str(first.name)
    return str(getattr(first, "__name__", type(first).__name__))  # a partial has no name


def assigned(
    owner: str, argument: str, keys: Sequence[Keys], weights: Sequence[Weight]
) -> dict[int, int]:
    """Return which of the keys each weight belongs to.

    Args:
        owner: The public name the user called.
        argument: The argument that holds the keys.
        keys: The keys; `"rest"`, unless a layer is called so, stands for what no other one matches.
        weights: The weights of a model.

    Returns:
        The position of the key, by the `id` of the weight's variable. Weights that no key matches
        are left out.

    Raises:
        TypeError: If a key is none.
        ValueError: If a key matches no weight, or a weight matches two keys.
    """
    found: dict[int, int] = {}
    rest: int | None = None
    for index, each in enumerate(keys):
        parts = each if isinstance(each, tuple) else (each,)
        if not parts:
            rule, fix = "a tuple of keys must not be empty", "Put keys into it, or leave it out"
            raise ValueError(complaint(owner, rule, fix, **{argument: each}))
        matches = [weight for part in parts for weight in _matches(owner, argument, part, weights)]
        if not matches and each == REST:
            rest = index
        for weight in matches:
            other = found.setdefault(id(weight.variable), index)
            if other != index:
                rule = f"every weight must be in one group, but {weight.path} is in two"
                fix = "Make the keys narrower; an exact name or path comes before a prefix"
                received = [name_of(keys[other]), name_of(each)]
                raise ValueError(complaint(owner, rule, fix, **{argument: received}))
    if rest is not None:
        left = [weight for weight in weights if id(weight.variable) not in found]
        if not left:
            rule = "'rest' must leave something, but the other keys match all weights"
            raise ValueError(complaint(owner, rule, "Leave it out", **{argument: list(keys)}))
        found |= {id(weight.variable): rest for weight in left}
    return found


def _matches(owner: str, argument: str, key: Any, weights: Sequence[Weight]) -> list[Weight]:
    """Return the weights that one key matches.

    Raises:
        TypeError: If it is no key.
        ValueError: If there are none.
    """
    if isinstance(key, str):
        matches = by_text(key, weights)
        if not matches and key != REST:
            rule = f"{key!r} must match a layer that has weights, by name, path, prefix or pattern"
            raise ValueError(complaint(owner, rule, _nearest(key, weights), **{argument: key}))
    elif isinstance(key, keras.layers.Layer):
        matches = [weight for weight in weights if any(each is key for each in weight.layers)]
        if not matches:
            rule = "a layer must be in the model, and have weights that can be trained"
            fix = "Pass a layer of this model, such as model.get_layer(name)"
            raise ValueError(complaint(owner, rule, fix, **{argument: key.name}))
    elif callable(key):
        matches = [weight for weight in weights if key(weight.variable)]
        if not matches:
            rule = "a function must return True for at least one weight"
            fix = "It is called with each keras.Variable; look at its path and shape"
            raise ValueError(complaint(owner, rule, fix, **{argument: name_of(key)}))
    else:
        rule = "keys must be names or patterns, layers, functions of a weight, or tuples of these"
        raise TypeError(complaint(owner, rule, "Pass one of them", **{argument: key}))
    return matches


def by_text(key: str, weights: Sequence[Weight]) -> list[Weight]:
    """Return the weights that a text matches: by exact names if there are any, else as a prefix."""
    if any(character in key for character in "*?["):
        return [weight for weight in weights if any(fnmatchcase(t, key) for t in _texts(weight))]
    exact = [weight for weight in weights if key in _texts(weight)]
    return exact or [w for w in weights if any(_begins(text, key) for text in _texts(w))]


def _texts(weight: Weight) -> list[str]:
    """Return all that a text key is compared with."""
    return [*(name for names in weight.names for name in names), *weight.paths, weight.path]


def _begins(text: str, prefix: str) -> bool:
    """Return whether a text begins with a prefix that ends at a boundary: not block1 in block10."""
    if not prefix or not text.startswith(prefix):
        return False
    following = text[len(prefix) :][:1]
    return not (prefix[-1].isdigit() and following.isdigit())


def _nearest(key: str, weights: Sequence[Weight]) -> str:
    """Return what to do about a key that matches nothing."""
    outermost = dict.fromkeys(weight.paths[0] for weight in weights if weight.layers)
    every = dict.fromkeys(text for weight in weights for text in _texts(weight))
    near = difflib.get_close_matches(key, every, n=3) or list(outermost)[:6]
    return f"Names are {', '.join(near)}"
