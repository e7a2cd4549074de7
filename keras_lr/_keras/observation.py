"""The learning rate that a step is about to use, where nothing outside of the optimizer sets it."""

from typing import Any

import keras

from keras_lr._keras.learning_rate import is_scheduled
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.values import as_numpy


class RateObservation:
    """What a leaf optimizer will make of its learning rate in the coming step."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        decay = getattr(optimizer, "_decay", None)
        self._decay = decay if isinstance(decay, keras.Variable) else None
        self._iterations = optimizer._iterations
        self._accumulation = optimizer.gradient_accumulation_steps or 1

    @property
    def schedule(self) -> Any:
        """What the optimizer computes it from in the graph; None if it holds it.

        A plateau may put another one in its place in mid-fit.
        """
        return self._optimizer._learning_rate if is_scheduled(self._optimizer) else None

    def step(self, state: TrainingState) -> int:
        """Return the step that a schedule is called with: under accumulation, the batch."""
        return int(state.read(self._iterations))

    def held(self, state: TrainingState) -> float:
        """Return the learning rate of an optimizer without a schedule, its decay included."""
        return self._held_at(self.step(state), state)

    def last(self, access: Any) -> float:
        """Return the learning rate of the last update made.

        Args:
            access: What reads variables: a `TrainingState`, or the host's access between epochs.
        """
        step = max(self.step(access) - 1, 0)
        if self.schedule is None:
            return self._held_at(step, access)
        return float(as_numpy(self.schedule(step)))

    def _held_at(self, step: int, access: Any) -> float:
        rate = float(access.read(self._optimizer._learning_rate))
        if self._decay is None:
            return rate
        updates = step // self._accumulation
        return rate / (1.0 + float(access.read(self._decay)) * updates)
