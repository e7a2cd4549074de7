"""The loop of every trial: training on batches, until the loss diverges."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import as_float
from keras_lr._engine.movement import Movement, Read, StillMatrix
from keras_lr._engine.trials import Trials
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.data import Batch
from keras_lr._keras.workers import agreed
from keras_lr.search.stop_rule import TrialWatch

OnLoss = Callable[[int, float], None]  # (index of the batch, its loss)
BeforeStep = Callable[[int], bool]  # (index of the batch) -> whether to go on


@dataclass(frozen=True)
class TrialRun:
    """How a trial went.

    Attributes:
        losses: float64[batches], NaN where it did not get to.
        made: How many batches it was trained on.
        diverged: Whether its loss diverged, or ended far above what its batches lost at the start.
        final: The metrics at its end, where these were looked at.
        died: Whether the network was dead at its end, see `Life`.
        step_seconds: How long a step took, typically.
    """

    losses: np.ndarray
    made: int
    diverged: bool
    final: dict[str, float] = field(default_factory=dict)
    died: bool = False
    step_seconds: float = 0.0


class Life:
    """Looks at the first and the last step of a trial for whether the network is alive.

    Where every unit of a layer has died, the matrices up to there stand still: the loss does not
    depend on them, and the network answers every input alike. The matrices of a model that has
    converged stand still too, and where the targets are all the same, or a batch is one sample, it
    rightly answers alike; but its loss depends on each of them.

    Args:
        model: The model.
        rates: The learning rate of each step; one of 0 moves nothing.
    """

    def __init__(self, model: keras.Model, rates: Sequence[float]) -> None:
        self._movement, self._rates = Movement(model), rates
        moving = [index for index, rate in enumerate(rates) if rate > 0]
        self._looked_at = {*moving[:1], *moving[-1:]}
        self._last = moving[-1] if len(moving) > 1 else None

    def before_step(self, index: int, read: Read) -> None:
        """Look where the weights are."""
        if index in self._looked_at:
            self._movement.before_step(read)

    def after_step(self, index: int, read: Read) -> None:
        """Look how far they have come."""
        if index in self._looked_at:
            self._movement.after_step(read, self._rates[index])

    def still(self, losses: np.ndarray) -> list[StillMatrix]:
        """Return the matrices that stood still at the last step.

        None where the loss was always the same, or zero: its gradients are zero, then.
        """
        last = self._last
        if last is None or losses[last] == 0.0 or len(set(losses.tolist())) == 1:
            return []
        return self._movement.still()

    def is_over(self, losses: np.ndarray, trials: Trials, batch: Batch) -> bool:
        """Return whether the network is dead at the end of a trial.

        Args:
            losses: The losses of the trial.
            trials: The trials, at its end.
            batch: The last batch.
        """
        still = self.still(losses)
        if not still:
            return False
        alike = trials.answers_alike(batch)
        if alike is None:
            alike = len(still) == self._movement.count
        return alike and any(trials.ignores(each, batch) for each in still)


class TrialRunner:
    """Trains a model on batches, each at a learning rate of its own.

    Args:
        model: The model, in opened trials.
        trials: The trials.
    """

    def __init__(self, model: keras.Model, trials: Trials) -> None:
        self._model, self._trials = model, trials

    def run(
        self,
        batches: Sequence[Batch],
        rates: Sequence[float],
        watch: TrialWatch,
        *,
        on_loss: OnLoss,
        confirms: Callable[[], bool] | None = None,
        before_step: BeforeStep = lambda index: True,
    ) -> TrialRun:
        """Train once, from the present state.

        The metrics count from the last quarter on: at the end they are those of its batches.

        Args:
            batches: The batches.
            rates: The learning rate at each of them.
            watch: Tells whether a loss has diverged.
            on_loss: Told of each loss.
            confirms: Where there is a probe: asked whether the trial has diverged whose losses, all
                of them finite, say so.
            before_step: Called before each step; ends the trial where it returns False.
        """
        trials, losses = self._trials, np.full(len(batches), np.nan)
        unread: list[Any] = []
        life = Life(self._model, rates)
        times = [time.perf_counter()]
        for index, rate in enumerate(rates):
            if not before_step(index):
                return TrialRun(losses, index, diverged=False)
            if index == last_quarter(len(batches)):
                trials.reset_metrics()
            life.before_step(index, trials.state.read)
            unread.append(trials.step(batches[index], rate))
            life.after_step(index, trials.state.read)
            # JAX returns before a step is computed: its loss is waited for while the next step is
            # on its way, and a divergence seen a step late.
            pending = 1 if ON_JAX and index + 1 < len(batches) else 0
            while len(unread) > pending:
                seen = index + 1 - len(unread)
                losses[seen] = agreed(as_float(unread.pop(0)))
                on_loss(seen, float(losses[seen]))
                if watch.is_diverged(losses[seen]) and (
                    confirms is None or not math.isfinite(losses[seen]) or confirms()
                ):
                    return TrialRun(losses, seen + 1, diverged=True)
            times.append(time.perf_counter())
        trials.use.at_end()
        died = life.is_over(losses, trials, batches[-1])
        seconds = typical_step(times)
        return TrialRun(losses, len(batches), diverged=False, died=died, step_seconds=seconds)


def last_quarter(count: int) -> int:
    """Return where the last quarter of so many steps begins."""
    return count - max(1, count // 4)


def typical_step(times: Sequence[float]) -> float:
    """Return how long a step takes, by when each began: the first may compile, and some others."""
    return float(np.median(np.diff(times)[1:])) if len(times) > 2 else 0.0
