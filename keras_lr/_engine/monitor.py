"""Monitored metrics: their direction, whether a fit validates, the loss of a single batch."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from keras_lr._engine.state import TrainingState
from keras_lr._keras.models import direction_of, loss_tracker
from keras_lr._keras.running_fit import fit_argument
from keras_lr.errors import complaint


def metric_direction(model: Any, monitor: str) -> Literal["min", "max"] | None:
    """Return whether a smaller or a larger value is better, as Keras' own callbacks infer it.

    Args:
        model: A model whose metrics are built.
        monitor: A name in `logs`.

    Returns:
        `"min"`, `"max"`, or None where Keras does not know.
    """
    name = monitor.removeprefix("val_")
    # "batch_loss" and the losses of single outputs are losses too; Keras knows only "loss".
    if name == "loss" or name.endswith("_loss"):
        return "min"
    for metric in _flat_metrics(model.metrics):
        if metric.name == name and direction_of(metric):
            return direction_of(metric)
    return None


def _flat_metrics(metrics: Any) -> Iterator[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)  # the container that `compile` makes
        yield from _flat_metrics(inner) if inner else [metric]


def has_validation_data(model: Any) -> bool:
    """Return whether the running `fit` of a model has validation data, also if split off by it."""
    return fit_argument(model, "validation_data") is not None


BATCH_LOSS = "batch_loss"


class ExactLoss:
    """The exact loss of each batch, with Keras' running mean left as it is.

    The mean is set aside before the step, so that the step's own loss is all that is in it, and
    the two are added up again afterwards.

    Args:
        model: The model in `fit`.
        owner: The public name the user called, for error messages.
    """

    def __init__(self, model: Any, owner: str) -> None:
        self._owner = owner
        self._total, self._count = loss_tracker(model).variables
        self._aside = np.zeros(()), np.zeros(())

    def before_step(self, state: TrainingState) -> None:
        """Set the running mean aside."""
        self._aside = state.read(self._total), state.read(self._count)
        state.write(self._total, np.zeros_like(self._aside[0]))
        state.write(self._count, np.zeros_like(self._aside[1]))

    def put_back(self, state: TrainingState) -> None:
        """Put the running mean back: there was no step."""
        state.write(self._total, self._aside[0])
        state.write(self._count, self._aside[1])

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> float:
        """Return the step's loss; put the running mean back, into `logs` too."""
        total, count = state.read(self._total), state.read(self._count)
        if count == 0:
            rule = "the training step must report its loss through compute_loss"
            fix = 'Monitor "loss", or another name in its logs'
            received = {"monitor": BATCH_LOSS, "logs": sorted(logs)}
            raise ValueError(complaint(self._owner, rule, fix, **received))
        loss = float(total / count)
        total, count = total + self._aside[0], count + self._aside[1]
        state.write(self._total, total)
        state.write(self._count, count)
        logs["loss"] = total / count
        return loss
