"""Schedule-Free optimizers: the averaged weights in place of those that training goes on from."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_lr._engine.averages.view import Read, Values
from keras_lr._keras.optimizers import (
    iterations_of,
    leaf_optimizers,
    momentum_slots,
    trained_variables,
)
from keras_lr._keras.patch import Patch
from keras_lr._keras.variables import read_variable
from keras_lr._keras.versions import is_optimizer

_AVERAGED, _LAST_BETA = "_keras_lr_averaged", "_keras_lr_last_beta"


class ScheduleFreeWeights:
    """The two sets of weights of a Schedule-Free model.

    Gradients are taken at `y = (1 - beta) z + beta x`, which is what the model's variables hold in
    training; `x` is the average to use the model with, and `z`, a slot of the optimizer, what the
    gradients move. So `x = (y - (1 - beta) z) / beta`.

    Args:
        model: A compiled model whose optimizer, or one of them, is Schedule-Free.
    """

    def __init__(self, model: Any) -> None:
        self._leaves = [leaf for leaf in leaf_optimizers(model.optimizer) if is_schedule_free(leaf)]
        # The fit before may have driven it to another value than it has by itself.
        self._betas = [getattr(leaf, _LAST_BETA, leaf.beta_1) for leaf in self._leaves]

    @property
    def updates(self) -> int:
        """Batches the optimizer has seen. Before the first, all three weights are the same."""
        return max(int(read_variable(iterations_of(leaf))) for leaf in self._leaves)

    def look_at_betas(self) -> None:
        """Note what gives `beta`: in a fit that drives it, a variable.

        It is the one that `y` was made with also when the driver has given the optimizer its own
        `beta` back, at the end of the fit or for the time of saving.
        """
        self._betas = [leaf.beta_1 for leaf in self._leaves]

    @property
    def averaged(self) -> bool | None:
        """Whether the average is in the model; None where nobody has said so."""
        return getattr(self._leaves[0], _AVERAGED, None)

    @averaged.setter
    def averaged(self, averaged: bool) -> None:
        for leaf, given in zip(self._leaves, self._betas, strict=True):
            object.__setattr__(leaf, _AVERAGED, averaged)
            object.__setattr__(leaf, _LAST_BETA, _number(given))

    def spared(self, optimizer: Any) -> Patch:
        """Keep `fit` from writing moving averages of `use_ema` over these weights at its end.

        Args:
            optimizer: The model's.
        """

        def finalize(*arguments: Any, **named: Any) -> Any:
            before = [(variable, read_variable(variable)) for variable in self._variables()]
            result = patch.original(*arguments, **named)
            for variable, value in before:
                variable.assign(value)
            return result

        patch = Patch(optimizer, "finalize_variable_values", finalize)
        return patch

    def to_average(self) -> list[tuple[Any, Any]]:
        """Put `x` in the place of `y`; return the variables with their `y`."""
        return self._exchange(self.averaged_values(read_variable))

    def to_training(self) -> list[tuple[Any, Any]]:
        """Put `y` in the place of `x`; return the variables with their `x`."""
        return self._exchange(self._values(_training, read_variable, read_variable))

    def averaged_values(self, read: Read) -> Values:
        """Return `x` of each variable that has one. See `AveragedWeights`."""
        return self._values(_average, read, read)

    def training_values(self, averages: Mapping[int, np.ndarray], read: Read) -> Values:
        """Return the `y` that belong to given `x` and the present `beta` and `z`."""
        return self._values(_training, lambda variable: averages[id(variable)], read)

    def place(self, variable: Any) -> Any:
        """Return the variable itself: `y` is in it. See `AveragedWeights`."""
        return variable

    def go_back_to(self, averages: Mapping[int, np.ndarray]) -> None:
        """Do nothing: an average is made of `y` and `z`. See `AveragedWeights`."""

    def _values(self, formula: Callable[[Any, Any, float], Any], given: Read, read: Read) -> Values:
        values = {}
        for leaf, beta in zip(self._leaves, self._betas, strict=True):
            number = _number(beta, read)
            for variable, slot in zip(*momentum_slots(leaf), strict=True):
                value = given(variable)
                wide = value.astype("float64"), read(slot).astype("float64")
                values[id(variable)] = formula(*wide, number).astype(value.dtype)
        return values

    def _variables(self) -> list[Any]:
        return [variable for leaf in self._leaves for variable in trained_variables(leaf)]

    def _exchange(self, values: Values) -> list[tuple[Any, Any]]:
        held = [variable for variable in self._variables() if id(variable) in values]
        before = [(variable, read_variable(variable)) for variable in held]
        for variable in held:
            variable.assign(values[id(variable)])
        return before


def _average(y: Any, z: Any, beta: float) -> Any:
    return (y - (1.0 - beta) * z) / beta


def _training(x: Any, z: Any, beta: float) -> Any:
    return (1.0 - beta) * z + beta * x


def _number(beta: Any, read: Read = read_variable) -> float:
    return float(read(beta) if isinstance(beta, keras.Variable) else beta)


def is_schedule_free(optimizer: Any) -> bool:
    """Return whether a leaf optimizer is Schedule-Free."""
    return is_optimizer(optimizer, "ScheduleFreeAdamW")


def schedule_free(model: Any) -> ScheduleFreeWeights | None:
    """Return the weights of a Schedule-Free model, None if it is not one."""
    leaves = leaf_optimizers(model.optimizer)
    return ScheduleFreeWeights(model) if any(map(is_schedule_free, leaves)) else None
