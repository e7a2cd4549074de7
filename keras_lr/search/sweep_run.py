"""How the lanes of a sweep are trained: one after the other, or all at once where that is quicker.

Both ways make the same steps. Which one is quicker is measured, on the steps that have to be made
anyway: the first lane is always trained alone.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_lr._keras.evaluation import Batch
from keras_lr._keras.lanes import Lanes, can_stack, is_compiled
from keras_lr._keras.trials import Trials, is_finite
from keras_lr.search.progress import Progress

Method = Literal["auto", "sequential", "lanes"]

# Compiling the lanes takes about half a second for a small model, but once: every later sweep of as
# many learning rates gains by it too. So it is done where half of it is gained in this one.
_WORTH_COMPILING_SECONDS = 0.25
_TIMED_STEPS = 5
STOP_FACTOR = 1e3


@dataclass(frozen=True)
class Lane:
    """How one learning rate went.

    Attributes:
        losses: float64[batches], NaN after the lane was stopped.
        made: How many batches it was trained on.
        final: The metrics at its end.
    """

    losses: np.ndarray
    made: int
    final: dict[str, float]


class Sweeper:
    """Trains lanes on one model, in opened trials.

    Args:
        model: The model.
        trials: The opened trials.
        validation_data: What to evaluate each lane on at its end, or None.
        progress: Where to show the steps made.
    """

    def __init__(
        self, model: keras.Model, trials: Trials, validation_data: Any, progress: Progress
    ) -> None:
        self._model, self._trials = model, trials
        self._validation_data, self._progress = validation_data, progress
        self.steps_made = 0
        self._second_step = 0.0  # when the last lane began it
        self.used: Literal["sequential", "lanes"] = "sequential"

    def run(self, batches: Sequence[Batch], rates: np.ndarray, method: Method) -> list[Lane]:
        """Train every lane on the same batches.

        Args:
            batches: The batches, n of them.
            rates: float64[K, n], the learning rate of every lane at every batch.
            method: How.
        """
        if method == "lanes":
            return self._at_once(batches, rates, longest=np.inf) or []
        lanes = [self.alone(batches, row) for row in rates[:1]]
        seconds = (time.perf_counter() - self._second_step) / max(lanes[0].made - 1, 1)
        rest = rates[1:]
        if method == "auto" and self._may_gain(len(rest), seconds * rest.size):
            together = self._at_once(batches, rest, longest=seconds * len(rest))
            if together is not None:
                return lanes + together
        return lanes + [self.alone(batches, row) for row in rest]

    def alone(self, batches: Sequence[Batch], rates: np.ndarray) -> Lane:
        """Train one lane; stop it when it diverges."""
        trials = self._trials
        trials.begin()
        losses = np.full(len(batches), np.nan)
        for index, rate in enumerate(rates):
            if index <= 1:  # the first one may compile
                self._second_step = time.perf_counter()
            if index == _last_quarter(len(batches)):
                trials.reset_metrics()
            losses[index] = trials.step(batches[index], float(rate))
            self._count(1, losses[index], rate)
            if not is_finite(losses[index], losses[0], STOP_FACTOR):
                return Lane(losses, index + 1, {})
        return Lane(losses, len(batches), self._final(trials.logs()))

    def _may_gain(self, lanes: int, seconds: float) -> bool:
        if lanes < 2 or not can_stack(self._model, self._trials, lanes):
            return False
        return is_compiled(self._model, lanes) or seconds > _WORTH_COMPILING_SECONDS

    def _at_once(
        self, batches: Sequence[Batch], rates: np.ndarray, longest: float
    ) -> list[Lane] | None:
        """Train all lanes at once; None if a step takes longer than `longest` seconds."""
        self._trials.begin()
        lanes = Lanes(self._model, self._trials, len(rates))
        losses = np.full(rates.shape, np.nan)
        going = np.full(len(rates), len(batches))
        begun = time.perf_counter()
        for index, batch in enumerate(batches):
            if index == 1:  # the first one compiled
                begun = time.perf_counter()
            timed = index == 1 + _TIMED_STEPS
            if timed and (time.perf_counter() - begun) / _TIMED_STEPS > longest:
                return None
            if index == _last_quarter(len(batches)):
                lanes.reset_metrics()
            alive = going == len(batches)
            losses[alive, index] = lanes.step(batch, rates[:, index])[alive]
            lowest = int(np.argmin(np.where(np.isnan(losses[:, index]), np.inf, losses[:, index])))
            self._count(int(alive.sum()), losses[lowest, index], rates[lowest, index])
            for lane in np.flatnonzero(alive):
                if not is_finite(losses[lane, index], losses[lane, 0], STOP_FACTOR):
                    going[lane] = index + 1
            if (going <= index).all():
                break
        self.used = "lanes"
        return [
            Lane(losses[lane], int(made), self._final_of(lanes, lane, made == len(batches)))
            for lane, made in enumerate(going)
        ]

    def _final_of(self, lanes: Lanes, lane: int, whole: bool) -> dict[str, float]:
        if not whole:
            return {}
        if self._validation_data is not None:
            self._trials.state.carry(lanes.state(lane))
        return self._final(lanes.logs(lane))

    def _final(self, logs: dict[str, float]) -> dict[str, float]:
        # A step's loss is its batch's own, so that the mean of the last ones is made elsewhere.
        final = {name: value for name, value in logs.items() if name != "loss"}
        if self._validation_data is not None:
            final |= self._trials.evaluate(self._validation_data)
        return final

    def _count(self, steps: int, loss: float, rate: float) -> None:
        self.steps_made += steps
        self._progress.update(self.steps_made, loss=float(loss), learning_rate=float(rate))


def _last_quarter(count: int) -> int:
    return count - max(1, count // 4)
