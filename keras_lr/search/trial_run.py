"""The loop of every trial: training on batches, until the loss diverges."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import as_float
from keras_lr._engine.movement import Movement, Read, still_from
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
        died: Whether the network was dead at its end: its matrices stood still, as those of a model
            that has converged do too, and it answered every input alike.
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

    Args:
        model: The model.
        rates: The learning rate of each step; one of 0 moves nothing.
    """

    def __init__(self, model: keras.Model, rates: Sequence[float]) -> None:
        self._movement, self._rates = Movement(model), rates
        moving = [index for index, rate in enumerate(rates) if rate > 0]
        self._looked_at = {*moving[:1], *moving[-1:]}
        self._movements: dict[int, float] = {}

    def before_step(self, index: int, read: Read) -> None:
        """Look where the weights are."""
        if index in self._looked_at:
            self._movement.before_step(read)

    def after_step(self, index: int, read: Read) -> None:
        """Look how far they have come."""
        if index in self._looked_at:
            self._movements[index] = self._movement.after_step(read, self._rates[index])

    def stands_still(self, losses: np.ndarray) -> bool:
        """Return whether the weights stood still at the last step, by `still_from`."""
        return still_from(self._movements, losses.tolist()) is not None


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
        died = life.stands_still(losses) and trials.answers_alike(batches[-1])
        seconds = typical_step(times)
        return TrialRun(losses, len(batches), diverged=False, died=died, step_seconds=seconds)


def last_quarter(count: int) -> int:
    """Return where the last quarter of so many steps begins."""
    return count - max(1, count // 4)


def typical_step(times: Sequence[float]) -> float:
    """Return how long a step takes, by when each began: the first may compile, and some others."""
    return float(np.median(np.diff(times)[1:])) if len(times) > 2 else 0.0
