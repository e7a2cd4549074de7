"""Monitored metrics: their direction, whether a fit validates, the loss of a single batch."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_lr._engine.batch_loss import has_custom_step
from keras_lr._engine.state import TrainingState
from keras_lr._keras.models import direction_of, loss_tracker, metrics_are_built
from keras_lr._keras.peers import callbacks_of_caller
from keras_lr._keras.running_fit import fit_argument, running_fit
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


# What a model of one's own may override that decides what a step's metrics are called.
_REPORTING = ("compute_metrics", "get_metrics_result")
_RUNNING = {
    "train": ("train_step", "make_train_function"),
    "test": ("test_step", "make_test_function", "evaluate"),
}


def reported_names(model: Any, step: Literal["train", "test"]) -> list[str] | None:
    """Return the names of the metrics that a step reports; None where only running it tells.

    That is so for steps, and for metrics of several values, that are the user's own, and before the
    first step of a newly compiled model.

    Args:
        model: A compiled model.
        step: Which step.
    """
    if _is_own(model, step):
        return None
    metrics = list(_flat_metrics(model.metrics)) if metrics_are_built(model) else []
    if not all(type(metric).__module__.startswith("keras.") for metric in metrics):
        return None
    return list(dict.fromkeys(metric.name for metric in metrics)) or None


def is_reported(name: str, names: Sequence[str]) -> bool:
    """Return whether a name can be one of the metrics' in logs.

    With several outputs the output's name goes before a metric's, and a number follows the second
    of one name.
    """
    bare = re.sub(r"_[0-9]+$", "", name)
    return any(
        bare == each or bare.endswith(f"_{each}") or name.startswith(f"{each}_") for each in names
    )


def check_logged(
    owner: str, model: Any, monitor: str, rule: str = "monitor must be in the logs"
) -> None:
    """Raise if the running fit is known not to log what is monitored, before it trains.

    It is known where no step and no callback but Keras' and this library's write logs.

    Args:
        owner: The public name of the callback, for messages.
        model: The model in training.
        monitor: A name in the logs of epochs.
        rule: What to say.

    Raises:
        ValueError: If so.
    """
    if running_fit(model) is None or not all(map(_logs_rates_only, callbacks_of_caller(model))):
        return
    own = monitor.startswith(("learning_rate", "momentum", "weight_decay"))
    prefix = "val_" if monitor.startswith("val_") else ""
    has_data = has_validation_data(model)
    lacks_data = bool(prefix) and not has_data and not _is_own(model, "train")
    names = reported_names(model, "test" if prefix and has_data else "train")
    if lacks_data or (names and not own and not is_reported(monitor.removeprefix(prefix), names)):
        trained = names or ["loss"]
        named = [*trained, *(f"val_{name}" for name in trained if has_data)]
        more = "" if has_data else ", or validation data to fit"
        fix = f"Pass one of {', '.join(map(repr, named))}{more}"
        raise ValueError(complaint(owner, rule, fix, monitor=monitor))


def _is_own(model: Any, step: Literal["train", "test"]) -> bool:
    """Return whether what a step reports is decided by the user's own methods."""
    return any(has_custom_step(model, name) for name in (*_RUNNING[step], *_REPORTING))


def _logs_rates_only(callback: Any) -> bool:
    """Return whether a callback is known to log nothing but what it drives and averages."""
    known = type(callback).__module__.startswith(("keras.", "keras_lr."))
    return known and not isinstance(callback, keras.callbacks.LambdaCallback)


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
