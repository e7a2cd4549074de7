"""The loss of given data at the present weights, in mid-fit and without a trace left behind."""

from collections.abc import Callable, Iterable
from typing import Any

import keras

from keras_lr._engine.state import TrainingState
from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW, ON_TORCH
from keras_lr._keras.data import Batch, batch_length
from keras_lr._keras.kept import kept_with_step
from keras_lr._keras.models import compute_loss, has_compiled_loss
from keras_lr._keras.variables import as_numpy
from keras_lr._keras.workers import as_global
from keras_lr.errors import complaint


def loss_function(model: Any, owner: str, *, training: bool) -> "LossFunction":
    """Return a model's `LossFunction`; until the model is compiled anew it is always the same.

    Args:
        model: A compiled model.
        owner: The public name the user called, for error messages.
        training: Whether the model is run in training mode.
    """
    kept, key = kept_with_step(model), ("loss", training)
    if key not in kept:
        kept[key] = LossFunction(model, owner, training=training)
    function: LossFunction = kept[key]
    function.owner = owner
    return function


class LossFunction:
    """A model's loss on batches that it is not trained on, compiled once.

    The forward pass runs in a stateless scope: batch-norm statistics and random seeds stay as they
    are, so that the run it looks into goes on as if it had not been looked into.
    """

    def __init__(self, model: Any, owner: str, *, training: bool) -> None:
        self._model, self.owner = model, owner
        self._training = training
        self._is_known = True
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, state: TrainingState, batches: Iterable[Batch]) -> float:
        """Return the mean loss over the batches' samples, as `Model.evaluate` defines it."""
        total = samples = 0.0
        for batch in batches:
            size = batch_length(batch)
            total += size * self._batch_loss(state, batch)
            samples += size
        return total / samples

    def _batch_loss(self, state: TrainingState, batch: Batch) -> float:
        if self._compiled is None:
            self._compiled = self._compile()
        values = state.carried() if ON_JAX else ()
        loss = float(as_numpy(self._compiled(values, as_global(batch))))
        if not self._is_known:
            rule = "the loss of data that is not trained on must be known outside of train_step"
            fix = "Pass loss= to compile, or override compute_loss"
            raise ValueError(complaint(self.owner, rule, fix, loss=None))
        return loss

    def _compile(self) -> Callable[..., Any]:
        if self._model.run_eagerly and not ON_TORCH:
            return self._loss
        if ON_JAX:
            import jax

            compiled: Callable[..., Any] = jax.jit(self._loss)
        elif ON_TENSORFLOW:
            import tensorflow as tf

            compiled = tf.function(self._loss, reduce_retracing=True)
        else:
            compiled = self._torch_loss
        return compiled

    def _torch_loss(self, *arguments: Any) -> Any:
        import torch

        # Dropout on torch follows the global generator, which the run must find as it was.
        with torch.no_grad(), torch.random.fork_rng(range(torch.cuda.device_count())):
            return self._loss(*arguments)

    def _loss(self, values: Any, batch: Batch) -> Any:
        model = self._model
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        variables = [
            *model.metrics_variables,
            *model.trainable_variables,
            *model.non_trainable_variables,
        ]
        if values:
            trainable, non_trainable, _, metrics = values
            present = [*metrics, *trainable, *non_trainable]
        else:
            present = [variable.value for variable in variables]
        mapping = list(zip(variables, present, strict=True))
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
            y_pred = model(x, training=self._training)
            self._is_known = self._knows_a_loss()
            if not self._is_known:
                return keras.ops.zeros(())
            return compute_loss(model, x, y, y_pred, sample_weight, training=self._training)

    def _knows_a_loss(self) -> bool:
        # A train_step may compute a loss of its own. Keras would then raise here, and on JAX say 0.
        model = self._model
        own = type(model).compute_loss is not keras.Model.compute_loss
        return own or has_compiled_loss(model) or bool(model.losses)
