"""One trial of `tune_adam`: a whole run at given settings, looked at on the way."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from keras_lr._engine.batch_loss import Monitor
from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._engine.trials import Trials, trials
from keras_lr._keras.data import Batch, FitData
from keras_lr._keras.optimizers import accumulation_steps
from keras_lr._keras.random import random_state_kept, seed_generators
from keras_lr.search.data import TrainingData
from keras_lr.search.progress import Progress
from keras_lr.search.stop_rule import TrialWatch
from keras_lr.search.trial_run import TrialRunner
from keras_lr.search.tune_adam.space import AdamSettings, AdamSpace

State = Literal["complete", "pruned", "diverged"]
Prune = Callable[[int, float], bool]  # (rung, validation loss) -> whether to stop here

_START_BATCHES = 8
RUNGS = 9  # a run is looked at after so many ninths of it


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: `"complete"`, `"pruned"` or `"diverged"`, as of a network that has died.
        loss: The last validation loss; infinite if it diverged.
        steps: Updates made.
    """

    state: State
    loss: float
    steps: int


class AdamRun:
    """Trains the model through whole runs, each from the same state. Made by `adam_runs`."""

    def __init__(
        self,
        model: keras.Model,
        opened: Trials,
        overrides: HyperparameterOverrides,
        data: TrainingData,
        validation_data: FitData,
        steps: int,
    ) -> None:
        self._trials, self._data, self._validation_data = opened, data, validation_data
        self._runner = TrialRunner(model, opened)
        self._momentum, self._weight_decay = overrides.momentum, overrides.weight_decay
        self._steps, self._accumulated = steps, accumulation_steps(model)
        self._drawn: tuple[int, Sequence[Batch]] | None = None
        self._start_losses: list[float] | None = None
        self._made = 0

    def train(
        self,
        settings: AdamSettings,
        seed: int,
        progress: Progress,
        rungs: Sequence[int] = (),
        prune: Prune = lambda rung, loss: False,
    ) -> Outcome:
        """Train one run to its end, unless it diverges or is pruned.

        Args:
            settings: The learning rate, its decay and the rest.
            seed: Of the batches and of the global random generators.
            progress: Where to show the steps made.
            rungs: After how many ninths of the run to ask whether to go on.
            prune: Whom to ask.
        """
        batches, accumulated = self._batches(seed), self._accumulated
        looks = {max(1, round(self._steps * rung / RUNGS)): rung for rung in rungs if rung < RUNGS}
        if self._start_losses is None:
            first = range(min(_START_BATCHES, len(batches)))
            self._start_losses = self._trials.start_losses(batches[index] for index in first)
        rates = np.repeat(settings.rates(self._steps), accumulated).tolist()
        ended: list[Outcome] = []

        def goes_on(index: int) -> bool:
            self._set(settings)
            update, micro_step = divmod(index, accumulated)
            if micro_step == 0 and update in looks:
                loss = self.validation_loss()
                if not math.isfinite(loss):
                    ended.append(Outcome("diverged", math.inf, update))
                elif prune(looks[update], loss):
                    ended.append(Outcome("pruned", loss, update))
            return not ended

        def noted(index: int, loss: float) -> None:
            if (index + 1) % accumulated == 0:
                self._made += 1
                progress.update(self._made, loss=loss, learning_rate=rates[index])

        self._trials.begin()
        seed_generators(seed)
        watch = TrialWatch(self._start_losses)
        run = self._runner.run(batches, rates, watch, on_loss=noted, before_step=goes_on)
        if ended:
            return ended[0]
        if run.diverged or run.died:
            return Outcome("diverged", math.inf, -(-run.made // accumulated))
        loss = self.validation_loss()
        state: State = "complete" if math.isfinite(loss) else "diverged"
        return Outcome(state, loss if state == "complete" else math.inf, self._steps)

    def _set(self, settings: AdamSettings) -> None:
        state = self._trials.state
        if self._momentum is not None and settings.momentum is not None:
            self._momentum.write(state, settings.momentum)
        if self._weight_decay is not None and settings.weight_decay is not None:
            self._weight_decay.write(state, settings.weight_decay)

    def validation_loss(self) -> float:
        """Return the loss of the validation data at the present weights."""
        # A DataLoader draws from torch's generator, from which Dropout draws too: looking at a run
        # must not change it.
        with random_state_kept():
            logs = self._trials.evaluate(self._validation_data)
        return self._trials.watched(logs)

    def _batches(self, seed: int) -> Sequence[Batch]:
        if self._drawn is None or self._drawn[0] != seed:
            count = self._steps * self._accumulated
            self._drawn = (seed, self._data.batches(count, seed))
        return self._drawn[1]


@contextlib.contextmanager
def adam_runs(
    model: keras.Model,
    data: TrainingData,
    validation_data: FitData,
    steps: int,
    space: AdamSpace,
    owner: str,
    monitor: Monitor | None = None,
) -> Iterator[AdamRun]:
    """Open runs on a compiled model; whatever happens, leave it as it was, bit for bit.

    The step is compiled once. Where momentum or weight decay is searched, variables take the place
    of the optimizer's plain numbers until the end, and it is compiled once more.
    """
    batch = data.batches(1, 0)[0]
    with data.faults_named(), trials(model, data.for_fit, batch, owner):
        pass  # builds the model and its optimizer
    overrides = HyperparameterOverrides(
        model,
        owner,
        momentum=space.momentum is not None,
        weight_decay=space.weight_decay is not None,
    )
    with contextlib.ExitStack() as undo:
        undo.enter_context(data.faults_named())
        undo.callback(overrides.remove)
        opened = undo.enter_context(trials(model, data.for_fit, batch, owner, monitor))
        runs = AdamRun(model, opened, overrides, data, validation_data, steps)
        if monitor is not None:
            runs.validation_loss()  # says before anything is trained what it does not find
        yield runs
