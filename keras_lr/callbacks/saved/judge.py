"""Choice of the best of several values of a monitored metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from keras_lr._engine.monitor import (
    check_logged,
    is_reported,
    metric_direction,
    reported_names,
)
from keras_lr._keras.variables import as_numpy
from keras_lr._keras.workers import agreed
from keras_lr.errors import check_choice, complaint

MODES = ("auto", "min", "max")
_RULE = "monitor must be a scalar in the logs"


@dataclass(frozen=True)
class Judge:
    """Compares values of a metric.

    Args:
        owner: The public name of the callback, for messages.
        monitor: Its name in the logs.
        mode: Whether a smaller or a larger value is better, or `"auto"` to ask Keras.
    """

    owner: str
    monitor: str
    mode: Literal["auto", "min", "max"] = "auto"

    def __post_init__(self) -> None:
        check_choice(self.owner, MODES, mode=self.mode)
        if not isinstance(self.monitor, str):
            rule, fix = "monitor must be a name in the logs", 'Pass "val_loss", for example'
            raise TypeError(complaint(self.owner, rule, fix, monitor=self.monitor))

    @property
    def on_validation(self) -> bool:
        """Whether the metric is one of validation."""
        return self.monitor.startswith("val_")

    def check(self, model: Any) -> None:
        """Raise if validation is known not to report the metric, or it has no direction.

        Args:
            model: A compiled model. One that has made no step yet is not known well enough.

        Raises:
            ValueError: If so.
        """
        names = reported_names(model, "test") if self.on_validation else None
        if names is None:
            return
        if not is_reported(self.monitor.removeprefix("val_"), names):
            fix = f"Pass one of {', '.join(repr(f'val_{name}') for name in names)}"
            rule = "monitor must be a metric of validation"
            raise ValueError(complaint(self.owner, rule, fix, monitor=self.monitor))
        self._sign(model)

    def check_logged(self, model: Any) -> None:
        """Raise if the fit that begins is known not to log the metric.

        Raises:
            ValueError: If so.
        """
        check_logged(self.owner, model, self.monitor, _RULE)

    def skips(self, logs: Mapping[str, Any], *, has_data: bool) -> bool:
        """Return whether an epoch is one without validation in a fit that validates some.

        Args:
            logs: The epoch's logs.
            has_data: Whether the fit has validation data.
        """
        validated = any(name.startswith("val_") for name in logs)
        return self.on_validation and has_data and not validated

    def is_better(
        self, model: Any, value: float, than: float | None, min_delta: float = 0.0
    ) -> bool:
        """Return whether a value is better than the best so far by more than `min_delta`.

        NaN and infinities are never better. Values are compared in float32, as Keras does.
        """
        if than is None:
            return math.isfinite(value)
        sign = self._sign(model)
        return bool(np.float32(sign * value + min_delta) < np.float32(sign * than))

    def best(self, model: Any, results: Sequence[Mapping[str, Any]]) -> int:
        """Return the index of the best of several validation results, the first of equal ones."""
        name = self.monitor.removeprefix("val_")
        values = [self._sign(model) * self.value(each, name) for each in results]
        return values.index(min(values, key=lambda value: math.inf if value != value else value))

    def value(self, logs: Mapping[str, Any], name: str | None = None) -> float:
        """Return the metric's value.

        Raises:
            ValueError: If it is not in the logs, or not a scalar.
        """
        name = name or self.monitor
        value = as_numpy(logs[name]) if name in logs else np.zeros(0)
        if value.size != 1:
            fix = f"Pass one of {', '.join(map(repr, sorted(logs)))}, or validation data to fit"
            raise ValueError(complaint(self.owner, _RULE, fix, monitor=self.monitor))
        return agreed(float(value.item()))

    def _sign(self, model: Any) -> float:
        mode = metric_direction(model, self.monitor) if self.mode == "auto" else self.mode
        if mode is None:
            rule, fix = "the direction of this metric is not known", 'Pass mode="min" or mode="max"'
            raise ValueError(complaint(self.owner, rule, fix, monitor=self.monitor, mode="auto"))
        return -1.0 if mode == "max" else 1.0
