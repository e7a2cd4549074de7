"""The optimizers of a compiled model: found in every wrapper; their rates, and their position."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_lr._keras.backend import strategy_scope
from keras_lr._keras.variables import DIRECT, VariableAccess, as_numpy, read_variable
from keras_lr._keras.versions import is_optimizer
from keras_lr.errors import complaint


def leaf_optimizers(optimizer: Any) -> list[Any]:
    """Return the optimizers that update weights, unwrapped from loss scaling and `MultiOptimizer`.

    Args:
        optimizer: Any Keras optimizer.

    Returns:
        At least one optimizer, in Keras' own order.
    """
    if hasattr(optimizer, "inner_optimizer"):
        return leaf_optimizers(optimizer.inner_optimizer)
    if is_optimizer(optimizer, "MultiOptimizer"):
        return [leaf for inner in optimizer.optimizers for leaf in leaf_optimizers(inner)]
    return [optimizer]


def known_leaves(model: Any, owner: str) -> list[Any]:
    """Return a model's leaf optimizers; build a `MultiOptimizer` that does not know its own yet.

    Raises:
        ValueError: If the model is not built, so that its optimizer cannot be.
    """
    optimizer = model.optimizer
    if not leaf_optimizers(optimizer):
        if not model.built:
            rule = "a MultiOptimizer made of a function has no optimizers before the model is built"
            fix = "Build the model first, by calling it on a batch"
            raise ValueError(complaint(owner, rule, fix, model=model.name))
        with strategy_scope(model):
            optimizer.build(model.trainable_variables)
    return leaf_optimizers(optimizer)


def rate_of(optimizer: Any) -> Any:
    """Return what holds a leaf optimizer's learning rate: a variable, or a schedule."""
    return optimizer._learning_rate


RATE = "_learning_rate"  # the attribute; its public setter does more than set it


def set_rate(optimizer: Any, rate: Any) -> None:
    """Give a leaf optimizer another variable or schedule for its learning rate, untracked."""
    object.__setattr__(optimizer, RATE, rate)


def replace_setting(optimizer: Any, name: str, variable: Any) -> None:
    """Let a variable hold a leaf optimizer's setting, such as its momentum, for a time.

    The public setter would untrack and reorder the optimizer's variables: a checkpoint written
    later would no longer load into a fresh optimizer.
    """
    object.__setattr__(optimizer, name, variable)
    optimizer._track_variable(variable)


def restore_setting(optimizer: Any, name: str, variable: Any, own: Any) -> None:
    """Undo `replace_setting`."""
    optimizer._untrack_variable(variable)
    object.__setattr__(optimizer, name, own)


def iterations_of(optimizer: Any) -> Any:
    """Return the variable that counts the batches a leaf optimizer has seen."""
    return optimizer._iterations


def groups_of(optimizer: Any) -> tuple[tuple[str, ...], Any]:
    """Return a leaf optimizer's groups of layers, and the variable of their factors, if any."""
    groups: tuple[tuple[str, ...], Any] = getattr(optimizer, "factor_variable", ((), None))
    return groups


def trained_variables(optimizer: Any) -> list[Any]:
    """Return the variables that a built leaf optimizer updates."""
    variables: list[Any] = optimizer._trainable_variables
    return variables


def _weights_and_slots(leaf: Any, name: str) -> tuple[list[Any], list[Any]]:
    """Return a leaf optimizer's weights, and for each the slot of a kind that holds a weight too.

    Args:
        leaf: A leaf optimizer. One that is not built has neither.
        name: The attribute with the slots.
    """
    if not leaf.built:
        return [], []
    pairs = zip(leaf._trainable_variables, getattr(leaf, name), strict=True)
    kept = [(variable, slot) for variable, slot in pairs if slot is not None]
    return [variable for variable, _ in kept], [slot for _, slot in kept]


def momentum_slots(leaf: Any) -> tuple[list[Any], list[Any]]:
    """Return a Schedule-Free leaf's weights, and for each the slot it is moved by."""
    return _weights_and_slots(leaf, "_momentums")


def moving_averages(leaf: Any) -> tuple[list[Any], list[Any]]:
    """Return a leaf optimizer's weights, and for each its moving average; none without any."""
    return _weights_and_slots(leaf, "_model_variables_moving_average") if leaf.use_ema else ([], [])


def is_scheduled(optimizer: Any) -> bool:
    """Return whether a leaf optimizer computes its learning rate in the graph."""
    return not isinstance(optimizer._learning_rate, keras.Variable)


def current_learning_rate(optimizer: Any) -> float:
    """Return what a leaf optimizer's next update would use. Not for use inside `fit` on JAX."""
    if not is_scheduled(optimizer):
        return float(read_variable(optimizer._learning_rate))
    return float(as_numpy(optimizer.learning_rate))


def current_learning_rates(model: Any) -> tuple[float, ...]:
    """Return the present learning rate of each leaf optimizer. Not for use inside a step."""
    return tuple(current_learning_rate(leaf) for leaf in leaf_optimizers(model.optimizer))


def proportions(rates: Sequence[float]) -> tuple[float, ...]:
    """Return learning rates as parts of the largest of them; where all are 0, a whole each."""
    largest = max(rates)
    return tuple(rate / largest if largest > 0 else 1.0 for rate in rates)


def default_learning_rate(optimizer: Any) -> float | None:
    """Return the default learning rate of a leaf optimizer's class, if it has one."""
    for base in type(optimizer).__mro__:
        parameters = inspect.signature(vars(base).get("__init__", object)).parameters
        for name in ("learning_rate", "lr"):
            default = parameters[name].default if name in parameters else None
            if isinstance(default, float):
                return default
    return None


def accumulation_steps(model: Any) -> int:
    """Return how many batches make one update."""
    return accumulation_of(leaf_optimizers(model.optimizer))


def accumulation_of(leaves: Iterable[Any]) -> int:
    """Return how many batches make one update of leaf optimizers: most of them, if they differ."""
    return max(leaf.gradient_accumulation_steps or 1 for leaf in leaves)


def batches_of(leaf: Any, access: VariableAccess = DIRECT) -> int:
    """Return how many batches a leaf optimizer has seen in its life."""
    return int(access.read(iterations_of(leaf)))


def batches_seen(model: Any, access: VariableAccess = DIRECT) -> int:
    """Return how many batches a model's optimizer has seen in its life.

    This is also the step at which one of Keras' schedules inside the optimizer stands; one of this
    library's stands at `updates_made`.

    Args:
        model: A compiled model with a built optimizer.
        access: Within a step, its `TrainingState`.
    """
    return batches_of(leaf_optimizers(model.optimizer)[0], access)


def updates_made(model: Any, access: VariableAccess = DIRECT) -> int:
    """Return how many updates it has made in its life."""
    return batches_seen(model, access) // accumulation_steps(model)


def micro_step(model: Any, access: VariableAccess = DIRECT) -> int:
    """Return how many batches of the coming update have already been accumulated."""
    return batches_seen(model, access) % accumulation_steps(model)


def skips_updates(model: Any) -> bool:
    """Return whether an update may be left out, as by loss scaling: only the count tells."""
    return hasattr(model.optimizer, "inner_optimizer")
