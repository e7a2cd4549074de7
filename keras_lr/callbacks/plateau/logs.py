"""Reading of the monitored metric in the logs that Keras hands to callbacks."""

import math
from numbers import Real
from typing import Any

import keras
import numpy as np

from keras_lr._keras.variables import as_numpy
from keras_lr._warnings import warn
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.errors import complaint


def loss_in(logs: dict[str, Any]) -> float | None:
    """Return the training loss; None if it is not there."""
    return number_in(logs, "loss") if "loss" in logs else None


def number_in(logs: dict[str, Any], name: str) -> float:
    """Return an entry of the logs as a float; on JAX this waits until it is computed.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is not a scalar.
    """
    given = logs[name]
    known = keras.ops.is_tensor(given) or isinstance(given, Real | np.ndarray | np.generic)
    value = as_numpy(given) if known else np.array(None)
    if value.dtype.kind in "OSUMmc":  # bfloat16 is of kind V
        rule = "a metric must be a number to be monitored"
        fix = "Monitor another one, or let what writes it into the logs write a number"
        raise TypeError(complaint(OWNER, rule, fix, monitor=name, value=given))
    if value.size != 1:
        rule = "the monitored metric must be a scalar"
        fix = "Monitor another one, or make its result a single number"
        raise ValueError(complaint(OWNER, rule, fix, monitor=name, shape=value.shape))
    return float(value.item())


def is_evaluation(
    logs: dict[str, Any],
    monitor: str,
    has_data: bool,
    *,
    watch_loss: bool,
    strict: bool,
) -> bool:
    """Return whether an epoch's logs are to be judged.

    Args:
        logs: What Keras hands to callbacks.
        monitor: The name of what is monitored.
        has_data: Whether the fit has validation data: then an epoch without is no error.
        watch_loss: Whether a loss that is not finite is judged in any case.
        strict: Whether a monitor that is not there is an error, which reading it will raise; else
            it is warned of.
    """
    if monitor in logs:
        return True
    validated = any(name.startswith("val_") for name in logs)
    if monitor.startswith("val_") and has_data and not validated:
        return watch_loss and not math.isfinite(loss_in(logs) or 0.0)
    if not strict:  # in the words of Keras, which logs the learning rate last
        names = sorted(logs, key=lambda name: name.startswith("learning_rate"))
        warn(
            "Learning rate reduction is conditioned on metric "
            f"`{monitor}` which is not available. Available metrics "
            f"are: {','.join(names)}."
        )
    return strict


def monitored(logs: dict[str, Any], monitor: str, *, watch_loss: bool) -> float:
    """Return one entry of the logs as a float.

    Args:
        logs: What Keras hands to callbacks.
        monitor: The entry's name.
        watch_loss: Whether a loss that is not finite takes the place of the value: accuracy, for
            one, is finite however broken the model.

    Returns:
        Its value.

    Raises:
        TypeError: If it is not a number.
        ValueError: If there is no such entry, or if it is not a scalar.
    """
    loss = loss_in(logs) if watch_loss else None
    if loss is not None and not math.isfinite(loss):
        return loss
    if monitor not in logs:
        rule = "monitor must be in the logs"
        fix = f"Pass one of {', '.join(map(repr, sorted(logs)))}, or validation data to fit"
        raise ValueError(complaint(OWNER, rule, fix, monitor=monitor))
    return number_in(logs, monitor)
