"""Weights to go back to in the middle of a run."""

from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_lr._keras.learning_rate import is_scheduled, leaf_optimizers
from keras_lr._keras.values import Access


class Rollback:
    """A model's weights and its optimizer's variables at one moment, on the host.

    Learning rates are not among them, nor are random seeds: what comes after going back is another
    attempt, not the same one again.

    Args:
        weights: One array per weight of the model.
        slots: One array per optimizer variable that is not a learning rate.
    """

    def __init__(self, weights: list[np.ndarray], slots: list[np.ndarray]) -> None:
        self._weights = weights
        self._slots = slots

    @classmethod
    def take(cls, model: Any, access: Access) -> Self:
        """Copy the present values."""
        weights = [access.read(variable) for variable in model.weights]
        return cls(weights, [access.read(variable) for variable in _slots(model)])

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
            np.isfinite(new).all() or not np.isfinite(old).all()
            for new, old in zip(present, past, strict=True)
        )

    def restore(self, model: Any, access: Access, *, optimizer: bool) -> None:
        """Go back.

        Args:
            model: The model the values were taken from, or an equal one.
            access: How to write.
            optimizer: Whether the optimizer's variables go back too. `iterations` does so only
                where no schedule counts on it: position in a run never goes backwards.
        """
        for variable, value in zip(model.weights, self._weights, strict=True):
            access.write(variable, value)
        if not optimizer:
            return
        fixed = _positions(model)
        for variable, value in zip(_slots(model), self._slots, strict=True):
            if id(variable) not in fixed:
                access.write(variable, value)

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        groups = {"weight": self._weights, "slot": self._slots}
        arrays = {
            f"{group}_{index}": _portable(array)
            for group, members in groups.items()
            for index, array in enumerate(members)
        }
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            groups = {
                group: [arrays[name] for name in arrays.files if name.startswith(group)]
                for group in ("weight", "slot")
            }
        return cls(groups["weight"], groups["slot"])


def _slots(model: Any) -> list[Any]:
    leaves = leaf_optimizers(model.optimizer)
    rates = {id(leaf._learning_rate) for leaf in leaves}
    return [variable for variable in model.optimizer.variables if id(variable) not in rates]


def _positions(model: Any) -> set[int]:
    leaves = leaf_optimizers(model.optimizer)
    if not any(is_scheduled(leaf) for leaf in leaves):
        return set()
    return {id(leaf._iterations) for leaf in leaves}


def _portable(array: np.ndarray) -> np.ndarray:
    """Widen bfloat16, which `.npz` does not know, to float32, which holds it exactly."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
