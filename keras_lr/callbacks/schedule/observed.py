"""The learning rates for the logs, where the optimizers have them from themselves."""

from collections.abc import Mapping
from typing import Any

from keras_lr._engine.applied_rate import AppliedRate
from keras_lr._engine.group_rates import rates_by_group
from keras_lr._keras.optimizers import groups_of
from keras_lr._keras.variables import VariableAccess
from keras_lr.callbacks.schedule.bound import CachedValues


class Observed:
    """The learning rates of optimizers, read and left alone.

    Args:
        optimizers: Leaf optimizers by the ending of their names in logs.
    """

    def __init__(self, optimizers: Mapping[str, Any]) -> None:
        self._rates = {rate_name(name): _OneRate(leaf) for name, leaf in optimizers.items()}

    def last(self, access: VariableAccess) -> dict[str, float]:
        """Return what the last step has used, by names for the logs."""
        applied: dict[str, float] = {}
        for name, rate in self._rates.items():
            applied[name] = last = rate.last(access)
            if rate.groups:
                factors = access.read(rate.factors)
                applied |= rates_by_group(name, last, rate.groups, factors)
        return applied

    def coming(self, access: VariableAccess) -> dict[str, float]:
        """Return what the schedules in the optimizers give for the coming step."""
        rates = {name: rate.coming(access) for name, rate in self._rates.items()}
        return {name: rate for name, rate in rates.items() if rate is not None}


def with_largest(applied: dict[str, float]) -> dict[str, float]:
    """Return what is logged of a step; the largest of several rates is `learning_rate`."""
    rates = {name: rate for name, rate in applied.items() if name.startswith("learning_rate")}
    # That of an optimizer with groups is only what these have factors on.
    bases = {name.partition("/")[0] for name in rates if "/" in name}
    largest = max(rate for name, rate in rates.items() if name not in bases)
    others = {name: rate for name, rate in applied.items() if name not in bases}
    return {"learning_rate": largest, **others}


def rate_name(name: str) -> str:
    """Return the name in logs of the learning rate of an optimizer; an empty one is the only."""
    return f"learning_rate_{name}" if name else "learning_rate"


class _OneRate:
    def __init__(self, optimizer: Any) -> None:
        self._observation = AppliedRate(optimizer)
        self.groups, self.factors = groups_of(optimizer)
        self._schedule: Any = None
        self._values = CachedValues(None)
        self._known: tuple[int, float] = (-1, 0.0)  # a user's function is called once for a step

    def last(self, access: VariableAccess) -> float:
        if self._observation.schedule is None:
            return self._observation.last_held(access)
        return self._at(self._observation.last_step(access))

    def coming(self, access: VariableAccess) -> float | None:
        if self._observation.schedule is None:
            return None
        return self._at(self._observation.coming_step(access))

    def _at(self, step: int) -> float:
        schedule = self._observation.schedule
        if schedule is not self._schedule:
            self._schedule, self._values = schedule, CachedValues(schedule)
            self._known = (-1, 0.0)
        if step != self._known[0]:
            self._known = step, float(self._values(step))
        return self._known[1] * self._observation.scale
