"""The loss of the single batch, from a training step that reports a running mean."""

from typing import Any

from keras_lr._checks import complaint
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.values import as_constant, as_numpy


class BatchLoss:
    """Makes each step's `logs["loss"]` that step's own loss.

    Keras reports the mean since the start of the epoch. Emptying the mean before every step leaves
    the step's own value: exact with sample weights, unequal batches and regularisers, where taking
    differences of the mean is not, and is destroyed for good by one spike. Keras' own training
    step shares no metric with its loss, so only the loss is emptied there; a custom one may keep
    its loss in any of the model's metrics.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        custom = has_custom_train_step(model)
        self._metrics = model.metrics if custom else [model._loss_tracker]
        self._may_grow = custom and not ON_JAX  # metrics without variables before the first step
        self._empty: list[tuple[Any, Any]] | None = None

    def before_step(self, state: TrainingState) -> None:
        """Empty the running mean."""
        if self._may_grow:
            for metric in self._metrics:
                metric.reset_state()
            return
        if self._empty is None:  # at the first step of a fit, Keras has just emptied every metric
            variables = [variable for metric in self._metrics for variable in metric.variables]
            self._empty = [(variable, as_constant(state.read(variable))) for variable in variables]
        for variable, value in self._empty:
            state.write(variable, value)


def has_custom_train_step(model: Any) -> bool:
    """Return whether the training step is the user's own instead of Keras'."""
    if "train_step" in vars(model):
        return True
    owner = next(base for base in type(model).__mro__ if "train_step" in vars(base))
    return not owner.__module__.startswith("keras.")


def as_float(scalar: Any) -> float:
    """Return a scalar of a step's logs as a float; on JAX this waits until it is computed."""
    return float(as_numpy(scalar))


def loss_in(logs: dict[str, Any], owner: str) -> Any:
    """Return the loss in a step's logs.

    Raises:
        ValueError: If there is none, in the name of `owner`.
    """
    if "loss" not in logs:
        rule = "the model's train_step must report its loss"
        fix = 'Return a dict with the entry "loss" from train_step'
        raise ValueError(complaint(owner, rule, fix, logs=sorted(logs)))
    return logs["loss"]
