"""The choice of what a plateau scales: all rates, some optimizers, or groups of layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_lr._engine.applied_rate import AppliedRate
from keras_lr._engine.named_optimizers import named_leaves
from keras_lr._keras.optimizers import groups_of, is_scheduled, known_leaves
from keras_lr.callbacks.plateau.group_rates import HeldGroupRate, ScheduledGroupRate
from keras_lr.callbacks.plateau.rates import (
    DrivenRate,
    ScalableRate,
    driven_optimizers,
    driver_of,
    scalable_rate,
)
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.errors import complaint


class Chosen:
    """What the user has chosen to scale, in the running `fit`.

    Args:
        model: The model in `fit`.
        wanted: See `ReduceOnPlateauPlus`; None for what another callback drives, or else for the
            optimizers that the model is compiled with.

    Raises:
        ValueError: If a name is unknown, or a learning rate cannot be scaled.

    Attributes:
        optimizers: The leaf optimizers, by the ending of their names in logs.
        groups: The groups of the only one; none where whole optimizers are chosen.
    """

    def __init__(self, model: Any, wanted: Sequence[Any] | None) -> None:
        self._model = model
        self._driven = driven_optimizers(model)
        self.groups = () if wanted is None else _groups_among(model, wanted)
        if wanted is None and self._driven:
            self.optimizers = self._driven
        else:
            self.optimizers = named_leaves(model, None if self.groups else wanted, OWNER)
        for optimizer in self.optimizers.values():
            _check_scalable(optimizer)

    def rates(self, before: Mapping[str, ScalableRate]) -> dict[str, ScalableRate]:
        """Return the learning rates to scale, by the ending of their names in messages.

        Args:
            before: Those of an optimizer that the model was compiled with until now. A driver goes
                on with the scales of its own.
        """
        if self.groups:
            return {group: self._of_group(group, before.get(group)) for group in self.groups}
        chosen = list(self.optimizers.values())
        if self._driven and all(_is_in(each, chosen) for each in self._driven.values()):
            return {"": self._driven_rate(None, before.get(""))}
        parts = {id(optimizer): name for name, optimizer in self._driven.items()}
        return {
            name: self._driven_rate(parts[id(optimizer)], before.get(name))
            if id(optimizer) in parts
            else scalable_rate(self._model, optimizer)
            for name, optimizer in self.optimizers.items()
        }

    def _of_group(self, group: str, before: ScalableRate | None) -> ScalableRate:
        (optimizer,) = self.optimizers.values()
        if getattr(driver_of(self._model), "drives_groups", False):
            return self._driven_rate(group, before)
        if self._driven or is_scheduled(optimizer):
            return ScheduledGroupRate(self._model, optimizer, group)
        return HeldGroupRate(optimizer, group)

    def _driven_rate(self, part: str | None, before: ScalableRate | None) -> ScalableRate:
        if isinstance(before, DrivenRate):
            before.follow(self._model)
            return before
        return DrivenRate(self._model, part)


def _groups_among(model: Any, wanted: Sequence[Any]) -> tuple[str, ...]:
    """Return which groups of the only leaf optimizer are meant; none if optimizers are.

    Raises:
        ValueError: If the optimizer has groups, and a name is of none of them and of no optimizer.
    """
    leaves = known_leaves(model, OWNER) if getattr(model, "optimizer", None) is not None else []
    groups = groups_of(leaves[0])[0] if len(leaves) == 1 else ()
    if not groups:
        return ()
    meant = [each for each in wanted if isinstance(each, str) and each in groups]
    others = [each for each in wanted if not (isinstance(each, str) and each in groups)]
    held = [name for name, each in vars(model).items() if isinstance(each, keras.Optimizer)]
    known = [] if meant else [leaves[0].name, *held]
    strange = [each for each in others if meant or (isinstance(each, str) and each not in known)]
    if strange:
        rule = f"names must be some of the groups {', '.join(map(repr, groups))}"
        raise ValueError(complaint(OWNER, rule, "Pass these names", optimizers=strange))
    return tuple(dict.fromkeys(meant))


def _is_in(optimizer: Any, others: Any) -> bool:
    return any(each is optimizer for each in others)


def _check_scalable(optimizer: Any) -> None:
    rate = AppliedRate(optimizer).schedule
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule | None):
        rule = "the optimizer's learning rate must be a number or a schedule"
        fix = "Make a schedule of it, by keras_lr.schedules.FromCallable for example"
        raise ValueError(complaint(OWNER, rule, fix, learning_rate=rate))
