"""The learning rate for the logs, where the optimizers have it from themselves."""

from typing import Any

from keras_lr._keras.learning_rate import leaf_optimizers
from keras_lr._keras.observation import RateObservation
from keras_lr._keras.training_state import TrainingState
from keras_lr.callbacks.reading import Values


class Observed:
    """The learning rates of a model's optimizers, looked at and left alone."""

    def __init__(self, model: Any) -> None:
        leaves = leaf_optimizers(model.optimizer)
        names = [f"learning_rate_{leaf.name}" for leaf in leaves]
        if len(leaves) == 1:
            names = ["learning_rate"]
        self._rates = [_OneRate(name, leaf) for name, leaf in zip(names, leaves, strict=True)]

    def read(self, state: TrainingState) -> dict[str, float]:
        """Return what the coming step will use, by names for the logs."""
        return {rate.name: rate.read(state) for rate in self._rates}


class _OneRate:
    def __init__(self, name: str, optimizer: Any) -> None:
        self.name = name
        self._observation = RateObservation(optimizer)
        self._schedule: Any = None
        self._values = Values(None)

    def read(self, state: TrainingState) -> float:
        schedule = self._observation.schedule
        if schedule is None:
            return self._observation.held(state)
        if schedule is not self._schedule:
            self._schedule, self._values = schedule, Values(schedule)
        return float(self._values(self._observation.step(state)))
