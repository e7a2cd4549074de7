"""The attributes of `keras.callbacks.ReduceLROnPlateau`, with its names and meanings.

They can be read at any time and set in the middle of a `fit`; what is set counts from the next
evaluation on. As in Keras, a `fit` begins with `best`, `wait` and `cooldown_counter` reset.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import keras

from keras_lr._engine.callback import FitCallback
from keras_lr.callbacks.plateau.controller import PlateauController
from keras_lr.callbacks.plateau.parameters import check_monitor, check_switches
from keras_lr.callbacks.plateau.restore_points import Policy
from keras_lr.callbacks.plateau.run import PlateauRun
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.callbacks.plateau.steps import PlateauSteps
from keras_lr.errors import check_choice, check_integer, check_number, complaint


class _Parameter:
    """A parameter of the controller."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, callback: Any, owner: type | None = None) -> Any:
        return self if callback is None else getattr(callback.controller, self._name)

    def __set__(self, callback: Any, value: Any) -> None:
        callback._change(**{self._name: value})


class _Memory:
    """What the controller's state holds in the present or last `fit`."""

    def __init__(self, field: str, check: Callable[[str, Any], Any]) -> None:
        self._field, self._check = field, check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, callback: Any, owner: type | None = None) -> Any:
        if callback is None:
            return self
        run = callback._run
        return callback._before_fit[self._name] if run is None else getattr(run.state, self._field)

    def __set__(self, callback: Any, value: Any) -> None:
        value = self._check(self._name, value)
        if callback._run is None:
            callback._before_fit[self._name] = value
        else:
            callback._run.state = replace(callback._run.state, **{self._field: value})


def _best(name: str, value: Any) -> float | None:
    if value is None:
        return None
    check_number(OWNER, "Pass a value of the metric, or None for none yet", **{name: value})
    return float(value)


def _count(name: str, value: Any) -> int:
    check_integer(OWNER, "Pass a number of evaluations", at_least=0, **{name: value})
    return int(value)


def size_of(min_delta: Any) -> float:
    """Return `min_delta` without its sign, as Keras takes it."""
    check_number(OWNER, "1e-4 is Keras' default", min_delta=min_delta)
    return abs(float(min_delta))


class KerasAttributes(FitCallback):
    """Monitor, parameters and memory of a plateau callback under Keras' names."""

    controller: PlateauController
    _policy: Policy
    _run: PlateauRun | None
    _steps: PlateauSteps | None

    factor = _Parameter()
    patience = _Parameter()
    cooldown = _Parameter()
    min_lr = _Parameter()
    best = _Memory("best", _best)
    wait = _Memory("wait", _count)
    cooldown_counter = _Memory("cooldown", _count)

    def __init__(self, monitor: str, mode: str, verbose: int) -> None:
        super().__init__()
        check_choice(OWNER, ("auto", "min", "max"), mode=mode)
        self._monitor, self._mode, self._verbose = monitor, mode, verbose
        self._operator: Literal["min", "max"] | None = None
        self._before_fit: dict[str, Any] = {"best": None, "wait": 0, "cooldown_counter": 0}

    def in_cooldown(self) -> bool:
        """Return whether evaluations are not counted now, after a change."""
        return bool(self.cooldown_counter > 0)

    @property
    def min_delta(self) -> float:
        """Smallest change that counts as an improvement; its sign is ignored."""
        return self.controller.min_delta

    @min_delta.setter
    def min_delta(self, value: float) -> None:
        self._change(min_delta=size_of(value))

    @property
    def monitor(self) -> str:
        """The name of what is monitored."""
        return self._monitor

    @monitor.setter
    def monitor(self, value: str) -> None:
        check_monitor(OWNER, value)
        self._monitor = value
        if self._steps is not None:
            self._steps.set_monitor(value)
        self._point()

    @property
    def mode(self) -> str:
        """`"min"`, `"max"` or `"auto"`, as it was set."""
        return self._mode

    @mode.setter
    def mode(self, value: str) -> None:
        check_choice(OWNER, ("auto", "min", "max"), mode=value)
        self._mode, self._operator = value, None
        self._point()

    @property
    def monitor_op(self) -> Any:
        """`keras.ops.less`, `keras.ops.greater`, or None as long as the direction is not known."""
        direction = self._direction
        if direction is None and self._run is not None:
            direction = self._run.direction
        operators = {"min": keras.ops.less, "max": keras.ops.greater}
        return None if direction is None else operators[direction]

    @monitor_op.setter
    def monitor_op(self, value: Any) -> None:
        if value is None:
            self._operator = None
        elif callable(value) and bool(value(0.0, 1.0)) != bool(value(1.0, 0.0)):
            self._operator = "min" if value(0.0, 1.0) else "max"
        else:
            rule = "monitor_op must say of two numbers whether the first is better"
            fix = "Pass keras.ops.less or keras.ops.greater, or set mode"
            raise ValueError(complaint(OWNER, rule, fix, monitor_op=value))
        self._point()

    @property
    def verbose(self) -> int:
        """1 prints each event, 0 nothing."""
        return self._verbose

    @verbose.setter
    def verbose(self, value: int) -> None:
        check_switches(OWNER, value)
        self._verbose = value
        self._policy = replace(self._policy, verbose=bool(value))
        if self._run is not None:
            self._run.policy = self._policy

    @property
    def _direction(self) -> Literal["min", "max"] | None:
        """Which values are better, unless that is to be inferred."""
        if self._operator is not None:
            return self._operator
        if self._mode == "auto":
            return None
        return "min" if self._mode == "min" else "max"

    def _point(self) -> None:
        if self._run is not None:
            self._run.monitor = self._monitor
            self._run.direction = self._direction

    def _change(self, **parameters: Any) -> None:
        self.controller = replace(self.controller, **parameters)
        if self._run is not None:
            self._run.controller = replace(self._run.controller, **parameters)
