"""What is monitored: which way a metric gets better, whether validation runs, one batch's loss."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from keras_lr._checks import complaint
from keras_lr._keras.training_state import TrainingState


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
        if metric.name == name and hasattr(metric, "_direction"):
            return "max" if metric._direction == "up" else "min"
    return None


def _flat_metrics(metrics: Any) -> Iterator[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)  # the container that `compile` makes
        yield from _flat_metrics(inner) if inner else [metric]


class ValidationWatch:
    """Tells a fit without validation data from one that validates in some epochs only.

    `fit` asks the model whether an epoch is to be validated only if there is data for it.
    """

    def __init__(self, model: Any) -> None:
        self.has_data = False
        self._model = model
        should_eval = type(model)._should_eval

        def watched(epoch: int, validation_freq: Any) -> bool:
            self.has_data = True
            return bool(should_eval(model, epoch, validation_freq))

        vars(model)["_should_eval"] = watched

    def stop(self) -> None:
        """Give the model its own method back."""
        vars(self._model).pop("_should_eval", None)


BATCH_LOSS = "batch_loss"


class ExactLoss:
    """The exact loss of each batch, with Keras' running mean left as it is.

    The mean is set aside before the step, so that the step's own loss is all that is in it, and
    the two are added up again afterwards.
    """

    def __init__(self, model: Any) -> None:
        self._total, self._count = model._loss_tracker.variables
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
            raise ValueError(
                complaint("ReduceOnPlateauPlus", rule, fix, monitor=BATCH_LOSS, logs=sorted(logs))
            )
        loss = float(total / count)
        total, count = total + self._aside[0], count + self._aside[1]
        state.write(self._total, total)
        state.write(self._count, count)
        logs["loss"] = total / count
        return loss
