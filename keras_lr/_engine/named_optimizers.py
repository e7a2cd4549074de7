"""The optimizers of a model by name: those it is compiled with, and others that it holds."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.optimizers import iterations_of, known_leaves, leaf_optimizers
from keras_lr.errors import check_choice, complaint

Wanted = str | keras.Optimizer | Sequence[str | keras.Optimizer] | None


def check_wanted(owner: str, optimizers: object) -> list[Any] | None:
    """Return what a user passes as `optimizers` as a list; None stays None.

    Raises:
        TypeError: If it is no name and no optimizer, nor a sequence of these.
        ValueError: If it is empty.
    """
    if optimizers is None:
        return None
    fix = "Pass names, or the optimizers; None for those that the model is compiled with"
    wanted = [optimizers] if isinstance(optimizers, str | keras.Optimizer) else optimizers
    known = isinstance(wanted, Sequence) and all(
        isinstance(each, str | keras.Optimizer) for each in wanted
    )
    if not isinstance(wanted, Sequence) or not known:
        rule = "optimizers must be names or optimizers"
        raise TypeError(complaint(owner, rule, fix, optimizers=optimizers))
    if not wanted:
        rule = "optimizers must name at least one"
        raise ValueError(complaint(owner, rule, fix, optimizers=optimizers))
    return list(wanted)


def named_leaves(model: Any, wanted: Sequence[Any] | None, owner: str) -> dict[str, Any]:
    """Return leaf optimizers of a model by the ending of their names in logs and messages.

    Args:
        model: The model.
        wanted: Names of optimizers that the model is compiled with, names of the model's attributes
            that hold others, or optimizers; None for all that it is compiled with.
        owner: The public name the user called, for error messages.

    Returns:
        The optimizers; where there is no choice, the only one by an empty name.

    Raises:
        ValueError: If a name is unknown, two optimizers have the same, or there are none.
    """
    compiled: list[Any] = []
    if getattr(model, "optimizer", None) is not None:
        compiled = known_leaves(model, owner)
    elif not wanted:
        rule = "the model must be compiled, or its optimizers be named"
        fix = "Compile it, or pass optimizers=[...], where the callback takes them"
        raise ValueError(complaint(owner, rule, fix, optimizer=None))
    if len(compiled) == 1 and not wanted:
        return {"": compiled[0]}
    named = {leaf.name: leaf for leaf in compiled}
    others = {
        name: value for name, value in vars(model).items() if isinstance(value, keras.Optimizer)
    }
    if len(named) < len(compiled) and not all(each in others for each in wanted or [None]):
        rule = "optimizers of one model must have different names"
        fix = "Pass name=... to each of them"
        raise ValueError(complaint(owner, rule, fix, names=[leaf.name for leaf in compiled]))
    chosen: dict[str, Any] = {}
    for each in wanted or named:
        if isinstance(each, str) and each in named:
            chosen[each] = named[each]
            continue
        if isinstance(each, str):
            check_choice(owner, (*named, *others), optimizers=each)
            each, name = others[each], each
        else:
            held = [key for key, value in others.items() if value is each and key != "optimizer"]
            name = held[0] if held else each.name
        leaves = leaf_optimizers(each)
        single = len(leaves) == 1
        chosen |= {name if single else f"{name}_{leaf.name}": leaf for leaf in leaves}
    return chosen


def check_reachable(model: Any, leaves: Sequence[Any], owner: str) -> None:
    """Raise if `fit` on JAX does not carry the variables of optimizers from step to step."""
    if not ON_JAX:
        return
    carried = [*model.non_trainable_variables]
    if getattr(model, "optimizer", None) is not None:
        carried += model.optimizer.variables
    known = {id(variable) for variable in carried}
    strange = [leaf.name for leaf in leaves if id(iterations_of(leaf)) not in known]
    if strange:
        rule = "on JAX, fit trains only with the optimizer that the model is compiled with"
        fix = "Compile with a MultiOptimizer, or write the training loop yourself"
        raise ValueError(complaint(owner, rule, fix, optimizers=strange))
