"""Training of a sweep's lanes: one after the other, or all at once where that is quicker.

Both ways make the same steps. Compiling takes most of the time of a small sweep, so that the way is
chosen before either is compiled, and again when the costs of one are known.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import keras
import numpy as np

from keras_lr._engine.cached_batches import CachedBatches
from keras_lr._engine.trials import Trials
from keras_lr._engine.vmapped import VmappedTrials, can_vmap, memory_limit
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.data import Batch, FitData
from keras_lr.search.progress import Progress
from keras_lr.search.stop_rule import TrialWatch, ended_above
from keras_lr.search.sweep.costs import SweepCosts
from keras_lr.search.trial_run import Life, TrialRun, TrialRunner, last_quarter, typical_step

Method = Literal["auto", "sequential", "lanes"]

_TIMED_STEPS = 5
_START_BATCHES = 8  # at most, whose losses at the starting weights are the scale
_DIVERGED_FACTOR = 2.0


class SweepTrainer:
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
        self.known: list[
            TrialRun
        ] = []  # the lanes there are already, should the run be interrupted
        self._start_losses: list[float] | None = None  # of the last batches
        self._costs = SweepCosts(model, trials)
        self._made_again = 0  # of these, how many are made a second time, in another way
        self.used: Literal["sequential", "lanes"] = "sequential"

    def run(self, batches: Sequence[Batch], rates: np.ndarray, method: Method) -> list[TrialRun]:
        """Train every lane on the same batches.

        Args:
            batches: The batches, n of them.
            rates: float64[K, n], the learning rate of every lane at every batch.
            method: How.
        """
        self.known = []
        self._start_losses = None
        if method == "lanes":
            lanes = self._lanes(batches, len(rates))
            lanes.check_memory()
            return self._vmapped(batches, rates, lanes) or []
        if method == "auto" and len(rates) > 1 and can_vmap(self._model):
            return self._fastest(batches, rates)
        if not ON_JAX:  # where picking is quick, and a step takes arrays as they are
            batches = CachedBatches(batches)
        return self._one_by_one(batches, rates)

    def alone(self, batches: Sequence[Batch], rates: np.ndarray) -> TrialRun:
        """Train one lane; stop it when it diverges."""
        if self._start_losses is None:
            self._start_losses = self._losses_at_start(batches)
        self._trials.begin()
        run = TrialRunner(self._model, self._trials).run(
            batches,
            rates.tolist(),
            TrialWatch(self._start_losses),
            on_loss=lambda index, loss: self._count(1, loss, rates[index]),
        )
        if run.diverged:
            return run
        if ON_JAX:
            self._costs.note_alone(step=run.step_seconds)
        final, diverged = self._final(self._trials.logs()), self._ended_above(run.losses)
        return replace(run, final=final, diverged=diverged)

    def _fastest(self, batches: Sequence[Batch], rates: np.ndarray) -> list[TrialRun]:
        """Train the lanes in whichever way is quicker."""
        lanes = self._lanes(batches, len(rates))
        if self._pays(lanes, batches, len(rates)):
            found = self._vmapped(batches, rates, lanes, may_give_up=True)
            return self._one_by_one(batches, rates) if found is None else found
        first = self.alone(batches, rates[0])
        lanes = self._lanes(batches, len(rates))
        if self._pays(lanes, batches, len(rates) - 1):
            self._made_again += first.made
            found = self._vmapped(batches, rates, lanes, may_give_up=True)
            if found is not None:
                return found
            self._made_again -= first.made
        return self._one_by_one(batches, rates[1:], first)

    def _lanes(self, batches: Sequence[Batch], count: int) -> VmappedTrials:
        self._trials.begin()
        return VmappedTrials(self._model, self._trials, count, batches[0])

    def _pays(self, lanes: VmappedTrials, batches: Sequence[Batch], count: int) -> bool:
        """Return whether training all lanes at once is quicker, and there is memory for it."""
        way = self._costs.quicker(count, len(batches), lanes.compiled, batches[0])
        return way == "lanes" and lanes.needed_memory() <= memory_limit()

    def _one_by_one(
        self, batches: Sequence[Batch], rates: np.ndarray, *trained: TrialRun
    ) -> list[TrialRun]:
        self.known = [*trained]
        for row in rates:
            self.known.append(self.alone(batches, row))
        return self.known

    def _vmapped(
        self,
        batches: Sequence[Batch],
        rates: np.ndarray,
        lanes: VmappedTrials,
        *,
        may_give_up: bool = False,
    ) -> list[TrialRun] | None:
        """Train all lanes at once.

        Args:
            batches: The batches.
            rates: The learning rates.
            lanes: As many lanes.
            may_give_up: Whether to do so after a few steps, if they say that the rest would be
                quicker one lane after the other.

        Returns:
            The lanes, or None if that was given up.
        """
        lanes.begin()
        if self._start_losses is None:
            self._start_losses = lanes.start_losses(batches[i] for i in _last(len(batches)))
        watches = [TrialWatch(self._start_losses) for _ in rates]
        lives = [Life(self._model, row.tolist()) for row in rates]
        reads = [partial(lanes.read, lane=lane) for lane in range(len(rates))]
        losses = np.full(rates.shape, np.nan)
        going = np.full(len(rates), len(batches))
        made_before, times = self.steps_made, []
        for index, batch in enumerate(batches):
            times.append(time.perf_counter())
            if 2 <= index <= 1 + _TIMED_STEPS:
                lanes.compiled.step_seconds = each = typical_step(times)
                given = len(rates), len(batches), lanes.compiled, batch
                likely = each if index > _TIMED_STEPS else each / 2
                if may_give_up and self._costs.quicker(*given, likely) == "sequential":
                    self._made_again += self.steps_made - made_before
                    return None
            if index == last_quarter(len(batches)):
                lanes.reset_metrics()
            alive = going == len(batches)
            for life, read in zip(lives, reads, strict=True):
                life.before_step(index, read)
            losses[alive, index] = lanes.step(batch, rates[:, index])[alive]
            for life, read in zip(lives, reads, strict=True):
                life.after_step(index, read)
            lowest = int(np.argmin(np.where(np.isnan(losses[:, index]), np.inf, losses[:, index])))
            self._count(int(alive.sum()), losses[lowest, index], rates[lowest, index])
            for lane in np.flatnonzero(alive):
                if watches[lane].is_diverged(losses[lane, index]):
                    going[lane] = index + 1
            if (going <= index).all():
                break
        self._trials.use.at_end()
        self.used = "lanes"
        stopped = going < len(batches)
        return [
            TrialRun(losses[k], int(going[k]), diverged=True)
            if stopped[k]
            else self._whole_lane(lanes, k, losses[k], lives[k], batches[-1])
            for k in range(len(rates))
        ]

    def _whole_lane(
        self, lanes: VmappedTrials, lane: int, losses: np.ndarray, life: Life, last: Batch
    ) -> TrialRun:
        if life.still(losses) or self._validation_data is not None:
            self._trials.state.carry(lanes.state(lane))
        died = life.is_over(losses, self._trials, last)
        final, diverged = self._final(lanes.logs(lane)), self._ended_above(losses)
        return TrialRun(losses, len(losses), diverged, final, died)

    def _losses_at_start(self, batches: Sequence[Batch]) -> list[float]:
        """Return the losses of the last batches at the starting weights; time what is compiled."""
        first, *others = _last(len(batches))
        known = not ON_JAX or self._costs.alone.is_compiled
        begun = time.perf_counter()
        losses = self._trials.start_losses([batches[first]])
        if not known:
            self._costs.note_alone(compiling=time.perf_counter() - begun)
        return losses + self._trials.start_losses(batches[index] for index in others)

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


def _last(count: int) -> range:
    """Return the last batches: the end of a lane is held against their losses at its start.

    No more than a lane's end has, and no more than it takes to know the scale.
    """
    return range(count - min(_START_BATCHES, count - last_quarter(count)), count)
