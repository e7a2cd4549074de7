"""The loop of every trial: training on batches, until the loss diverges."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import as_float
from keras_lr._engine.movement import Movement, still_from
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
        died: Whether its matrices stood still at its end; only looked at where that was asked for.
        step_seconds: How long a step took, typically.
    """

    losses: np.ndarray
    made: int
    diverged: bool
    final: dict[str, float] = field(default_factory=dict)
    died: bool = False
    step_seconds: float = 0.0


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
                of them finite, say so. Then its matrices are looked at, too.
            before_step: Called before each step; ends the trial where it returns False.
        """
        trials, losses = self._trials, np.full(len(batches), np.nan)
        unread: list[Any] = []
        movement, movements = Movement(self._model), dict[int, float]()
        times = [time.perf_counter()]
        for index, rate in enumerate(rates):
            if not before_step(index):
                return TrialRun(losses, index, diverged=False)
            if index == last_quarter(len(batches)):
                trials.reset_metrics()
            measured = confirms is not None and index in (0, len(batches) - 1)
            if measured:
                movement.before_step(trials.state)
            unread.append(trials.step(batches[index], rate))
            if measured:
                movements[index] = movement.after_step(trials.state, rate)
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
        died = still_from(movements, losses.tolist()) is not None
        seconds = typical_step(times)
        return TrialRun(losses, len(batches), diverged=False, died=died, step_seconds=seconds)


def last_quarter(count: int) -> int:
    """Return where the last quarter of so many steps begins."""
    return count - max(1, count // 4)


def typical_step(times: Sequence[float]) -> float:
    """Return how long a step takes, by when each began: the first may compile, and some others."""
    return float(np.median(np.diff(times)[1:])) if len(times) > 2 else 0.0
