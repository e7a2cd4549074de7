"""Learning rates that a plateau scales: held in a variable, given by a schedule, or driven."""

from typing import Any, Protocol

from keras_lr._engine.hooks import compile_anew
from keras_lr._engine.step import StepHook
from keras_lr._engine.train_function import TrainFunction
from keras_lr._keras.in_graph import batches_per_step
from keras_lr._keras.optimizers import (
    groups_of,
    is_scheduled,
    iterations_of,
    rate_of,
    set_rate,
)
from keras_lr._keras.variables import DIRECT, VariableAccess, as_numpy, read_variable
from keras_lr.schedules.scaled import Scaled


class ScalableRate(Protocol):
    """A learning rate as a plateau controller sees it: a number to read, and one to write.

    Attributes:
        is_constant: Whether nothing but the controller is to change it.
    """

    is_constant: bool

    @property
    def start(self) -> float:
        """What bounds and restarts refer to, in the same unit as the rate."""

    def read(self, access: VariableAccess) -> float:
        """Return the rate."""

    def write(self, access: VariableAccess, rate: float) -> None:
        """Make `rate` the one of the next update."""

    def applied(self, access: VariableAccess) -> float:
        """Return the learning rate of the next update."""

    def observe(self, access: VariableAccess) -> None:
        """Look at where a schedule is now."""

    def begin_step(self) -> None:
        """Take note that a step begins."""

    def get_state(self) -> dict[str, float]:
        """Return what must be remembered, beside the rate itself."""

    def set_state(self, state: dict[str, float], access: VariableAccess, rate: float) -> None:
        """Go on from `get_state()` at `rate`."""


class HeldRate:
    """A learning rate that an optimizer holds in a variable."""

    is_constant = True

    def __init__(self, optimizer: Any) -> None:
        self._variable = rate_of(optimizer)
        self._start = float(read_variable(self._variable))

    @property
    def start(self) -> float:
        """The variable's value when the fit began."""
        return self._start

    def read(self, access: VariableAccess) -> float:
        """Return the variable's value."""
        return float(access.read(self._variable))

    def write(self, access: VariableAccess, rate: float) -> None:
        """Set the variable."""
        access.write(self._variable, rate)

    def applied(self, access: VariableAccess) -> float:
        """Return the variable's value."""
        return self.read(access)

    def observe(self, access: VariableAccess) -> None:
        """Do nothing: a variable stands still."""

    def begin_step(self) -> None:
        """Do nothing."""

    def get_state(self) -> dict[str, float]:
        """Return the starting value."""
        return {"start": self._start}

    def set_state(self, state: dict[str, float], access: VariableAccess, rate: float) -> None:
        """Set starting value and variable."""
        self._start = state["start"]
        self.write(access, rate)


class ScheduleRate:
    """The part that rates under a schedule share: a scale, and the schedule's peak as its unit.

    A schedule may begin or end near zero. Its highest value seen so far is what says how large the
    learning rate "is" when an absolute bound is asked about.
    """

    is_constant = False

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._first_scale = scale
        self._peak = 0.0

    @property
    def start(self) -> float:
        """The peak at the scale it had when the fit began."""
        return self._peak * self._first_scale

    def read(self, access: VariableAccess) -> float:
        """Return the scaled peak."""
        return self._peak * self.scale

    def write(self, access: VariableAccess, rate: float) -> None:
        """Scale the schedule so that its peak becomes `rate`."""
        if self._peak > 0:
            self.rescale(access, rate / self._peak)

    def observe(self, access: VariableAccess) -> None:
        """Note the schedule's value if it is the highest so far."""
        self._peak = max(self._peak, self.applied(access) / self.scale)

    def begin_step(self) -> None:
        """Do nothing."""

    def get_state(self) -> dict[str, float]:
        """Return the scales and the peak."""
        return {"scale": self.scale, "first_scale": self._first_scale, "peak": self._peak}

    def set_state(self, state: dict[str, float], access: VariableAccess, rate: float) -> None:
        """Go on at the scale saved, which is `rate` in other words but not to the last bit."""
        self._first_scale, self._peak = state["first_scale"], state["peak"]
        self.rescale(access, state["scale"])

    def applied(self, access: VariableAccess) -> float:
        """Return the scaled schedule's present value."""
        raise NotImplementedError

    def rescale(self, access: VariableAccess, scale: float) -> None:
        """Change the scale."""
        raise NotImplementedError


class ScheduledRate(ScheduleRate):
    """A learning rate that an optimizer computes from a schedule, inside the training step.

    The scale is a constant of the compiled step, so each change of it compiles the step anew. A
    variable would change the optimizer's list of variables, and with it every checkpoint.
    """

    def __init__(self, model: Any, optimizer: Any) -> None:
        self._model, self._optimizer = model, optimizer
        present = rate_of(optimizer)
        super().__init__(present.scale if isinstance(present, Scaled) else 1.0)
        self.observe(DIRECT)

    def rescale(self, access: VariableAccess, scale: float) -> None:
        """Multiply the optimizer's schedule by `scale`."""
        if scale == self.scale:
            return
        self.scale = scale
        present = rate_of(self._optimizer)
        raw = present.schedule if isinstance(present, Scaled) else present
        # Past the public setter, which this library's optimizers refuse in the middle of a step.
        set_rate(self._optimizer, Scaled(raw, scale))
        compile_anew(self._model)

    def applied(self, access: VariableAccess) -> float:
        """Return the scaled schedule's value at the coming update."""
        batch = int(access.read(iterations_of(self._optimizer)))
        step = batch // batches_per_step(self._optimizer)
        return float(as_numpy(rate_of(self._optimizer)(step)))


class DrivenRate(ScheduleRate):
    """The learning rates that another callback of the same fit drives, or one of them.

    Args:
        model: The model in `fit`.
        part: The only rate that is meant: that of an optimizer, by the ending of its name in logs,
            or of a group of layers whose driver gives each its own; None for all of them.
    """

    def __init__(self, model: Any, part: str | None = None) -> None:
        super().__init__(1.0)
        self._function, self._part = model.train_function, part
        self._driven = False
        self._lag = 1.0
        self.follow(model)

    def follow(self, model: Any) -> None:
        """Go over to the optimizers that are driven now."""
        driven = driven_optimizers(model)
        self._variables = [rate_of(leaf) for leaf in driven.values()]
        self._key: str | int | None = self._part
        self._factor: tuple[Any, int] | None = None
        if self._part in driven:
            self._variables = [rate_of(driven[self._part])]
            self._key = id(self._variables[0])
        elif self._part is not None:
            groups, factors = groups_of(next(iter(driven.values())))
            self._factor = factors, groups.index(self._part)
        self._tell()

    def rescale(self, access: VariableAccess, scale: float) -> None:
        """Tell the driver what to multiply by from the next update on."""
        self._lag *= scale / self.scale
        self.scale = scale
        self._tell()

    def applied(self, access: VariableAccess) -> float:
        """Return the largest of the learning rates, with a scale the driver is yet to take over."""
        rate = self._lag * max(float(access.read(variable)) for variable in self._variables)
        if self._factor is None:
            return rate
        factors, place = self._factor
        return rate * float(access.read(factors)[place])

    def observe(self, access: VariableAccess) -> None:
        """Note the highest rate. Before the first step the driver has not set any."""
        if self._driven:
            super().observe(access)

    def begin_step(self) -> None:
        """Take note that the driver sets the learning rate now, scale included."""
        self._driven, self._lag = True, 1.0

    def _tell(self) -> None:
        if self._key is None:
            self._function.state.changes.scale = self.scale
        else:
            self._function.state.changes.scales[self._key] = self.scale


def driver_of(model: Any) -> StepHook | None:
    """Return the hook that drives the learning rate in the running `fit`, if there is one."""
    function = model.train_function
    hooks = function.hooks if isinstance(function, TrainFunction) else []
    return next((hook for hook in hooks if hook.drives_learning_rate), None)


def driven_optimizers(model: Any) -> dict[str, Any]:
    """Return the leaf optimizers that it drives, by their names in logs."""
    driver = driver_of(model)
    return {} if driver is None else driver.optimizers()


def scalable_rate(model: Any, optimizer: Any) -> ScalableRate:
    """Return the handle on a leaf optimizer's learning rate."""
    return ScheduledRate(model, optimizer) if is_scheduled(optimizer) else HeldRate(optimizer)
