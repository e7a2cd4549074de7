"""Learning rates of single groups of layers that a plateau scales, by their factors."""

from typing import Any

from keras_lr._engine.train_function import TrainFunction
from keras_lr._keras.optimizers import groups_of, is_scheduled, rate_of
from keras_lr._keras.variables import DIRECT, VariableAccess
from keras_lr.callbacks.plateau.rates import HeldRate, ScheduledRate, ScheduleRate


class _Factor:
    """The factor of a group of layers, read and written beside those of the others."""

    def __init__(self, optimizer: Any, group: str) -> None:
        groups, self._variable = groups_of(optimizer)
        self._place = groups.index(group)

    def read(self, access: VariableAccess) -> float:
        return float(access.read(self._variable)[self._place])

    def write(self, access: VariableAccess, factor: float) -> None:
        factors = access.read(self._variable)
        factors[self._place] = factor
        access.write(self._variable, factors)


class HeldGroupRate(HeldRate):
    """The learning rate of a group, of an optimizer that holds its own in a variable.

    Args:
        optimizer: A leaf optimizer with groups.
        group: The name of the group.
    """

    is_constant = False  # what sets the optimizer's own learning rate moves it too

    def __init__(self, optimizer: Any, group: str) -> None:
        super().__init__(optimizer)
        self._factor = _Factor(optimizer, group)
        self._written: tuple[tuple[float, float], float] | None = None
        self._start = self.read(DIRECT)

    def read(self, access: VariableAccess) -> float:
        """Return the rate: as it was written, where the variables are as they were then."""
        parts = self._parts(access)
        if self._written is not None and self._written[0] == parts:
            return self._written[1]
        return parts[0] * parts[1]

    def write(self, access: VariableAccess, rate: float) -> None:
        """Set the factor so that the rate becomes this one."""
        whole, _ = self._parts(access)
        if whole > 0:
            self._factor.write(access, rate / whole)
            self._written = self._parts(access), rate

    def observe(self, access: VariableAccess) -> None:
        """Note the rate of a group that was frozen when the fit began."""
        self._start = self._start or self.read(access)

    def _parts(self, access: VariableAccess) -> tuple[float, float]:
        return float(access.read(self._variable)), self._factor.read(access)


class ScheduledGroupRate(ScheduleRate):
    """The learning rate of a group under a schedule for the whole optimizer.

    The schedule is in the optimizer, or another callback of the fit drives its learning rate.

    Args:
        model: The model in `fit`.
        optimizer: Its only leaf optimizer, with groups.
        group: The name of the group.
    """

    def __init__(self, model: Any, optimizer: Any, group: str) -> None:
        super().__init__(1.0)
        self._factor, self._function = _Factor(optimizer, group), model.train_function
        self._variable = rate_of(optimizer)
        self._inside = ScheduledRate(model, optimizer) if is_scheduled(optimizer) else None
        self._driven = self._inside is not None
        self.observe(DIRECT)

    def rescale(self, access: VariableAccess, scale: float) -> None:
        """Multiply the group's factor; nothing is compiled anew."""
        self._set(access, self._factor.read(access) * scale / self.scale)
        self.scale = scale

    def applied(self, access: VariableAccess) -> float:
        """Return the group's part of the schedule's present value."""
        inside = self._inside
        whole = access.read(self._variable) if inside is None else inside.applied(access)
        return float(whole) * self._factor.read(access)

    def observe(self, access: VariableAccess) -> None:
        """Note the highest rate. Before the first step a driver has not set any."""
        if self._driven:
            super().observe(access)

    def begin_step(self) -> None:
        """Take note that a driver sets the learning rate now."""
        self._driven = True

    def get_state(self) -> dict[str, float]:
        """Return the scales, the peak, and the factor, which a backup may have put back already."""
        return {**super().get_state(), "factor": self._factor.read(DIRECT)}

    def set_state(self, state: dict[str, float], access: VariableAccess, rate: float) -> None:
        """Go on at the scale and the factor saved."""
        super().set_state(state, access, rate)
        self._set(access, state["factor"])

    def _set(self, access: VariableAccess, factor: float) -> None:
        self._factor.write(access, factor)
        if isinstance(self._function, TrainFunction):  # a driver reads factors only after that
            self._function.state.changes.factor_writes += 1
