"""A train function of several steps that gives variables a value of its own before each of them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW
from keras_lr._keras.executions import execution_with
from keras_lr._keras.kept import kept_with_step
from keras_lr._keras.variables import VariableHandle

if ON_TENSORFLOW:
    import tensorflow as tf


class CarriedState(Protocol):
    """The values that JAX carries from step to step."""

    def places(self, variable: Any) -> Sequence[tuple[int, int]]:
        """Return in which of the lists, and where in it, a variable's value is."""

    def carried(self) -> Any:
        """Return the lists."""

    def update(self, values: Any) -> None:
        """Take over the lists that a step has returned."""


def can_give_values(model: Any) -> bool:
    """Return whether the steps of a model's compiled execution can be given values.

    A train function of the user's own may do without `train_step`, and on several devices each has
    a copy of the variables.
    """
    if type(model).make_train_function.__module__.partition(".")[0] != "keras":
        return False
    if ON_TENSORFLOW:
        return isinstance(model.distribute_strategy, type(tf.distribute.get_strategy())) and (
            not tf.distribute.has_strategy()
        )
    nnx = getattr(keras.config, "is_nnx_enabled", bool)
    return ON_JAX and keras.distribution.distribution() is None and not nnx()


def run_given(
    model: Any,
    execution: Any,
    state: CarriedState,
    variables: Sequence[Any],
    columns: Sequence[Any],
) -> tuple[Any, int]:
    """Run the steps of an execution; each begins with values of its own in some variables.

    The function is compiled once for a compiled model and these variables.

    Args:
        model: A model for which `can_give_values` holds.
        execution: What `fit` hands to the train function.
        state: On JAX, the values to begin with; moved on.
        variables: The variables.
        columns: For each of them its values, of which the first axis are the steps.

    Returns:
        The logs and the number of the steps, which may be less than those there are values for.
    """
    kept = kept_with_step(model)
    if ON_TENSORFLOW:
        key: tuple[Any, ...] = ("given", *map(id, variables))
        if key not in kept:
            kept[key] = _TableOfValues(model, variables)
    else:
        places = [tuple(state.places(variable)) for variable in variables]
        key = ("given", *places)
        if key not in kept:
            kept[key] = _ValuesWithData(model, places)
    result: tuple[Any, int] = kept[key].run(execution, state, columns)
    return result


def train_function_around(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """Return a train function of which each step is `wrap(model.train_step)`.

    Args:
        model: A compiled model, which is left as it is.
        wrap: Takes a training step and returns one.
    """
    attributes, present = vars(model), model.train_function
    own, make = attributes.get("train_step"), attributes.pop("make_train_function", None)
    attributes["train_step"] = wrap(model.train_step)
    try:
        model.train_function = None
        model.make_train_function()
        return model.train_function
    finally:
        model.train_function = present
        del attributes["train_step"]
        if own is not None:
            attributes["train_step"] = own
        if make is not None:
            attributes["make_train_function"] = make


class _TableOfValues:
    """An execution on TensorFlow: the values are in tables, of which each step reads a row.

    The steps are counted on and on, and go through the tables in a circle: to set the count to 0
    would take another operation at every execution.
    """

    def __init__(self, model: Any, variables: Sequence[Any]) -> None:
        self._rows, self._count = model.steps_per_execution, 0
        self._variables = list(variables)
        self._tables = [
            keras.Variable(np.zeros((self._rows, *each.shape)), trainable=False, dtype=each.dtype)
            for each in variables
        ]
        self._step = keras.Variable(0, trainable=False, dtype="int64")
        self._handles = list(map(VariableHandle, self._tables))
        self._counted = VariableHandle(self._step)
        self._function = train_function_around(model, self._around)

    def run(self, execution: Any, state: CarriedState, columns: Sequence[Any]) -> tuple[Any, int]:
        """Run the steps; return their logs and number."""
        begun = self._count
        for table, column in zip(self._handles, columns, strict=True):
            table.write(np.roll(column, begun % self._rows, axis=0))
        try:
            logs = self._function(execution)
        finally:
            self._count = int(self._counted.read())
        return logs, self._count - begun

    def _around(self, train_step: Any) -> Any:
        def step(data: Any) -> Any:
            row = self._step.value % self._rows
            for variable, table in zip(self._variables, self._tables, strict=True):
                variable.value.assign(table.value.sparse_read(row))
            self._step.value.assign_add(1)
            return train_step(data)

        return step


class _ValuesWithData:
    """An execution on JAX: the values come beside the data, and take their places in the state."""

    def __init__(self, model: Any, places: Sequence[Sequence[tuple[int, int]]]) -> None:
        self._model, self._places = model, places
        self._function = train_function_around(model, self._around)

    def run(self, execution: Any, state: CarriedState, columns: Sequence[Any]) -> tuple[Any, int]:
        """Run the steps; return their logs and number."""
        lists = state.carried()
        at = [places[0] for places in self._places]
        typed = [
            np.asarray(column).astype(lists[group][index].dtype)
            for column, (group, index) in zip(columns, at, strict=True)
        ]
        execution, steps = execution_with(self._model, execution, typed)
        logs, values = self._function(lists, execution)
        state.update(values)
        return logs, steps

    def _around(self, train_step: Any) -> Any:
        def step(state: Any, data: Any) -> Any:
            batch, values = data
            groups = [list(group) for group in state]
            for places, value in zip(self._places, values, strict=True):
                for group, index in places:
                    groups[group][index] = value
            return train_step(tuple(groups), batch)

        return step
