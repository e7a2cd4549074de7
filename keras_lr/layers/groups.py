"""Groups of weights: their names, factors and shares of the weight decay, from what a user says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_lr._keras.layer_tree import Weight
from keras_lr.errors import GREATEST, check_number, complaint
from keras_lr.layers.keys import REST, Keys, assigned, name_of
from keras_lr.layers.weights import is_kernel
from keras_lr.optimizers.division import OWNER, Division, Member, check_factors

Factors = Mapping[Any, float] | Callable[[Any], float] | None
Decay = Mapping[Any, float] | str | None

ALL = "all"
KERNELS = "kernels"


def division_of(
    weights: Sequence[Weight], factors: Factors, weight_decay: Decay, own: float
) -> tuple[Division, float]:
    """Return the groups of a model's weights, and the weight decay their shares refer to.

    Args:
        weights: The weights.
        factors: See `by_layer`.
        weight_decay: See `by_layer`.
        own: The weight decay of the optimizer.
    """
    by_group, names = _groups(weights, factors)
    decays = _decays(weights, weight_decay, own)
    reference = own or max(decays.values(), default=0.0)
    unique = {id(weight.variable): weight.variable for weight in weights}
    members = tuple(
        Member(
            path=variable.path,
            shape=tuple(variable.shape),
            group=names[key],
            decay=decays[key] / reference if key in decays and reference else 1.0,
            variable=variable,
        )
        for key, variable in unique.items()
    )
    return Division(by_group, members), reference


def _groups(weights: Sequence[Weight], factors: Factors) -> tuple[dict[str, float], dict[int, str]]:
    """Return the factors by group, and the group of each weight by its variable's `id`."""
    if factors is None:
        return {ALL: 1.0}, {id(weight.variable): ALL for weight in weights}
    if not isinstance(factors, Mapping):
        return _by_value(weights, factors)
    keys: list[Keys] = list(factors)
    found = assigned(OWNER, "factors", keys, weights)
    names = _names("factors", keys)
    groups = dict(zip(names, factors.values(), strict=True))
    check_factors("factors", groups)
    if len(found) < len({id(weight.variable) for weight in weights}):
        groups[REST] = 1.0
    if not any(groups.values()):
        rule = "at least one factor must be above 0, or nothing would be trained"
        raise ValueError(complaint(OWNER, rule, "Leave one group its rate", factors=groups))
    by_weight = {key: names[place] for key, place in found.items()}
    return (
        {name: float(factor) for name, factor in groups.items()},
        {id(weight.variable): by_weight.get(id(weight.variable), REST) for weight in weights},
    )


def _by_value(
    weights: Sequence[Weight], function: Callable[[Any], float]
) -> tuple[dict[str, float], dict[int, str]]:
    """Return groups of the weights that a function gives the same factor; it names them."""
    if not callable(function):
        rule = "factors must be a dict of groups and their factors, or a function of a weight"
        fix = 'Pass {"backbone": 0.1, "head": 1.0}, with names of layers'
        raise TypeError(complaint(OWNER, rule, fix, factors=function))
    given = {id(weight.variable): function(weight.variable) for weight in weights}
    check_factors("factors", given)
    values = sorted({float(value) for value in given.values()})
    if not any(values):
        rule = "at least one factor must be above 0, or nothing would be trained"
        raise ValueError(complaint(OWNER, rule, "Leave one weight its rate", factors=function))
    named = {value: f"{value:.6g}" for value in values}
    return (
        {name: value for value, name in named.items()},
        {key: named[float(value)] for key, value in given.items()},
    )


def _decays(weights: Sequence[Weight], weight_decay: Decay, own: float) -> dict[int, float]:
    """Return the weight decay of each weight by its variable's `id`; nothing where all have one."""
    if weight_decay is None:
        return {}
    if isinstance(weight_decay, str) and weight_decay == KERNELS:
        if not own:
            rule = f"{KERNELS!r} needs an optimizer with weight decay"
            fix = "Make it with one, such as AdamW(weight_decay=0.01), or leave the argument out"
            raise ValueError(complaint(OWNER, rule, fix, weight_decay=weight_decay))
        return {
            id(weight.variable): own * is_kernel(weight.variable, weight.owner)
            for weight in weights
        }
    if not isinstance(weight_decay, Mapping):
        rule = f"weight_decay must be {KERNELS!r}, or a dict of groups and their weight decay"
        fix = "Set one for all weights in the optimizer itself"
        raise TypeError(complaint(OWNER, rule, fix, weight_decay=weight_decay))
    fix = "Pass a number of at least 0"
    for value in weight_decay.values():
        check_number(OWNER, fix, at_least=0.0, at_most=GREATEST, weight_decay=value)
    found = assigned(OWNER, "weight_decay", list(weight_decay), weights)
    values = list(weight_decay.values())
    return {
        id(weight.variable): (
            float(values[found[id(weight.variable)]]) if id(weight.variable) in found else own
        )
        for weight in weights
    }


def _names(argument: str, keys: Sequence[Keys]) -> list[str]:
    """Return the names of groups.

    Raises:
        ValueError: If two have the same, or there are none.
    """
    names = [name_of(each) for each in keys]
    if not names:
        fix = 'Pass {"backbone": 0.1, "head": 1.0}, with names of layers'
        raise ValueError(complaint(OWNER, "there must be a group", fix, **{argument: {}}))
    if len(set(names)) < len(names):
        rule = "groups must have different names, which keys of a tuple take from the first"
        fix = "Begin the tuples with different keys, or give functions and layers other names"
        raise ValueError(complaint(OWNER, rule, fix, **{argument: names}))
    return names
