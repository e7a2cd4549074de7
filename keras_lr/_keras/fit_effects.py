"""The attributes that `fit` itself sets on a model, kept around a run of our own."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_lr._keras.backend import ON_JAX, ON_TORCH
from keras_lr._keras.variables import VariableSnapshot, read_variable, write_variable

# What `fit` itself sets on a model. These follow their own rules: see `fit_effects_kept`.
FIT_ATTRIBUTES = frozenset(
    {
        "history",
        "stop_training",
        "train_function",
        "make_train_function",
        "compile",
        "test_function",
        "_initial_epoch",
        "_eval_epoch_iterator",
        "_jax_state",
        "_jax_state_synced",
    }
)


@contextlib.contextmanager
def fit_effects_kept(model: Any) -> Iterator[None]:
    """Put back what a `fit` of our own sets: history, stop flag, metrics, the modes of torch.

    A train function made meanwhile stays: it is the one the next `fit` would make.
    """
    attributes = vars(model)
    names = ("history", "stop_training", "_initial_epoch")
    before = {name: attributes[name] for name in names if name in attributes}
    attributes["_initial_epoch"] = None  # BackupAndRestore leaves there where a run went on
    metrics = VariableSnapshot(_readable_metrics(model), read_variable)
    with contextlib.ExitStack() as undo:
        if ON_TORCH:
            undo.enter_context(_modes_kept(model))
        try:
            yield
        finally:
            for name in names:
                attributes.pop(name, None)
            attributes.update(before)
            metrics.restore(write_variable)


@contextlib.contextmanager
def _modes_kept(model: Any) -> Iterator[None]:
    import torch

    modes = [(module, module.training) for module in model.modules()]
    records = torch.is_grad_enabled()  # Ctrl-C in the exit of a `no_grad` would leave it off
    try:
        yield
    finally:
        torch.set_grad_enabled(records)
        for module, mode in modes:
            module.training = mode


def _readable_metrics(model: Any) -> list[Any]:
    if ON_JAX and not vars(model).get("_jax_state_synced", True):
        model.jax_state_sync()  # in a callback of another `fit`, which carries the values
    # After a `fit` that was cut off on JAX they may have none.
    return [variable for variable in model.metrics_variables if variable._value is not None]
