"""The learning rate that a step has used, where nothing outside of the optimizer sets it."""

from typing import Any

import keras

from keras_lr._keras.in_graph import batches_per_step
from keras_lr._keras.optimizers import is_scheduled, iterations_of, rate_of
from keras_lr._keras.variables import VariableAccess
from keras_lr.schedules.scaled import Scaled


class AppliedRate:
    """The learning rate that a leaf optimizer has applied in the last step."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        decay = getattr(optimizer, "_decay", None)
        self._decay = decay if isinstance(decay, keras.Variable) else None
        self._iterations = iterations_of(optimizer)
        self._accumulation = optimizer.gradient_accumulation_steps or 1

    @property
    def schedule(self) -> Any:
        """What the optimizer computes it from in the graph, without `scale`; None if it holds it.

        A plateau may put another one in its place in mid-fit.
        """
        if not is_scheduled(self._optimizer):
            return None
        rate = rate_of(self._optimizer)
        return rate.schedule if isinstance(rate, Scaled) else rate

    @property
    def scale(self) -> float:
        """What a plateau multiplies the schedule by."""
        rate = rate_of(self._optimizer)
        return float(rate.scale) if isinstance(rate, Scaled) else 1.0

    def last_step(self, access: VariableAccess) -> int:
        """Return the step that the schedule last stood at: an update, or one of Keras' batches."""
        return max(self._batches(access) - 1, 0) // batches_per_step(self._optimizer)

    def coming_step(self, access: VariableAccess) -> int:
        """Return the step that the schedule stands at."""
        return self._batches(access) // batches_per_step(self._optimizer)

    def last_held(self, access: VariableAccess) -> float:
        """Return the last learning rate of an optimizer without a schedule, its decay included."""
        rate = float(access.read(rate_of(self._optimizer)))
        if self._decay is None:
            return rate
        updates = max(self._batches(access) - 1, 0) // self._accumulation
        return rate / (1.0 + float(access.read(self._decay)) * updates)

    def coming(self, access: VariableAccess) -> float:
        """Return the learning rate of the coming update, of an optimizer without a schedule."""
        return float(access.read(rate_of(self._optimizer))) / self.division(access)

    def division(self, access: VariableAccess) -> float:
        """Return what its decay divides the learning rate by in the coming update."""
        if self._decay is None:
            return 1.0
        updates = self._batches(access) // self._accumulation
        return 1.0 + float(access.read(self._decay)) * updates

    def _batches(self, access: VariableAccess) -> int:
        return int(access.read(self._iterations))
