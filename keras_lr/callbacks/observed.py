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
        self._follow()
        return {name: rate.last(access) for name, rate in self._rates.items()}

    def coming(self, access: Access) -> dict[str, float]:
        """Return what the schedules in the optimizers give for the coming step."""
        self._follow()
        rates = {name: rate.coming(access) for name, rate in self._rates.items()}
        return {name: rate for name, rate in rates.items() if rate is not None}

    def _follow(self) -> None:
        if self._model.optimizer is self._optimizer:
            return
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
        self._known: tuple[int, float] = (-1, 0.0)  # a user's function is called once for a step

    def last(self, access: Access) -> float:
        if self._observation.schedule is None:
            return self._observation.last_held(access)
        return self._at(self._observation.last_step(access))

    def coming(self, access: Access) -> float | None:
        if self._observation.schedule is None:
            return None
        return self._at(self._observation.coming_step(access))

    def _at(self, step: int) -> float:
        schedule = self._observation.schedule
        if schedule is not self._schedule:
            self._schedule, self._values = schedule, Values(schedule)
            self._known = (-1, 0.0)
        if step != self._known[0]:
            self._known = step, float(self._values(step))
        return self._known[1] * self._observation.scale
