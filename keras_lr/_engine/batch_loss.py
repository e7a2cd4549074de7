"""The loss of the single batch, from a training step that reports a running mean."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_lr._engine.state import TrainingState
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.models import loss_tracker
from keras_lr._keras.variables import as_constant, as_numpy
from keras_lr.errors import complaint

# What to watch instead of the loss: a name in the step's logs, or a function of the logs.
Monitor = str | Callable[[dict[str, float]], float]


class BatchLoss:
    """Makes each step's `logs["loss"]` that step's own loss.

    Keras reports the mean since the start of the epoch. Emptying the mean before every step leaves
    the step's own value: exact with sample weights, unequal batches and regularisers, where taking
    differences of the mean is not, and is destroyed for good by one spike. Keras' own training
    step shares no metric with its loss, so only the loss is emptied there; a custom one may keep
    its loss in any of the model's metrics.

    Args:
        model: A compiled model.
        everything: Whether all metrics are to be those of the single step, as for a monitor.
    """

    def __init__(self, model: Any, *, everything: bool = False) -> None:
        self._model = model
        custom = everything or has_custom_train_step(model)
        self._metrics = model.metrics if custom else [loss_tracker(model)]
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
    return has_custom_step(model, "train_step")


def has_custom_step(model: Any, name: str) -> bool:
    """Return whether `train_step` or `test_step` is the user's own instead of Keras'."""
    if name in vars(model):
        return True
    owner = next(base for base in type(model).__mro__ if name in vars(base))
    return not owner.__module__.startswith("keras.")


def as_float(scalar: Any) -> float:
    """Return a scalar of a step's logs as a float; on JAX this waits until it is computed.

    Raises:
        ValueError: If it is not one number.
    """
    value = as_numpy(scalar)
    if value.size != 1:
        rule = "what a training step reports must be one number"
        raise ValueError(complaint("train_step", rule, "Report its mean", shape=value.shape))
    return float(value.reshape(()))


def flat_logs(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step's logs as `fit` flattens them: entries that are dicts give way to their own.

    Such are the compiled metrics in the training step of Keras' guide.
    """
    flat: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        flat |= flat_logs(value) if isinstance(value, Mapping) else {name: value}
    return flat


def float_logs(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return those of a step's logs that are one number, as floats."""
    numbers = {name: as_numpy(value) for name, value in flat_logs(logs).items()}
    return {name: as_float(value) for name, value in numbers.items() if value.size == 1}


def loss_in(
    logs: Mapping[str, Any],
    owner: str,
    monitor: Monitor | None = None,
    step: str = "train_step",
) -> Any:
    """Return what is watched in a step's logs: the loss, or what `monitor` says.

    Args:
        logs: What the step returned.
        owner: The public name the user called, for error messages.
        monitor: A name in the logs, a function of them, or None for the loss.
        step: The name of the step, for error messages.

    Raises:
        ValueError: If it is not there, in the name of `owner`.
        TypeError: If a function returns no number.
    """
    if callable(monitor):
        numbers = float_logs(logs)
        try:
            value = monitor(numbers)
        except KeyError as error:
            rule = f"the monitor must look for what {step} reports"
            received = {"missing": error.args[0], "logs": sorted(numbers)}
            raise ValueError(complaint(owner, rule, "Use one of these", **received)) from error
        try:
            return float(value)
        except (TypeError, ValueError):
            rule = "the monitor must return a number"
            fix = "Return a float, such as logs['d_loss']"
            raise TypeError(complaint(owner, rule, fix, returned=value)) from None
    name, logs = monitor or "loss", flat_logs(logs)
    if name not in logs:
        watched = "its loss" if monitor is None else "what is watched"
        rule = f"the model's {step} must report {watched}"
        fix = f'Return a dict with the entry "{name}" from {step}, or pass monitor=...'
        if monitor is not None:
            fix = f"Pass one of these, or let {step} return it too"
        raise ValueError(complaint(owner, rule, fix, monitor=name, logs=sorted(logs)))
    return logs[name]


def check_monitor(owner: str, monitor: object) -> None:
    """Raise unless `monitor` is a name, a function or None."""
    is_name = isinstance(monitor, str) and bool(monitor)
    if not (monitor is None or is_name or callable(monitor)):
        rule = "monitor must be a name in the step's logs, or a function of them"
        fix = 'Pass "d_loss", say, or lambda logs: logs["d_loss"]'
        raise TypeError(complaint(owner, rule, fix, monitor=monitor))
