"""Making a model's optimizers new again in the middle of a run."""

from typing import Any

import numpy as np

from keras_lr._engine.state import TrainingState
from keras_lr._keras.optimizers import (
    groups_of,
    leaf_optimizers,
    moving_averages,
    rate_of,
    trained_variables,
)
from keras_lr._keras.variables import read_variable
from keras_lr.errors import complaint


class OptimizerReset:
    """What the variables of a model's optimizers were when they were new, and the way back.

    Moments go back, and the count of steps that their bias correction reads. Learning rates,
    factors of groups and averaged weights (`use_ema`) stay.

    Args:
        model: A compiled model.
        owner: The public name of what asks for it, for error messages.
    """

    def __init__(self, model: Any, owner: str) -> None:
        self._leaves = leaf_optimizers(model.optimizer)
        self._owner = owner
        self._values: list[tuple[Any, float]] | None = None
        self.prepare()

    def prepare(self) -> None:
        """Find the values, as soon as the optimizers have variables. Can be called again.

        Raises:
            ValueError: If they depend on the weights, as they do with ScheduleFreeAdamW.
        """
        if self._values is None and all(leaf.built for leaf in self._leaves):
            self._values = [pair for leaf in self._leaves for pair in self._new_values(leaf)]

    def __call__(self, state: TrainingState) -> list[tuple[Any, np.ndarray]]:
        """Go back; return the variables with the values they had."""
        before = [(variable, state.read(variable)) for variable, _ in self._values or ()]
        for variable, value in self._values or ():
            state.write(variable, np.full(variable.shape, value))
        return before

    def _new_values(self, leaf: Any) -> list[tuple[Any, float]]:
        new = type(leaf).from_config(leaf.get_config())
        new.build(trained_variables(leaf))
        averages = moving_averages(leaf)[1]
        kept = {id(variable) for variable in (rate_of(leaf), groups_of(leaf)[1], *averages)}
        pairs = zip(leaf.variables, new.variables, strict=False)  # a run may have added its own
        return [
            (variable, self._constant(leaf, read_variable(fresh)))
            for variable, fresh in pairs
            if id(variable) not in kept
        ]

    def _constant(self, leaf: Any, values: np.ndarray) -> float:
        first = float(values.flat[0]) if values.size else 0.0
        if not np.all(values == first):
            rule = "this optimizer cannot be made new, as it keeps weights and not only moments"
            fix = "Pass reset_optimizer=False"
            name = type(leaf).__name__
            raise ValueError(complaint(self._owner, rule, fix, optimizer=name))
        return first
