"""The learning rates for the logs, where the optimizers have them from themselves."""

from typing import Any

from keras_lr._keras.learning_rate import leaf_optimizers
from keras_lr._keras.observation import RateObservation
from keras_lr._keras.values import Access
from keras_lr.callbacks.reading import Values


class Observed:
    """The learning rates of a model's optimizers, read and left alone.

    Where the model is given another optimizer in the middle of a fit, they are those of that one.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._optimizer: Any = None
        self._rates: dict[str, _OneRate] = {}

    def last(self, access: Access) -> dict[str, float]:
        """Return what the last step has used, by names for the logs."""
        if self._model.optimizer is not self._optimizer:
            self._follow()
        return {name: rate.last(access) for name, rate in self._rates.items()}

    def _follow(self) -> None:
        self._optimizer = self._model.optimizer
        leaves = leaf_optimizers(self._optimizer)
        names = [f"learning_rate_{leaf.name}" for leaf in leaves]
        if len(leaves) == 1:
            names = ["learning_rate"]
        self._rates = {name: _OneRate(leaf) for name, leaf in zip(names, leaves, strict=True)}


def with_largest(applied: dict[str, float]) -> dict[str, float]:
    """Return what is logged of a step; the largest of several rates is `learning_rate`."""
    rates = [rate for name, rate in applied.items() if name.startswith("learning_rate")]
    return {"learning_rate": max(rates), **applied}


class _OneRate:
    def __init__(self, optimizer: Any) -> None:
        self._observation = RateObservation(optimizer)
        self._schedule: Any = None
        self._values = Values(None)

    def last(self, access: Access) -> float:
        schedule = self._observation.schedule
        if schedule is None:
            return self._observation.last_held(access)
        if schedule is not self._schedule:
            self._schedule, self._values = schedule, Values(schedule)
        value = float(self._values(self._observation.last_step(access)))
        return value * self._observation.scale
