"""The values that a training step reads and writes, wherever they are while `fit` runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.placement import gathered, kept_copy, placed_like
from keras_lr._keras.variables import VariableHandle


@dataclass
class RateChanges:
    """What callbacks make of learning rates that another one drives.

    Attributes:
        scale: What a plateau multiplies all of them by.
        scales: The same for one of several: a group by its name, an optimizer by the `id` of its
            rate.
        cooling: What a cooldown makes of the rate of a hyper-parameter, by its `id`.
        factor_writes: How often a plateau has set factors of groups, past `assign`.
        frozen: Groups of layers that are held still.
    """

    scale: float = 1.0
    scales: dict[str | int, float] = field(default_factory=dict)
    cooling: Callable[[int, float], float] | None = None
    factor_writes: int = 0
    frozen: frozenset[str] = frozenset()


class TrainingState:
    """The values that the training step reads, wherever they are while `fit` runs.

    On TensorFlow and torch they are in the variables. On JAX `fit` empties the variables and
    carries the values from step to step in four lists; reading or writing there costs nothing,
    where going through the variables would sync the whole model at every step.

    Attributes:
        changes: What callbacks make of the learning rates that are driven.
    """

    def __init__(self, model: Any) -> None:
        self.changes = RateChanges()
        self._lists: tuple[list[Any], ...] | None = None
        self._handed: tuple[CarriedGroup, ...] | None = None
        self._variables: tuple[list[Any], ...] = ()
        self._places: dict[int, list[tuple[int, int]]] = {}
        self._handles: dict[int, VariableHandle] = {}
        self._model = model

    def read(self, variable: Any) -> np.ndarray:
        """Return a copy of the variable's present value."""
        if self._lists is None:
            return self._handle(variable).read()
        group, index = self._places[id(variable)][0]
        return np.array(gathered(self._lists[group][index]))

    def keep(self, variable: Any) -> Any:
        """Return a copy of the variable's present value to go back to.

        On the host, or where the value is split among devices (JAX), on these.
        """
        return kept_copy(self.value(variable)) if ON_JAX else self.read(variable)

    def value(self, variable: Any) -> Any:
        """Return the variable's present value on its device; the next step may overwrite it."""
        if self._lists is None:
            return variable.value
        group, index = self._places[id(variable)][0]
        return self._lists[group][index]

    def write(self, variable: Any, value: Any) -> None:
        """Give the variable a value, cast to its dtype."""
        if self._lists is None:
            self._handle(variable).write(value)
            return
        for group, index in self._places[id(variable)]:
            old = self._lists[group][index]
            dtype = old.dtype  # that of the variable, in a tenth of the time
            if not (hasattr(value, "sharding") and value.dtype == dtype):
                value = np.asarray(gathered(value)).astype(dtype, copy=False)
            self._lists[group][index] = placed_like(old, value)

    def places(self, variable: Any) -> list[tuple[int, int]]:
        """Return in which of the lists, and where in it, a variable's value is (JAX)."""
        return self._places[id(variable)]

    def carry(self, values: Any) -> None:
        """Take over the values that `fit` hands to the next step (JAX)."""
        if values is self._handed:
            return
        # `fit` has collected them anew: layers may be frozen since, or another optimizer be set.
        self._variables = state_variables(self._model)
        self._places = {}
        for group, variables in enumerate(self._variables):
            for index, variable in enumerate(variables):
                self._places.setdefault(id(variable), []).append((group, index))
        self.update(values)

    def update(self, values: Any) -> None:
        """Take over the values that a step has returned (JAX)."""
        self._lists = tuple(list(group) for group in values)

    @property
    def is_carrying(self) -> bool:
        """Whether the values are outside of the variables (JAX)."""
        return self._lists is not None

    def give_back(self) -> None:
        """Hand the values back to the variables they were collected from (JAX)."""
        for variables, values in zip(self._variables, self.carried(), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.release()

    def release(self) -> None:
        """Go by the variables again, which have got their values back (JAX)."""
        self._lists = self._handed = None

    def carried(self) -> tuple[list[Any], ...]:
        """Return the lists to hand to the compiled step (JAX)."""
        if self._lists is None:
            raise RuntimeError("TrainingState.carried: no step has been carried yet.")
        return self._lists

    def hand_on(self) -> "tuple[CarriedGroup, ...]":
        """Return the values to hand to `fit` (JAX)."""
        self._handed = tuple(map(CarriedGroup, self.carried()))
        return self._handed

    def _handle(self, variable: Any) -> VariableHandle:
        handle = self._handles.get(id(variable))
        if handle is None:
            handle = self._handles[id(variable)] = VariableHandle(variable)
        return handle


class CarriedGroup:
    """A list of values that Keras goes through, but not at every step.

    `fit` keeps the values in an attribute of the model. Of a list there, Keras makes one of its own
    that tracks each item, which takes a quarter of a small model's step; other things it leaves
    alone.
    """

    __slots__ = ("_values",)

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __getitem__(self, index: int) -> Any:
        return self._values[index]


def state_variables(model: Any) -> tuple[list[Any], ...]:
    """Return a model's variables in the four lists that `fit` carries on JAX, in its order."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
