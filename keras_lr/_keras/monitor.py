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
        self._question = _ShouldEval.of(model)
        self._question.watches.append(self)

    def stop(self) -> None:
        """Give the model its own method back, if no other callback watches."""
        self._question.leave(self)


class _ShouldEval:
    """In place of a model's `_should_eval`, for all the watches of one fit."""

    def __init__(self, model: Any) -> None:
        self.watches: list[ValidationWatch] = []
        self._model, self._fit = model, _fit(model)
        present = vars(model).get("_should_eval")
        if isinstance(present, _ShouldEval):  # left there by a fit that was cut off
            present = present._own
        self._own: Any = present
        vars(model)["_should_eval"] = self

    @classmethod
    def of(cls, model: Any) -> "_ShouldEval":
        """Return the one of the present fit."""
        present = vars(model).get("_should_eval")
        if isinstance(present, cls) and present._fit is _fit(model):
            return present
        return cls(model)

    def __call__(self, epoch: int, validation_freq: Any) -> bool:
        for watch in self.watches:
            watch.has_data = True
        own = self._own or type(self._model)._should_eval.__get__(self._model)
        return bool(own(epoch, validation_freq))

    def leave(self, watch: ValidationWatch) -> None:
        """Take a watch off; with the last one the model's own method returns."""
        if watch in self.watches:
            self.watches.remove(watch)
        if self.watches or vars(self._model).get("_should_eval") is not self:
            return
        if self._own is None:
            del vars(self._model)["_should_eval"]
        else:
            vars(self._model)["_should_eval"] = self._own


def _fit(model: Any) -> Any:
    return getattr(model, "history", None)  # `fit` makes a new one each time


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
            received = {"monitor": BATCH_LOSS, "logs": sorted(logs)}
            raise ValueError(complaint(self._owner, rule, fix, **received))
        loss = float(total / count)
        total, count = total + self._aside[0], count + self._aside[1]
        state.write(self._total, total)
        state.write(self._count, count)
        logs["loss"] = total / count
        return loss
