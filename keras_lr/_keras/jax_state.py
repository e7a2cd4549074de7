"""The training state that a `fit` on JAX carries outside of the model's variables."""

from collections.abc import Sequence
from typing import Any

_GROUPS = [f"{name}_variables" for name in ("trainable", "non_trainable", "optimizer", "metrics")]


def take(model: Any) -> Any:
    """Take the values out of a model's variables, as `fit` does when an epoch begins."""
    values = model._get_jax_state(**dict.fromkeys(_GROUPS, True), purge_model_variables=True)
    model._jax_state_synced = False
    return values


def hand_over(model: Any, values: Sequence[Any]) -> None:
    """Let `fit`, on its way out, write these values to the variables."""
    model._jax_state = dict(zip(_GROUPS, values, strict=True))
    model._jax_state_synced = False


def mark_given_back(model: Any) -> None:
    """Let `fit` take the variables' values for its own."""
    model._jax_state_synced = True


def drop(model: Any) -> None:
    """Let `fit`, on its way out, write nothing to the variables."""
    if hasattr(model, "_jax_state"):
        model._jax_state = None
