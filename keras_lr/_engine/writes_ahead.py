"""Values that hooks write for several steps ahead."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_lr._engine.state import TrainingState


class WritesAhead(TrainingState):
    """Takes what a hook writes for each of several steps, in place of the state that they begin in.

    A hook writes the same variables for each of them.

    Args:
        state: That state, from which variables are read.
        steps: The number of the steps.

    Attributes:
        variables: The variables written.
        columns: For each of them its values, of which the first axis are the steps.
    """

    def __init__(self, state: TrainingState, steps: int) -> None:
        self.changes = state.changes
        self._state, self._steps = state, steps
        self._written: dict[int, tuple[Any, list[Any]]] = {}

    def each(self) -> Iterator[int]:
        """Return the steps, for each of which the hook writes in turn."""
        return iter(range(self._steps))

    @property
    def variables(self) -> list[Any]:
        """The variables written."""
        return [variable for variable, _ in self._written.values()]

    @property
    def columns(self) -> list[np.ndarray]:
        """Their values."""
        return [np.asarray(values) for _, values in self._written.values()]

    def read(self, variable: Any) -> np.ndarray:
        """Return a copy of the value that a variable begins with."""
        return self._state.read(variable)

    def write(self, variable: Any, value: Any) -> None:
        """Give a variable its value for the next of the steps that has none."""
        self._written.setdefault(id(variable), (variable, []))[1].append(value)
