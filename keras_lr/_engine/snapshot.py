"""Everything a run changes, kept in memory and put back bit for bit."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import keras
import numpy as np

from keras_lr._engine.state import TrainingState
from keras_lr._keras import jax_state
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.fit_effects import FIT_ATTRIBUTES
from keras_lr._keras.models import layers_of
from keras_lr._keras.optimizers import trained_variables
from keras_lr._keras.patch import Patch
from keras_lr._keras.variables import (
    VariableSnapshot,
    has_value,
    read_variable,
    rounding,
    write_variable,
)
from keras_lr._warnings import warn
from keras_lr.errors import complaint


def other_optimizers(model: Any) -> list[Any]:
    """Return optimizers that a model holds beside its compiled one, as a GAN does for its critic.

    On JAX there are none: Keras' own `fit` has no way to train with them.
    """
    held = [value for value in vars(model).values() if isinstance(value, keras.Optimizer)]
    compiled = vars(model).get("optimizer")
    return [] if ON_JAX else [each for each in held if each is not compiled]


def uncounted_variables(model: Any) -> list[Any]:
    """Return variables that layers hold and Keras does not count: the states of stateful RNNs.

    On JAX there are none: a training step cannot change what Keras does not count.
    """
    if ON_JAX:
        return []
    held = [_variables_in(value) for layer in layers_of(model) for value in vars(layer).values()]
    return list(chain.from_iterable(held))


def _variables_in(value: Any) -> Iterator[Any]:
    if isinstance(value, keras.Variable):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _variables_in(each)


def reset_to_initial_values(optimizer: Any) -> None:
    """Give an optimizer the values it is built with."""
    new = type(optimizer).from_config(optimizer.get_config())
    new.build(trained_variables(optimizer))
    for variable, fresh in zip(optimizer.variables, new.variables, strict=True):
        write_variable(variable, read_variable(fresh))


class ModelSnapshot:
    """A model and its optimizer before a run's first step: every variable, every attribute.

    Args:
        model: A compiled model.
        state: Where its variables are read.
        read: Returns a variable's value, as `VariableSnapshot` takes it; None for copies.
    """

    def __init__(
        self, model: Any, state: TrainingState, read: Callable[[Any], Any] | None = None
    ) -> None:
        self._model = model
        others = other_optimizers(model)
        held = [variable for each in others if each.built for variable in each.variables]
        self._not_built = [each for each in others if not each.built]
        held += uncounted_variables(model)
        self._variables = VariableSnapshot([*model_variables(model), *held], read or state.keep)
        self._attributes = {
            name: value
            for name, value in vars(model).items()
            if name not in FIT_ATTRIBUTES and not isinstance(value, Patch)
        }

    def restore_values(self, state: TrainingState) -> None:
        """Put the variables back in the middle of `fit`."""
        self._variables.restore(state.write, for_steps=True)
        self._renew()

    def present(self, state: TrainingState) -> dict[int, np.ndarray]:
        """Return what the variables hold now, by their `id`."""
        return {id(variable): state.read(variable) for variable, _ in self._variables}

    def restore_unchanged(
        self, owner: str, rates: Mapping[int, float], left: Mapping[int, np.ndarray] | None
    ) -> None:
        """Put back, some time after a run was cut off, what has not been changed since.

        Warn of what was. The attributes of the model are left as they are.

        Args:
            owner: The public name the user called.
            rates: The learning rates that the run wrote last, by the `id` of the variable.
            left: The values that the run has left, if they are known.
        """
        kept = set()
        if vars(self._model).get("optimizer") is not self._attributes.get("optimizer"):
            kept.add("optimizer")
        for variable, value in self._variables:
            if has_value(variable):  # else a `fit` on JAX has taken it along
                present = read_variable(variable)
                rate = rates.get(id(variable))
                ours = present if left is None else left.get(id(variable), present)
                set_since = rate is not None and abs(present - rate) > rounding(variable, rate)
                if set_since or not np.array_equal(present, ours, equal_nan=_has_nan(present)):
                    kept.add("learning rate" if set_since else variable.name)
                    continue
            write_variable(variable, value)
        if kept:
            rule = "a run that was cut off has been undone, but for what was changed since"
            fix = f"To have all of it undone at once, run it in `with {owner}(...)`"
            warn(complaint(owner, rule, fix, kept=", ".join(sorted(kept))))

    def restore_variables(self) -> None:
        """Put the variables back, after `fit` or `evaluate`."""
        self._variables.restore(write_variable)

    def restore(self) -> None:
        """Put everything back, after `fit` or after whatever cut it off."""
        jax_state.drop(self._model)  # else `fit`, on its way out, would write it back
        self.restore_variables()
        self._renew()
        present = vars(self._model)
        for name, value in self._attributes.items():
            if present.get(name) is not value:
                present[name] = value

    def _renew(self) -> None:
        """Make optimizers new that have been built since."""
        for optimizer in self._not_built:
            if optimizer.built:
                reset_to_initial_values(optimizer)


def _has_nan(value: np.ndarray) -> bool:
    return value.dtype.kind in "fc"


def model_variables(model: Any) -> list[Any]:
    """Return every variable of a model: weights, statistics, seeds, optimizer slots, metrics."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]
