"""The short trials of `tune_lr`, and the range test that may come before them."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import Monitor
from keras_lr._engine.trials import Trials, trials
from keras_lr._keras.data import Batch, FitData
from keras_lr._keras.optimizers import accumulation_steps
from keras_lr._keras.random import random_state_kept
from keras_lr.errors import complaining_as, complaint
from keras_lr.search.data import TrainingData
from keras_lr.search.progress import Progress, Verbosity
from keras_lr.search.range_test.curve import SuggestionError
from keras_lr.search.range_test.find import INTERRUPTED, lr_find
from keras_lr.search.stop_rule import TRIAL_FACTOR, TrialWatch
from keras_lr.search.trial_run import TrialRunner, last_quarter
from keras_lr.search.tune.climb import ProbeClimb

_OWNER = "tune_lr"
# Short trials are best well above the learning rate that people start from: this is where the
# first one stands, so that the second one usually brackets the best.
_ABOVE_START = 0.6


@dataclass(frozen=True)
class Judges:
    """What the trials are scored by.

    Attributes:
        probe: Batches whose loss is looked at after a trial; None for the training loss of its last
            quarter.
        validation_data: What a trial is also evaluated on; its score is then the mean of both.
        monitor: What is watched instead of the loss.
    """

    probe: list[Batch] | None
    validation_data: FitData | None
    monitor: Monitor | None

    def score(self, opened: Trials, loss: float) -> float:
        """Return the score at the present weights, for a probe's or a training loss."""
        if self.validation_data is None or not math.isfinite(loss):
            return loss
        with random_state_kept():  # a DataLoader may draw from them as it is read
            logs = opened.evaluate(self.validation_data)
        return (loss + opened.watched(logs)) / 2


class ScoredTrials:
    """Trials of a constant learning rate each, from the same weights and on the same batches.

    Args:
        model: The model.
        opened: Its trials.
        batches: The batches.
        judges: What the trials are scored by.
        progress: Where to show the steps made.

    Attributes:
        untrained: The score of the weights that every trial starts from.
        steps_made: Training steps made.
    """

    def __init__(
        self,
        model: keras.Model,
        opened: Trials,
        batches: Sequence[Batch],
        judges: Judges,
        progress: Progress,
    ) -> None:
        self._trials, self._batches = opened, batches
        self._judges, self._progress = judges, progress
        self._runner = TrialRunner(model, opened)
        self.steps_made = 0
        opened.begin()
        if judges.probe is None:
            self._start_losses = opened.start_losses(batches[last_quarter(len(batches)) :])
            start = float(np.mean(self._start_losses))
        else:
            self._start_losses, start = [], opened.probe(judges.probe)
        start = _untrained(start)
        self._bound = start + TRIAL_FACTOR * abs(start)
        self.untrained = _untrained(judges.score(opened, start))

    def score(self, learning_rate: float) -> float:
        """Return the score of a trial: infinite if it has diverged, or the network has died."""

        def noted(index: int, loss: float) -> None:
            self.steps_made += 1
            self._progress.update(self.steps_made, loss=loss, learning_rate=learning_rate)

        probe, rates = self._judges.probe, [learning_rate] * len(self._batches)
        self._trials.begin()
        run = self._runner.run(
            self._batches,
            rates,
            TrialWatch(self._start_losses),
            on_loss=noted,
            confirms=None if probe is None else lambda: self._is_above(probe),
        )
        if run.made < len(run.losses) or not math.isfinite(run.losses[-1]):
            return math.inf
        last = run.losses[last_quarter(len(run.losses)) :]
        loss = float(np.mean(last)) if probe is None else self._trials.probe(probe)
        score = self._judges.score(self._trials, loss)
        # Of a dead network only the last bias learns.
        return math.inf if run.died and score != self.untrained else score

    def _is_above(self, probe: Sequence[Batch]) -> bool:
        return not self._trials.probe(probe) <= self._bound


def run_climb(
    model: keras.Model,
    data: TrainingData,
    judges: Judges,
    length: int,
    usual: float,
    seed: int,
    verbose: Verbosity,
    *,
    must_fall: bool = True,
) -> tuple[ProbeClimb, int, bool]:
    """Run the trials; return the climb, the updates it cost, and whether it came to its end.

    Raise if no trial lowered the loss, unless that may be.
    """
    accumulated = accumulation_steps(model)
    batches = data.batches(length * accumulated, seed)
    with contextlib.ExitStack() as stack:
        stack.enter_context(data.faults_named())
        monitored = trials(model, data.for_fit, batches[0], _OWNER, judges.monitor)
        opened = stack.enter_context(monitored)
        progress = Progress(ProbeClimb.max_trials * len(batches), verbose)
        stack.callback(progress.finish)
        scored = ScoredTrials(model, opened, batches, judges, progress)
        climb = ProbeClimb(math.log10(usual) + _ABOVE_START, scored.untrained)
        finished = True
        try:
            while (point := climb.ask()) is not None:
                climb = climb.tell(point, scored.score(10**point))
        except KeyboardInterrupt:
            if not climb.has_fallen:
                raise
            finished = False
        if must_fall or climb.has_fallen:
            _check_moved(climb)
            climb.vertex()
    return climb, -(-scored.steps_made // accumulated), finished


def range_tested(
    model: keras.Model,
    data: FitData,
    steps: int,
    probe: Any,
    monitor: Monitor | None,
    verbose: Verbosity,
) -> float:
    """Return the learning rate to start from by a range test."""
    with complaining_as(_OWNER, "lr_find"):
        given: dict[str, Any] = {**data.arguments, "probe": probe, "monitor": monitor}
        found = lr_find(model, **given, steps=steps, verbose=verbose)
    if found.stop_reason == INTERRUPTED:
        raise KeyboardInterrupt
    try:
        valley = found.suggest("valley")
    except SuggestionError as error:
        rule = "the loss of the range test must fall clearly"
        fix = 'Pass start="default", or a learning rate that is about right'
        raise SuggestionError(complaint(_OWNER, rule, fix, start="range_test")) from error
    # The upper end of what a range test's valley means is nearer to a short trial's best.
    return valley * 10 ** (0.3 - _ABOVE_START)


def _untrained(loss: float) -> float:
    if not math.isfinite(loss):
        rule = "the loss of the untrained model must be finite"
        fix = "Look for NaN in the data and the weights; nothing was changed"
        raise ValueError(complaint(_OWNER, rule, fix, loss=loss))
    return loss


def _check_moved(climb: ProbeClimb) -> None:
    fix = "Look for frozen weights or gradients that are zero; nothing was changed"
    scores = {trial.score for trial in climb.trials}
    if scores == {climb.untrained}:
        rule = "training must move the loss"
        raise ValueError(complaint(_OWNER, rule, fix, loss=climb.untrained))
    if len(climb.trials) > 1 and len(scores) == 1 and math.isfinite(climb.best.score):
        rule = "the loss must depend on the learning rate"
        raise ValueError(complaint(_OWNER, rule, fix, loss=climb.best.score))
