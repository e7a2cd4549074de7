"""The loss of given data as the model's own training or test step reports it, the step undone."""

from collections.abc import Callable, Iterable
from typing import Any

import keras

from keras_lr._engine.batch_loss import (
    BatchLoss,
    Monitor,
    as_float,
    has_custom_step,
    has_custom_train_step,
    loss_in,
)
from keras_lr._engine.evaluation import loss_function
from keras_lr._engine.snapshot import ModelSnapshot
from keras_lr._engine.state import TrainingState
from keras_lr._engine.train_function import plain_function
from keras_lr._keras.backend import ON_JAX, ON_TORCH
from keras_lr._keras.data import Batch, batch_length
from keras_lr._keras.executions import execution_of
from keras_lr._keras.models import has_compiled_loss
from keras_lr._keras.random import RandomSnapshot
from keras_lr._keras.workers import as_global

LossOfBatches = Callable[[TrainingState, Iterable[Batch]], float]


def probe_loss(model: Any, owner: str, monitor: Monitor | None = None) -> LossOfBatches:
    """Return the loss of batches in training mode, as a function that leaves no trace.

    A model with a training step of its own is asked by that step: it need not have a `call` or a
    compiled loss, and may train by another loss than that.
    """
    if monitor is not None or has_custom_train_step(model):
        return StepLoss(model, owner, monitor)
    return loss_function(model, owner, training=True)


def validation_loss(model: Any, owner: str, monitor: Monitor | None = None) -> LossOfBatches | None:
    """Return the loss of batches as `Model.evaluate` gives it; None where that has none to give."""
    if not can_validate(model):
        return None
    if monitor is not None or has_custom_step(model, "test_step"):
        return StepLoss(model, owner, monitor, testing=True)
    return loss_function(model, owner, training=False)


def can_validate(model: Any) -> bool:
    """Return whether a model's test step can say a loss."""
    own = has_custom_step(model, "test_step")
    return own or not (has_custom_train_step(model) and why_no_loss(model))


def why_no_loss(model: Any) -> str | None:
    """Return why a loss cannot be computed outside of the training step; None if it can."""
    none = (keras.Model.call, keras.layers.Layer.call)
    if type(model).call in none and "call" not in vars(model):
        return "the model has no call"
    own = type(model).compute_loss is not keras.Model.compute_loss
    if own or has_compiled_loss(model) or model.losses:
        return None
    return "the model was compiled without a loss"


class StepLoss:
    """What a training step reports of batches. Whatever it changes is put back after each.

    Args:
        model: A compiled model.
        owner: The public name the user called, for error messages.
        monitor: What to read from the step's logs; None for the loss.
        testing: Whether to run the test step instead.
    """

    def __init__(
        self, model: Any, owner: str, monitor: Monitor | None, *, testing: bool = False
    ) -> None:
        self._model, self._owner, self._monitor = model, owner, monitor
        self._testing = testing
        self._batch_loss = BatchLoss(model, everything=True)

    def __call__(self, state: TrainingState, batches: Iterable[Batch]) -> float:
        """Return the mean over the batches, weighted by their samples."""
        present, generators = ModelSnapshot(self._model, state), RandomSnapshot()
        total = samples = 0.0
        try:
            for batch in batches:
                self._batch_loss.before_step(state)
                logs = self._step(state, batch)
                size = batch_length(batch)
                step = "test_step" if self._testing else "train_step"
                total += size * as_float(loss_in(logs, self._owner, self._monitor, step))
                samples += size
                present.restore_values(state)
                generators.restore()
        finally:
            if ON_TORCH:
                self._model.train()
        return total / samples

    def _step(self, state: TrainingState, batch: Batch) -> Any:
        execution = execution_of(self._model, [as_global(batch)])
        if self._testing:
            return self._test(state, execution)
        function = plain_function(self._model)
        if not ON_JAX:
            return function(execution)
        logs, values = function(state.carried(), execution)
        state.carry(values)
        return logs

    def _test(self, state: TrainingState, execution: Any) -> Any:
        model = self._model
        model.make_test_function()
        if not ON_JAX:
            if ON_TORCH:
                model.eval()
            return model.test_function(execution)
        trainable, other, optimizer, metrics = state.carried()
        logs, values = model.test_function((trainable, other, metrics), execution)
        trainable, other, metrics = values
        state.carry((trainable, other, optimizer, metrics))
        return logs
