"""Training of a sweep's lanes: one after the other, or all at once where that is quicker.

Both ways make the same steps, and which one is quicker is measured on the first of them. Compiling
takes most of the time of a small sweep, so that it matters which way is tried first: for small
dense networks all at once, since their stack is a larger matrix product; for others one lane alone,
since a stack of convolutions is a grouped one, slow on a CPU.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.batch_loss import as_float
from keras_lr._keras.data import Batch, FitData
from keras_lr._keras.lanes import Lanes, can_stack, compiled_lanes
from keras_lr._keras.trials import Trials, is_bounded
from keras_lr._keras.values import Remembered
from keras_lr.search.progress import Progress

Method = Literal["auto", "sequential", "lanes"]

# Gains are in the number of calls, not in arithmetic: on two cores they were four times for a dense
# network of 7,000 weights, one and a half times for one of 85,000, none for one of a million.
_SMALL = 50_000
_FEW_STEPS = 500  # of all lanes together: over before anything can be gained
# The step of a stack takes so many times as long to compile as that of one lane.
_COMPILING_RATIO = 1.5
# Compiling the stack pays where training alone takes so many times as long as compiling one lane:
# the stack is seldom more than three times as quick, and one lane may be compiled already.
_WORTH_COMPILING = 4.0
_WORTH_COMPILING_SECONDS = 1.0
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
        self,
        model: keras.Model,
        trials: Trials,
        validation_data: FitData | None,
        progress: Progress,
    ) -> None:
        self._model, self._trials = model, trials
        self._validation_data, self._progress = validation_data, progress
        self.steps_made = 0
        self.known: list[Lane] = []  # the lanes there are already, should the run be interrupted
        self._made_again = 0  # of these, how many are made a second time, in another way
        self._compiling = self._step_seconds = 0.0  # of the last lane trained alone
        self.used: Literal["sequential", "lanes"] = "sequential"

    def run(self, batches: Sequence[Batch], rates: np.ndarray, method: Method) -> list[Lane]:
        """Train every lane on the same batches.

        Args:
            batches: The batches, n of them.
            rates: float64[K, n], the learning rate of every lane at every batch.
            method: How.
        """
        self.known = []
        if method == "lanes":
            return self._at_once(batches, rates) or []
        if method == "auto" and len(rates) > 1 and can_stack(self._model, self._trials, len(rates)):
            return self._quicker(batches, rates)
        if not ON_JAX:  # where picking is quick, and a step takes arrays as they are
            batches = Remembered(batches)
        return self._one_by_one(batches, rates)

    def alone(self, batches: Sequence[Batch], rates: np.ndarray) -> Lane:
        """Train one lane; stop it when it diverges."""
        trials = self._trials
        trials.begin()
        losses = np.full(len(batches), np.nan)
        unread: list[Any] = []
        times = [time.perf_counter()]
        for index, rate in enumerate(rates):
            if index == _last_quarter(len(batches)):
                trials.reset_metrics()
            unread.append(trials.step(batches[index], float(rate)))
            # JAX returns before a step is computed: its loss is waited for while the next step is
            # on its way, and a divergence seen a step late.
            pending = 1 if ON_JAX and index + 1 < len(batches) else 0
            while len(unread) > pending:
                seen = index + 1 - len(unread)
                losses[seen] = as_float(unread.pop(0))
                self._count(1, losses[seen], rates[seen])
                if not is_bounded(losses[seen], losses[0], STOP_FACTOR):
                    return Lane(losses, seen + 1, {})
            times.append(time.perf_counter())
        self._compiling, self._step_seconds = times[1] - times[0], _typical_step(times)
        return Lane(losses, len(batches), self._final(trials.logs()))

    def _quicker(self, batches: Sequence[Batch], rates: np.ndarray) -> list[Lane]:
        """Train the lanes in whichever way is quicker."""
        if _is_dense_and_small(self._model) and rates.size >= _FEW_STEPS:
            # A stack that is through before one lane alone could be compiled cannot be beaten.
            lanes = self._at_once(batches, rates, lambda compiling: compiling / _COMPILING_RATIO)
            if lanes is not None:
                return lanes
        first = self.alone(batches, rates[0])
        rest = self._step_seconds * rates[1:].size
        worth = rest > max(_WORTH_COMPILING * self._compiling, _WORTH_COMPILING_SECONDS)
        if worth or compiled_lanes(self._model, len(rates)):
            self._made_again += first.made
            lanes = self._at_once(batches, rates, lambda _: rest)
            if lanes is not None:
                return lanes
            self._made_again -= first.made
        return self._one_by_one(batches, rates[1:], first)

    def _one_by_one(
        self, batches: Sequence[Batch], rates: np.ndarray, *trained: Lane
    ) -> list[Lane]:
        self.known = [*trained]
        for row in rates:
            self.known.append(self.alone(batches, row))
        return self.known

    def _at_once(
        self,
        batches: Sequence[Batch],
        rates: np.ndarray,
        longest: Callable[[float], float] = lambda _: math.inf,
    ) -> list[Lane] | None:
        """Train all lanes at once.

        Args:
            batches: The batches.
            rates: The learning rates.
            longest: How many seconds it may take, by how many it took to compile the step.

        Returns:
            The lanes, or None if it would take longer: at once if that is known, or after a few
            steps.
        """
        known = compiled_lanes(self._model, len(rates))
        if known and (known.step_seconds or 0.0) * len(batches) > longest(known.compiling):
            return None
        self._trials.begin()
        lanes = Lanes(self._model, self._trials, len(rates))
        losses = np.full(rates.shape, np.nan)
        going = np.full(len(rates), len(batches))
        made_before, times = self.steps_made, []
        for index, batch in enumerate(batches):
            times.append(time.perf_counter())
            if 2 <= index <= 1 + _TIMED_STEPS:
                each = _typical_step(times)
                lanes.compiled.step_seconds = each
                allowed = longest(lanes.compiled.compiling) / len(batches)
                if each > (allowed if index > _TIMED_STEPS else 2 * allowed):
                    self._made_again += self.steps_made - made_before
                    return None
            if index == _last_quarter(len(batches)):
                lanes.reset_metrics()
            alive = going == len(batches)
            losses[alive, index] = lanes.step(batch, rates[:, index])[alive]
            lowest = int(np.argmin(np.where(np.isnan(losses[:, index]), np.inf, losses[:, index])))
            self._count(int(alive.sum()), losses[lowest, index], rates[lowest, index])
            for lane in np.flatnonzero(alive):
                if not is_bounded(losses[lane, index], losses[lane, 0], STOP_FACTOR):
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
        shown = self.steps_made - self._made_again
        self._progress.update(shown, loss=float(loss), learning_rate=float(rate))


def _is_dense_and_small(model: keras.Model) -> bool:
    weights = model.trainable_variables
    small = sum(math.prod(variable.shape) for variable in weights) <= _SMALL
    return small and all(len(variable.shape) <= 2 for variable in weights)


def _typical_step(times: list[float]) -> float:
    """Return how long a step takes, by when each began: the first may compile, and some others."""
    return float(np.median(np.diff(times)[1:])) if len(times) > 2 else 0.0


def _last_quarter(count: int) -> int:
    return count - max(1, count // 4)
