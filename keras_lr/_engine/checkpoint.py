"""Weights to go back to in the middle of a run."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_lr._engine.averages.in_use import weights_in_optimizer
from keras_lr._engine.averages.view import AveragedWeights
from keras_lr._engine.hyperparameters import HyperparameterVariable
from keras_lr._keras.optimizers import (
    groups_of,
    is_scheduled,
    iterations_of,
    leaf_optimizers,
    rate_of,
)
from keras_lr._keras.placement import gathered, is_finite
from keras_lr._keras.variables import DIRECT, VariableAccess


class WeightCheckpoint:
    """A model's weights and its optimizer's variables at one moment, on the host.

    Learning rates and the factors of groups are not among them, nor are random seeds: what comes
    after going back is another attempt, not the same one again.

    Args:
        weights: One array per weight of the model: those that training goes on from. What is split
            among devices stays so.
        slots: One array per optimizer variable that is not a learning rate.
        averages: What evaluation used instead of weights, by their place in the list.
    """

    def __init__(
        self,
        weights: list[np.ndarray],
        slots: list[np.ndarray],
        averages: dict[int, np.ndarray] | None = None,
    ) -> None:
        self._weights = weights
        self._slots = slots
        self._averages = averages or {}

    @classmethod
    def take(
        cls, model: Any, access: VariableAccess, average: AveragedWeights | None = None
    ) -> Self:
        """Copy the present values.

        Args:
            model: The model.
            access: How to read.
            average: The average that evaluation uses, if it uses one.
        """
        averages = {} if average is None else average.averaged_values(access.read)
        return cls(
            [access.keep(_place(variable, average)) for variable in model.weights],
            [access.keep(_place(variable, average)) for variable in _slots(model)],
            {
                index: averages[id(variable)]
                for index, variable in enumerate(model.weights)
                if id(variable) in averages
            },
        )

    def fits(self, model: Any) -> bool:
        """Return whether a model and its optimizer have variables of these shapes."""
        pairs = ((self._weights, model.weights), (self._slots, _slots(model)))
        return all(
            [np.shape(value) for value in values] == [tuple(each.shape) for each in variables]
            for values, variables in pairs
        )

    def is_sound_beside(self, earlier: Self) -> bool:
        """Return whether every array is finite that was so in an earlier copy of the same model."""
        present, past = [*self._weights, *self._slots], [*earlier._weights, *earlier._slots]
        return all(
            is_finite(new) or not is_finite(old) for new, old in zip(present, past, strict=True)
        )

    def restore(
        self,
        model: Any,
        access: VariableAccess,
        *,
        optimizer: bool,
        average: AveragedWeights | None = None,
    ) -> None:
        """Go back, to train on from there.

        Args:
            model: The model the values were taken from, or an equal one.
            access: How to write.
            optimizer: Whether all of the optimizer's variables go back too, not only those that
                are weights. `iterations` does so only where no schedule counts on it: position in
                a run never goes backwards.
            average: The average that evaluation uses, if it uses one.
        """
        self._restore_slots(model, access, optimizer, average)
        made: dict[int, np.ndarray] = {}
        if average is not None:
            variables = model.weights
            averages = {id(variables[index]): each for index, each in self._averages.items()}
            average.go_back_to(averages)
            made = average.training_values(averages, access.read) if averages else {}
        for variable, value in zip(model.weights, self._weights, strict=True):
            access.write(_place(variable, average), made.get(id(variable), value))

    def restore_evaluated(self, model: Any, *, optimizer: bool) -> None:
        """Go back at the end of a fit, and leave in the model what evaluation used.

        Args:
            model: The model, after its last step.
            optimizer: As in `restore`.
        """
        self._restore_slots(model, DIRECT, optimizer, None)
        # Not past the model: where an average is still shown in its place, it is to be this one.
        evaluated = [self._averages.get(index, each) for index, each in enumerate(self._weights)]
        model.set_weights(evaluated)

    def _restore_slots(
        self, model: Any, access: VariableAccess, optimizer: bool, average: AveragedWeights | None
    ) -> None:
        fixed, weights = _positions(model), weights_in_optimizer(model)
        for variable, value in zip(_slots(model), self._slots, strict=True):
            if id(variable) in weights or (optimizer and id(variable) not in fixed):
                access.write(_place(variable, average), value)

    def beside_optimizer_of(self, model: Any) -> Self:
        """Return the same weights with the present values of another optimizer's variables."""
        slots = [DIRECT.read(variable) for variable in _slots(model)]
        return type(self)(self._weights, slots, self._averages)

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        groups = {
            "weight": dict(enumerate(self._weights)),
            "slot": dict(enumerate(self._slots)),
            "average": self._averages,
        }
        arrays = {
            f"{group}_{index}": _portable(np.asarray(gathered(array)))
            for group, members in groups.items()
            for index, array in members.items()
        }
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        # Opened here: NumPy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file) as arrays:
            groups: dict[str, dict[int, np.ndarray]] = {"weight": {}, "slot": {}, "average": {}}
            for name in arrays.files:
                group, _, index = name.partition("_")
                groups[group][int(index)] = arrays[name]
        weights, slots = (list(groups[group].values()) for group in ("weight", "slot"))
        return cls(weights, slots, groups["average"])


def _place(variable: Any, average: AveragedWeights | None) -> Any:
    return variable if average is None else average.place(variable)


def _slots(model: Any) -> list[Any]:
    """Return the optimizer's own variables, without the settings that a schedule drives."""
    leaves = leaf_optimizers(model.optimizer)
    rates = {id(variable) for leaf in leaves for variable in (rate_of(leaf), groups_of(leaf)[1])}
    own = [
        each for each in model.optimizer.variables if not isinstance(each, HyperparameterVariable)
    ]
    return [variable for variable in own if id(variable) not in rates]


def _positions(model: Any) -> set[int]:
    leaves = leaf_optimizers(model.optimizer)
    if not any(is_scheduled(leaf) for leaf in leaves):
        return set()
    return {id(iterations_of(leaf)) for leaf in leaves}


def _portable(array: np.ndarray) -> np.ndarray:
    """Widen bfloat16, which `.npz` does not know, to float32, which holds it exactly."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
