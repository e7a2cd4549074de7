"""Learning rates on their way to zero: driven, held in a variable, or computed in the graph."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_lr._engine.applied_rate import AppliedRate
from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._engine.state import TrainingState
from keras_lr._engine.train_function import TrainFunction
from keras_lr._keras.optimizers import (
    accumulation_of,
    batches_of,
    is_scheduled,
    rate_of,
)
from keras_lr._keras.variables import as_numpy
from keras_lr.callbacks.cooldown.descent import Descent
from keras_lr.callbacks.schedule.observed import rate_name


class CooledSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule in an optimizer that from one step on falls from where it stands to zero.

    It is there only in a fit: what is saved meanwhile has the schedule behind it.

    Args:
        schedule: The optimizer's own.
        begin: The step from which it falls, in batches as Keras counts them.
        updates: How many updates it falls for.
        accumulation: Batches per update.
        root: Whether it falls as `1 - sqrt`.
        passed: The progress at that step, 0 at the beginning of a cooldown and 1 at its end.
    """

    def __init__(
        self,
        schedule: Any,
        begin: int,
        updates: int,
        accumulation: int,
        *,
        root: bool,
        passed: float = 0.0,
    ) -> None:
        self.schedule, self.begin, self.updates = schedule, begin, updates
        self.accumulation, self.root, self.passed = accumulation, root, passed
        first = max(begin, 0) // (accumulation if self.counts_updates else 1)
        self.peak = float(as_numpy(ops.convert_to_tensor(self._own(first))))

    @property
    def counts_updates(self) -> bool:
        """Whether its steps are updates under gradient accumulation, as the schedule's are."""
        return getattr(self.schedule, "counts_updates", False)

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step; an optimizer always hands over a count of batches."""
        by_update = self.counts_updates and not isinstance(step, keras.Variable)
        batch = ops.convert_to_tensor(step) * (self.accumulation if by_update else 1)
        passed = ops.maximum(ops.cast(batch, "int32") - self.begin, 0) // self.accumulation
        progress = ops.clip(ops.cast(passed, "float32") / self.updates, 0.0, 1.0)
        progress = self.passed + (1.0 - self.passed) * progress
        cooled = self.peak * (1.0 - (ops.sqrt(progress) if self.root else progress))
        return ops.where(batch < self.begin, ops.cast(self._own(step), "float32"), cooled)

    def value(self, updates: int) -> float:
        """Return the same in Python after so many updates of the fall."""
        progress = min(max(updates / self.updates, 0.0), 1.0)
        progress = self.passed + (1.0 - self.passed) * progress
        return self.peak * (1.0 - (math.sqrt(progress) if self.root else progress))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("schedule", "begin", "updates", "accumulation", "root", "passed")
        return {name: getattr(self, name) for name in names}

    def _own(self, step: Any) -> Any:
        if isinstance(self.schedule, keras.optimizers.schedules.LearningRateSchedule):
            return self.schedule(step)
        return self.schedule()


class Cooling:
    """What drivers of the fit multiply their learning rates by: each from where it stood.

    Args:
        bases: Where they stood, for a cooldown that goes on.

    Attributes:
        factor: What to multiply by in the coming update.
    """

    def __init__(self, bases: Sequence[float] = ()) -> None:
        self.factor = 1.0
        self._to_come = list(bases)
        self._held: dict[int, float] = {}

    @property
    def bases(self) -> list[float]:
        """The learning rates at its beginning, in the order in which they are set."""
        return [*self._held.values(), *self._to_come]

    def __call__(self, key: int, rate: float) -> float:
        """Return the learning rate that takes the place of a driver's.

        Args:
            key: Tells one of several rates from the others.
            rate: What the driver would set.
        """
        if key not in self._held:
            self._held[key] = self._to_come.pop(0) if self._to_come else rate
        return self._held[key] * self.factor


class CooledRates:
    """The learning rates of optimizers that no callback drives, on their way to zero.

    Variables are set at each update. A schedule in the optimizer gets another one around it, and
    the training step is compiled once more.

    Args:
        model: The model in `fit`, its variables up to date.
        owner: The public name of the callback.
        optimizers: Leaf optimizers by their names in logs.
        ahead: In how many batches it begins.
        descent: How far it has come, and how far it is to go.
        root: Whether rates fall as `1 - sqrt`.
        bases: Learning rates of the variables at its beginning, for one that goes on.
    """

    def __init__(
        self,
        model: Any,
        owner: str,
        optimizers: Mapping[str, Any],
        *,
        ahead: int,
        descent: Descent,
        root: bool,
        bases: Sequence[float] = (),
    ) -> None:
        leaves = list(optimizers.values())
        accumulation = accumulation_of(leaves)
        updates = descent.done + descent.left
        self._cooled: list[CooledSchedule | None] = []
        for leaf in leaves:
            begin = batches_of(leaf) + ahead - descent.done * accumulation
            arguments = (rate_of(leaf), begin, updates, accumulation)
            self._cooled.append(
                CooledSchedule(*arguments, root=root, passed=descent.begin)
                if is_scheduled(leaf)
                else None
            )
        self._names = list(map(rate_name, optimizers))
        held = [leaf for leaf in leaves if not is_scheduled(leaf)]
        self._held = [AppliedRate(leaf) for leaf in held]
        self.bases = list(bases)
        pairs = zip(leaves, self._cooled, strict=True)
        self._overrides = HyperparameterOverrides(
            model,
            owner,
            leaves=leaves,
            learning_rate="each" if held else None,
            scaled=False,
            schedules=[(leaf, cooled) for leaf, cooled in pairs if cooled is not None],
        )

    @property
    def has_schedule(self) -> bool:
        """Whether a schedule is compiled into the step, which fixes its length."""
        return any(each is not None for each in self._cooled)

    def write(self, state: TrainingState, factor: float, done: int) -> dict[str, float]:
        """Set the rates of the coming update, and return them by their names in logs."""
        if not self.bases:
            self.bases = [each.coming(state) for each in self._held]
        rates = [base * factor for base in self.bases]
        hyperparameters = self._overrides.learning_rates
        for hyperparameter, rate, observation in zip(
            hyperparameters, rates, self._held, strict=True
        ):
            hyperparameter.write(state, rate * observation.division(state))
        held = iter(rates)
        rates = [next(held) if each is None else each.value(done) for each in self._cooled]
        applied = dict(zip(self._names, rates, strict=True))
        groups = self._overrides.groups
        return applied if groups is None else applied | groups.rates(rates[0], state)

    def remove(self) -> None:
        """Give the optimizers their own rates back. Can be called again."""
        self._overrides.remove()

    def restore_keeping_user_changes(self) -> None:
        """Do so long after, but leave what has been set since."""
        self._overrides.restore_keeping_user_changes()


def is_cooling(model: Any) -> bool:
    """Return whether a cooldown sets the learning rates of the running fit."""
    function = model.train_function
    hooks = function.hooks if isinstance(function, TrainFunction) else []
    return any(getattr(hook, "is_cooling", False) for hook in hooks)


def has_hook(model: Any, owner: str) -> bool:
    """Return whether a callback of this name is at work in the running fit."""
    function = model.train_function
    hooks = function.hooks if isinstance(function, TrainFunction) else []
    return any(hook.owner == owner for hook in hooks)


def put_first(model: Any, hook: Any) -> None:
    """Let an attached hook come before the others of the fit."""
    hooks = model.train_function.hooks
    hooks.remove(hook)
    hooks.insert(0, hook)
