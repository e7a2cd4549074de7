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

from keras_lr._engine.batch_loss import as_float
from keras_lr._engine.cached_batches import CachedBatches
from keras_lr._engine.movement import Movement, still_from
from keras_lr._engine.trials import Trials
from keras_lr._engine.vmapped import Lanes, can_stack, compiled_lanes
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.data import Batch, FitData
from keras_lr.search.progress import Progress
from keras_lr.search.stop_rule import TrialWatch, ended_above

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
_START_BATCHES = 8  # at most, whose losses at the starting weights are the scale
_DIVERGED_FACTOR = 2.0


@dataclass(frozen=True)
class Lane:
    """How one learning rate went.

    Attributes:
        losses: float64[batches], NaN after the lane was stopped.
        made: How many batches it was trained on.
        final: The metrics at its end.
        diverged: Whether it was stopped, or ended far above the loss of the same batches at the
            starting weights.
        died: Whether its matrices stood still at its end, which is looked at where there is a
            probe.
    """

    losses: np.ndarray
    made: int
    final: dict[str, float]
    diverged: bool
    died: bool = False


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
        self._start_losses: list[float] | None = None  # of the last batches
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
        self._start_losses = None
        if method == "lanes":
            return self._at_once(batches, rates) or []
        if method == "auto" and len(rates) > 1 and can_stack(self._model, self._trials, len(rates)):
            return self._quicker(batches, rates)
        if not ON_JAX:  # where picking is quick, and a step takes arrays as they are
            batches = CachedBatches(batches)
        return self._one_by_one(batches, rates)

    def alone(
        self,
        batches: Sequence[Batch],
        rates: np.ndarray,
        confirms: Callable[[], bool] | None = None,
    ) -> Lane:
        """Train one lane; stop it when it diverges.

        Args:
            batches: The batches.
            rates: The learning rate at each of them.
            confirms: Where there is a probe: asked whether a lane has diverged whose losses, all of
                them finite, say so. None to believe the losses, by their scale at the start.
        """
        trials = self._trials
        times = [time.perf_counter()]  # the first step may compile
        if self._start_losses is None and confirms is None:
            self._start_losses = trials.start_losses(batches[i] for i in _last(len(batches)))
        watch = TrialWatch(self._start_losses or ())
        trials.begin()
        losses = np.full(len(batches), np.nan)
        unread: list[Any] = []
        movement, movements = Movement(self._model), dict[int, float]()
        for index, rate in enumerate(rates):
            if index == last_quarter(len(batches)):
                trials.reset_metrics()
            measured = confirms is not None and index in (0, len(batches) - 1)
            if measured:
                movement.before_step(trials.state)
            unread.append(trials.step(batches[index], float(rate)))
            if measured:
                movements[index] = movement.after_step(trials.state, float(rate))
            # JAX returns before a step is computed: its loss is waited for while the next step is
            # on its way, and a divergence seen a step late.
            pending = 1 if ON_JAX and index + 1 < len(batches) else 0
            while len(unread) > pending:
                seen = index + 1 - len(unread)
                losses[seen] = as_float(unread.pop(0))
                self._count(1, losses[seen], rates[seen])
                if watch.is_diverged(losses[seen]) and (
                    confirms is None or not math.isfinite(losses[seen]) or confirms()
                ):
                    return Lane(losses, seen + 1, {}, diverged=True)
            times.append(time.perf_counter())
        self._compiling, self._step_seconds = times[1] - times[0], _typical_step(times)
        trials.use.at_end()
        died = still_from(movements, losses.tolist()) is not None
        final, diverged = self._final(trials.logs()), self._ended_above(losses)
        return Lane(losses, len(batches), final, diverged, died)

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
        if worth or compiled_lanes(self._model, self._trials, len(rates)):
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
        known = compiled_lanes(self._model, self._trials, len(rates))
        if known and (known.step_seconds or 0.0) * len(batches) > longest(known.compiling):
            return None
        self._trials.begin()
        lanes = Lanes(self._model, self._trials, len(rates))
        if self._start_losses is None:
            self._start_losses = lanes.start_losses(batches[i] for i in _last(len(batches)))
        watches = [TrialWatch(self._start_losses) for _ in rates]
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
            if index == last_quarter(len(batches)):
                lanes.reset_metrics()
            alive = going == len(batches)
            losses[alive, index] = lanes.step(batch, rates[:, index])[alive]
            lowest = int(np.argmin(np.where(np.isnan(losses[:, index]), np.inf, losses[:, index])))
            self._count(int(alive.sum()), losses[lowest, index], rates[lowest, index])
            for lane in np.flatnonzero(alive):
                if watches[lane].is_diverged(losses[lane, index]):
                    going[lane] = index + 1
            if (going <= index).all():
                break
        self._trials.use.at_end()
        self.used = "lanes"
        return [self._lane(lanes, k, losses[k], int(made)) for k, made in enumerate(going)]

    def _lane(self, lanes: Lanes, index: int, losses: np.ndarray, made: int) -> Lane:
        if made < len(losses):
            return Lane(losses, made, {}, diverged=True)
        if self._validation_data is not None:
            self._trials.state.carry(lanes.state(index))
        return Lane(losses, made, self._final(lanes.logs(index)), self._ended_above(losses))

    def _ended_above(self, losses: np.ndarray) -> bool:
        """Return whether a lane that came to its end lost far more there than at its start."""
        if self._start_losses is None:
            return False
        return ended_above(losses[_last(len(losses)).start :], self._start_losses, _DIVERGED_FACTOR)

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


def _last(count: int) -> range:
    """Return the last batches: the end of a lane is held against their losses at its start.

    No more than a lane's end has, and no more than it takes to know the scale.
    """
    return range(count - min(_START_BATCHES, count - last_quarter(count)), count)


def last_quarter(count: int) -> int:
    """Return where the last quarter of so many steps begins."""
    return count - max(1, count // 4)
