"""Hyper-parameters that a run sets at every step: learning rates, momentum, weight decay."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_lr._engine.state import TrainingState
from keras_lr._keras.optimizers import (
    current_learning_rates,
    default_learning_rate,
    leaf_optimizers,
    proportions,
    rate_of,
)
from keras_lr.errors import complaint

MOMENTA = ("momentum", "beta_1")


class Hyperparameter:
    """Variables of several optimizers that are set together, in proportion to their shares.

    Args:
        variables: One per optimizer.
        shares: What the value is multiplied by for each of them.
        scaled: Whether a plateau scales it, as it does the learning rate.
    """

    def __init__(
        self, variables: Sequence[Any], shares: Sequence[float], *, scaled: bool = False
    ) -> None:
        self._parts = list(zip(variables, shares, strict=True))
        self._scaled = scaled
        self.written: dict[int, float] = {}

    def write(self, state: TrainingState, value: float) -> float:
        """Make `value` the one of the next update; return the largest, as scaled or cooled."""
        if self._scaled:
            if state.changes.cooling is not None:
                value = state.changes.cooling(id(self), value)
            value *= state.changes.scale
        written = []
        for variable, share in self._parts:
            if self._scaled and state.changes.scales:
                share *= state.changes.scales.get(id(variable), 1.0)
            state.write(variable, value * share)
            self.written[id(variable)] = value * share
            written.append(value * share)
        return max(written, default=value)


class LearningRates(Hyperparameter):
    """The learning rates of all of a model's optimizers.

    The largest of them is "the" learning rate; the others keep their proportion to it, so a
    backbone that learns ten times slower than the head goes on doing so.

    Attributes:
        initial: The largest of them now.
        default: The default of that optimizer's class, None if it has none.
    """

    def __init__(self, model: Any) -> None:
        leaves = leaf_optimizers(model.optimizer)
        present = current_learning_rates(model)
        super().__init__([rate_of(leaf) for leaf in leaves], proportions(present), scaled=True)
        self.initial = max(present)
        self.default = default_learning_rate(leaves[present.index(self.initial)])
        decays = [getattr(leaf, "_decay", None) for leaf in leaves]
        self._decays = [decay for decay in decays if isinstance(decay, keras.Variable)]

    def hold_decay(self, state: TrainingState) -> None:
        """Switch off the decay of this library's optimizers: what is written is what is used."""
        for variable in self._decays:
            state.write(variable, 0.0)


class HyperparameterVariable(keras.Variable):  # type: ignore[misc]
    """A variable in place of a plain number.

    Optimizers ask by `momentum != 0` or `momentum > 0` whether they have momentum at all. That is a
    question about how they were made, and must have an answer while the step is being compiled.
    """

    def __ne__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True


def refuse_driven(owner: str, name: str, value: Any) -> None:
    """Raise if another callback of the same fit drives a hyper-parameter already."""
    if isinstance(value, HyperparameterVariable):
        rule = f"only one callback of a fit can drive {name}"
        raise ValueError(complaint(owner, rule, "Keep one of them", **{name: "driven already"}))


def has_momentum(optimizer: Any) -> bool:
    """Return whether a leaf optimizer was made with a momentum or a `beta_1` to drive."""
    values = [getattr(optimizer, name, None) for name in MOMENTA]
    present = next((value for value in values if value is not None), None)
    return isinstance(present, HyperparameterVariable) or bool(present)


def momentum_name(optimizer: Any, owner: str) -> str:
    """Return which attribute of a leaf optimizer is its momentum.

    Raises:
        ValueError: If it has none, or was made without.
    """
    alone = "leave the momentum alone (momentum=None), or change the optimizer"
    for name in MOMENTA:
        value = getattr(optimizer, name, None)
        if value is None:
            continue
        refuse_driven(owner, name, value)
        if value == 0:
            rule = "an optimizer made with momentum 0 keeps no velocity to give it one later"
            fix = f"Make it with one, {type(optimizer).__name__}(momentum=0.9), or {alone}"
            raise ValueError(complaint(owner, rule, fix, **{name: value}))
        return name
    rule = "the optimizer must have a momentum or a beta_1 to drive"
    fix = alone.replace("leave", "Leave", 1)
    raise ValueError(complaint(owner, rule, fix, optimizer=type(optimizer).__name__))
