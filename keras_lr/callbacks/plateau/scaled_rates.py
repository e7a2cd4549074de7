"""The learning rates of a fit that a plateau scales, read and written together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_lr._engine.applied_rate import AppliedRate
from keras_lr._engine.named_optimizers import named_leaves
from keras_lr._keras.models import build_optimizer
from keras_lr._keras.optimizers import leaf_optimizers
from keras_lr._keras.variables import DIRECT, VariableAccess
from keras_lr.callbacks.plateau.rates import (
    DrivenRate,
    ScalableRate,
    driven_optimizers,
    is_driven,
    scalable_rate,
)
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.callbacks.schedule.observed import rate_name
from keras_lr.errors import complaint


class ScaledRates:
    """One learning rate for each optimizer; a driver's are scaled as one.

    Args:
        model: The model in `fit`.
        find: Returns the optimizers whose learning rates are scaled, by the ending of their names
            in logs.
        named: Whether the user has named these; else, where a driver drives some, it is those.

    Raises:
        ValueError: If only some of the optimizers are to be scaled, and a driver drives them all,
            or if one has a learning rate that cannot be scaled.

    Attributes:
        driven: Whether another callback of the fit drives the learning rate.
        named: As above.
        names: The endings of their names in logs.
        observed: The optimizers whose learning rates are logged, by these endings.
        leaves: The optimizers of which at least one must make updates.
    """

    def __init__(self, model: Any, find: Callable[[], dict[str, Any]], *, named: bool) -> None:
        self.driven = is_driven(model)
        self.named = named
        self._model, self._find = model, find
        self._left: list[float] = []  # the rates as last written, as their precision holds them
        self._rates: list[ScalableRate] = [DrivenRate(model)] if self.driven else []
        self._take_optimizers()

    def _take_optimizers(self) -> None:
        driven = driven_optimizers(self._model)
        optimizers = driven if driven and not self.named else self._find()
        self._compiled = vars(self._model).get("optimizer")
        _check_choice(optimizers, driven)
        self.names = [""] if self.driven else list(optimizers)
        if not self.driven:
            self._rates = [scalable_rate(self._model, each) for each in optimizers.values()]
        self.observed = dict(optimizers)
        compiled = leaf_optimizers(self._compiled) if self._compiled is not None else []
        if all(any(each is leaf for leaf in compiled) for each in optimizers.values()):
            self.observed = named_leaves(self._model, None, OWNER)
        self.leaves = [*optimizers.values(), *compiled]  # of these some may have no weights

    def follow(self) -> bool:
        """Go over to the optimizer that the model has been compiled with since; whether it has."""
        if vars(self._model).get("optimizer") is self._compiled:
            return False
        build_optimizer(self._model)
        self._take_optimizers()
        for rate in self._rates:
            if isinstance(rate, DrivenRate):
                rate.follow(self._model)
        self._left = []
        return True

    @property
    def starts(self) -> list[float]:
        """What bounds and restarts refer to, for each."""
        return [rate.start for rate in self._rates]

    def read(self, access: VariableAccess = DIRECT) -> list[float]:
        """Return the rates, as the controller sees them."""
        return [rate.read(access) for rate in self._rates]

    def applied(self, access: VariableAccess = DIRECT) -> dict[str, float]:
        """Return the learning rates of the next update, by the names they are logged under."""
        pairs = zip(self.names, self._rates, strict=True)
        return {rate_name(name): rate.applied(access) for name, rate in pairs}

    def observe(self, access: VariableAccess = DIRECT) -> None:
        """Look at where the schedules are."""
        for rate in self._rates:
            rate.observe(access)

    def begin_step(self) -> None:
        """Take note that a step begins."""
        for rate in self._rates:
            rate.begin_step()

    def write(
        self, before: Sequence[float], after: Sequence[float], access: VariableAccess
    ) -> None:
        """Change the rates that a decision changes."""
        for rate, old, new in zip(self._rates, before, after, strict=True):
            if new != old:
                rate.write(access, new)
        self._left = self.read(access)

    def overwritten(self, present: Sequence[float]) -> tuple[float, float] | None:
        """Return a rate that was written here, and what something else has set it to since."""
        for rate, left, found in zip(self._rates, self._left, present, strict=bool(self._left)):
            if rate.is_constant and found != left:
                return left, found
        return None

    def get_state(self) -> list[dict[str, float]]:
        """Return what must be remembered of each, beside the rate itself."""
        return [rate.get_state() for rate in self._rates]

    def check_state(self, saved: Sequence[Mapping[str, float]]) -> None:
        """Raise a ValueError if a state is of other optimizers, or of rates given otherwise."""
        if len(saved) != len(self._rates):
            rule = "a state fits only a model with as many optimizers"
            fix = f"Load a state of {len(self._rates)}"
            raise ValueError(complaint(OWNER, rule, fix, optimizers=len(saved)))
        for rate, each in zip(self._rates, saved, strict=True):
            if set(each) != set(rate.get_state()):
                rule = "a state of a scheduled learning rate fits only a scheduled one"
                fix = "Give the learning rate as before, or begin without the state"
                raise ValueError(complaint(OWNER, rule, fix, rates=saved))

    def set_state(
        self, saved: Sequence[dict[str, float]], present: Sequence[float], *, written: bool
    ) -> None:
        """Go on from `get_state()`, at given rates.

        Args:
            saved: What `get_state` returned.
            present: The rates.
            written: Whether they were written here.
        """
        for rate, each, value in zip(self._rates, saved, present, strict=True):
            rate.set_state(each, DIRECT, value)
        self._left = self.read() if written else []


def _check_choice(chosen: Mapping[str, Any], driven: Mapping[str, Any]) -> None:
    if any(all(leaf is not each for each in chosen.values()) for leaf in driven.values()):
        rule = "optimizers cannot be chosen where another callback drives the learning rate"
        fix = "Leave optimizers out, and all of them are scaled"
        raise ValueError(complaint(OWNER, rule, fix, optimizers=list(chosen)))
    for optimizer in chosen.values():
        rate = AppliedRate(optimizer).schedule
        if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule | None):
            rule = "the optimizer's learning rate must be a number or a schedule"
            fix = "Make a schedule of it, by keras_lr.schedules.FromCallable for example"
            raise ValueError(complaint(OWNER, rule, fix, learning_rate=rate))
