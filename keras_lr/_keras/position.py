"""The position of training: batches an optimizer has seen and updates it has made."""

from collections.abc import Iterable
from typing import Any

from keras_lr._keras.learning_rate import leaf_optimizers
from keras_lr._keras.values import HOST, Access


def accumulation_steps(model: Any) -> int:
    """Return how many batches make one update."""
    return accumulation_of(leaf_optimizers(model.optimizer))


def accumulation_of(leaves: Iterable[Any]) -> int:
    """Return how many batches make one update of leaf optimizers: most of them, if they differ."""
    return max(leaf.gradient_accumulation_steps or 1 for leaf in leaves)


def batches_of(leaf: Any, access: Access = HOST) -> int:
    """Return how many batches a leaf optimizer has seen in its life."""
    return int(access.read(leaf._iterations))


def batches_seen(model: Any, access: Access = HOST) -> int:
    """Return how many batches a model's optimizer has seen in its life.

    This is also the step at which one of Keras' schedules inside the optimizer stands; one of this
    library's stands at `updates_made`.

    Args:
        model: A compiled model with a built optimizer.
        access: Within a step, its `TrainingState`.
    """
    return batches_of(leaf_optimizers(model.optimizer)[0], access)


def updates_made(model: Any, access: Access = HOST) -> int:
    """Return how many updates it has made in its life."""
    return batches_seen(model, access) // accumulation_steps(model)


def micro_step(model: Any, access: Access = HOST) -> int:
    """Return how many batches of the coming update have already been accumulated."""
    return batches_seen(model, access) % accumulation_steps(model)


def skips_updates(model: Any) -> bool:
    """Return whether an update may be left out, as by loss scaling: only the count tells."""
    return hasattr(model.optimizer, "inner_optimizer")
