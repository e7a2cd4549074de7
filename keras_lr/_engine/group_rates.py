"""The learning rates of an optimizer's groups of layers: read for logs, and set one by one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_lr._engine.hyperparameters import Hyperparameter
from keras_lr._engine.rate_writes import RateWrites
from keras_lr._engine.state import TrainingState


def rates_by_group(
    name: str, rate: float, groups: Sequence[str], factors: Sequence[float]
) -> dict[str, float]:
    """Return the learning rates of groups by their names in logs.

    Args:
        name: The name in logs of the optimizer's learning rate.
        rate: That rate.
        groups: The names of the groups.
        factors: Their factors.
    """
    pairs = zip(groups, factors, strict=True)
    return {f"{name}/{group}": rate * float(factor) for group, factor in pairs}


class GroupFactors:
    """The factors of groups, read again only after something has assigned to them.

    Args:
        groups: The names of the groups.
        variable: The variable of their factors.
    """

    def __init__(self, groups: Sequence[str], variable: Any) -> None:
        self._groups, self._variable = groups, variable
        self._writes = RateWrites([variable])
        self._known: Any = None
        self._factor_writes = 0

    def rates(self, rate: float, state: TrainingState) -> dict[str, float]:
        """Return the groups' learning rates by their names in logs."""
        unread = self._known is None or state.changes.factor_writes != self._factor_writes
        if unread or self._writes.noted:
            self._known, self._factor_writes = (
                state.read(self._variable),
                state.changes.factor_writes,
            )
            self._writes.settle()
        return rates_by_group("learning_rate", rate, self._groups, self._known)

    def end(self) -> None:
        """Note nothing more."""
        self._writes.end()


class GroupRates:
    """The learning rates of all groups of a leaf optimizer, each set by itself.

    The optimizer's own learning rate becomes the largest of them, the factors the others' parts of
    it. They are written when the last one has been set.

    Args:
        rate: The variable of the optimizer's learning rate.
        groups: The names of its groups.
        factors: The variable of their factors.

    Attributes:
        hyperparameters: What sets the learning rate of each group, in their order.
        written: What was last written to each variable, by its `id`.
    """

    def __init__(self, rate: Any, groups: Sequence[str], factors: Any) -> None:
        self._rate, self._groups, self._factors = rate, groups, factors
        self._values: dict[str, float] = {}
        self.written: dict[int, Any] = {}
        self.hyperparameters: list[Hyperparameter] = [_GroupKnob(self, group) for group in groups]

    def set(self, state: TrainingState, group: str, value: float) -> float:
        """Set the learning rate of a group; return it, or 0 where the group is frozen."""
        self._values[group] = value = 0.0 if group in state.changes.frozen else value
        if group == self._groups[-1]:
            self._write(state)
        return value

    def _write(self, state: TrainingState) -> None:
        values = np.array([self._values[group] for group in self._groups])
        largest = float(values.max())
        parts = values / largest if largest else np.ones_like(values)
        for variable, value in ((self._rate, largest), (self._factors, parts)):
            state.write(variable, value)
            self.written[id(variable)] = value


class _GroupKnob(Hyperparameter):
    def __init__(self, rates: GroupRates, group: str) -> None:
        super().__init__((), (), scaled=True)
        self._rates, self._group = rates, group
        self.written = rates.written

    def write(self, state: TrainingState, value: float) -> float:
        """Set the learning rate of the group, scaled or cooled as any; return it."""
        value = super().write(state, value) * state.changes.scales.get(self._group, 1.0)
        return self._rates.set(state, self._group, value)
