"""The range test at work: one learning rate per update, inside the `fit` that is running."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_lr._engine.batch_loss import BatchLoss, as_float, loss_in
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.hyperparameters import LearningRates
from keras_lr._engine.movement import Movement, still_from
from keras_lr._engine.optimizer_use import OptimizerUse, check_trainable
from keras_lr._engine.overrides import held_learning_rates
from keras_lr._engine.snapshot import ModelSnapshot
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._engine.step_loss import probe_loss, validation_loss
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.cut_off import spare_weights
from keras_lr._keras.data import Batch
from keras_lr._keras.optimizers import accumulation_steps, micro_step
from keras_lr._keras.random import RandomSnapshot
from keras_lr._keras.workers import agreed
from keras_lr.errors import complaint
from keras_lr.search.probe import say_how_it_is_read, say_if_there_is_no_validation
from keras_lr.search.progress import Progress
from keras_lr.search.range_test.record import Record, median, padded
from keras_lr.search.range_test.result import RangeTestResult
from keras_lr.search.range_test.settings import RangeTestSettings

_MEASURED = 20  # steps whose movement is measured


class RangeSweep(StepHook):
    """Drives the learning rate of a running `fit` through a range test and puts everything back.

    Args:
        model: The model `fit` is running on.
        settings: What to do.
        probe: Batches whose loss is taken after every update, or None.
        validation: Batches whose loss is taken every `validation_every_steps` updates, or None.
    """

    owner = "LRRangeTest"
    drives_learning_rate = True

    def __init__(
        self,
        model: Any,
        settings: RangeTestSettings,
        probe: Sequence[Batch] | None,
        validation: Sequence[Batch] | None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._learning_rates = settings.learning_rates()
        self._probe, self._validation = probe, validation
        self._monitor = monitor = settings.monitor
        self._probe_loss = probe_loss(model, self.owner, monitor)
        self._validation_loss = validation_loss(model, self.owner, monitor)
        if probe is not None:
            say_how_it_is_read(model, self.owner, monitor)
        if validation is not None:
            say_if_there_is_no_validation(model, self.owner)
            self._validation = validation if self._validation_loss else None
        self._batch_loss = BatchLoss(model, everything=monitor is not None)
        self._accumulation = accumulation_steps(model)
        self._progress = Progress(settings.steps * settings.repeats, settings.verbose)
        self._records = [Record.empty(settings, noisy=probe is None)]
        check_trainable(model, self.owner)
        self._use: OptimizerUse | None = None
        self._movement: Movement | None = None
        self._movements: dict[int, float] = {}  # of some steps of the first repeat
        self._is_still = False
        self._micro_losses: list[float] = []
        # JAX returns before a step is computed. Where nothing else hangs on its loss, it is waited
        # for while the next step is on its way; a divergence is then seen a step late.
        alone = probe is None and validation is None and settings.repeats == 1
        self._reads_late = ON_JAX and alone and self._accumulation == 1
        self._unread: list[Any] = []
        self._lead = 0  # batches of the coming update that came before the sweep
        self._snapshot: ModelSnapshot | None = None
        self._random = RandomSnapshot()
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(held_learning_rates(model))
        self._rates = LearningRates(model)
        self._session = attach(model, self).session
        self._undo.callback(detach, model, self)
        self._left: dict[int, np.ndarray] | None = None
        self.done = self.is_over = False
        self.batches = 0

    @property
    def updates(self) -> int:
        """Return the number of updates recorded, over all repeats."""
        return sum(len(record.losses) for record in self._records)

    @property
    def _point(self) -> int:
        """The index of the coming update within its repeat."""
        return len(self._records[-1].losses) + len(self._unread)

    @property
    def _is_measured(self) -> bool:
        """Whether the movement of the coming step is measured: of twenty updates, or so.

        Of each once the weights stand still: a model that has converged moves as it diverges.
        """
        every = max(1, self._settings.steps // _MEASURED)
        is_due = self._is_still or self._point % every == 0
        is_due = is_due and len(self._records) == 1
        # Under gradient accumulation the last batch of an update moves the weights.
        batches = self._lead + len(self._micro_losses) + 1 if self._accumulation > 1 else 1
        return is_due and batches == self._accumulation

    def before_step(self, state: TrainingState) -> None:
        """Set the learning rate of the coming step and empty the running loss."""
        if self.done:
            return
        if self._snapshot is None:
            self._snapshot = ModelSnapshot(self._model, state)
            self._lead = micro_step(self._model, state)
            self._rates.hold_decay(state)
            check_trainable(self._model, self.owner)  # it may have been built only now
            self._use = OptimizerUse(self._model, self.owner)
            self._use.before_step(state.read)
            self._movement = Movement(self._model)
        if self._movement is not None and self._is_measured:
            self._movement.before_step(state.read)
        self._batch_loss.before_step(state)
        self._rates.write(state, self._learning_rates[self._point])

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Take the step's loss, or that of the step before."""
        self.batches += 1
        if self.done:
            return
        if not self._session.is_fit and self._snapshot is not None:
            # Nobody says when a loop of the user's own is over.
            self._left = self._snapshot.present(state)
        if self._use is not None:
            self._use.after_step(state.read)
        learning_rate = float(self._learning_rates[self._point])
        if self._movement is not None and self._is_measured:
            moved = self._movement.after_step(state.read, learning_rate)
            self._movements[self._point] = moved
            self._is_still = still_from(self._movements, self._records[-1].losses) is not None
        self._unread.append(loss_in(logs, self.owner, self._monitor))
        logs["learning_rate"] = learning_rate
        pending = 1 if self._reads_late and self._point < self._settings.steps else 0
        while len(self._unread) > pending and not self.done:
            self._take(state, agreed(as_float(self._unread.pop(0))))

    def on_interrupt(self) -> None:
        """Put everything back at once: an exception is on its way out of `fit`."""
        self.restore()
        spare_weights(self._model, self._session)

    def on_fit_over(self) -> None:
        """Put back what nobody has changed since: the fit was cut off unnoticed."""
        if self.is_over:
            return
        self.is_over = self.done = True
        written = dict(self._rates.written)
        self._undo.close()
        if self._snapshot is not None:
            self._snapshot.restore_unchanged(self.owner, written, self._left)

    def on_compile(self) -> None:
        """Refuse it in the middle of a sweep, which could not be undone any more."""
        if self._session.is_fit and not self.done:
            rule = "the model cannot be compiled during a sweep, which ends by putting it back"
            fix = "Compile before the sweep or after it"
            raise ValueError(complaint(self.owner, rule, fix, steps_made=self.updates))
        self.on_fit_over()

    def on_compiled(self, state: TrainingState) -> None:
        """Refuse another optimizer, which has been set without compiling, likewise."""
        self.on_compile()

    def restore(self) -> None:
        """Put the model, its optimizer and the random generators back, once."""
        if self.is_over:
            return
        self.is_over = self.done = True
        self._undo.close()
        if self._snapshot is not None:
            self._snapshot.restore()
        self._random.restore()

    def finish(self) -> None:
        """End the progress line."""
        self._progress.finish()

    def result(self) -> RangeTestResult | None:
        """Return what was found, or None where fewer than two updates were made."""
        while self._unread:  # the sweep was cut off
            self._watch(self._records[-1], as_float(self._unread.pop()))
        records = [record for record in self._records if record.losses]
        length = max((len(record.losses) for record in records), default=0)
        if length < 2:
            return None
        planned = self._settings.steps * self._settings.repeats
        stopped = f"interrupted after {self.updates} of {planned} steps"
        # A repeat that has not made a step was meant to: where it has none, the data had ended.
        reasons = [record.stop_reason or stopped for record in self._records]
        probes = [record.probe_losses for record in records]
        validations = [record.validation_losses for record in records]
        return RangeTestResult(
            learning_rates=self._learning_rates[:length],
            losses=median([record.losses for record in records], length),
            smoothed_losses=median([record.watch.smoothed for record in records], length),
            repeat_losses=padded([record.losses for record in records], length),
            probe_losses=median(probes, length) if self._probe else None,
            validation_losses=median(validations, length) if self._validation else None,
            stop_reason=reasons[-1] if len(set(reasons)) == 1 else "; ".join(reasons),
            steps=self._settings.steps,
            optimizer_learning_rate=self._rates.initial,
            default_learning_rate=self._rates.default,
            dead_from=self._dead_from(records[0].losses),
        )

    def _dead_from(self, losses: list[float]) -> float | None:
        step = still_from(self._movements, losses)
        return None if step is None else float(self._learning_rates[step])

    def _take(self, state: TrainingState, batch_loss: float) -> None:
        """Take the loss of the next batch; end the repeat or the sweep where it is time."""
        record = self._records[-1]
        point = len(record.losses)
        self._micro_losses.append(batch_loss)
        whole = self._lead + len(self._micro_losses) >= self._accumulation
        if not whole and math.isfinite(batch_loss):
            return
        loss = math.fsum(self._micro_losses) / len(self._micro_losses)
        self._refuse_a_bad_start(loss)
        self._micro_losses, self._lead = [], 0
        self._look(state, record, point)
        record.stop_reason = self._watch(record, loss)
        learning_rate = float(self._learning_rates[point])
        self._progress.update(self.updates, loss=loss, learning_rate=learning_rate)
        if record.stop_reason or point + 1 == self._settings.steps:
            record.stop_reason = record.stop_reason or "completed"
            self._end_repeat(state)

    def _watch(self, record: Record, loss: float) -> str | None:
        """Take an update's loss into the record; return why to stop, by the probe if there is one.

        The loss of the update's batch is from before the update, the probe's from after it.
        """
        record.losses.append(loss)
        if self._probe and math.isfinite(loss):
            return record.watch.update(record.probe_losses[-1])
        return record.watch.update(loss)

    def _refuse_a_bad_start(self, loss: float) -> None:
        if math.isfinite(loss) or self.updates > 0:
            return
        rule = "the loss of the first step must be finite"
        fix = "Look for NaN in the data and the weights; nothing was changed"
        raise ValueError(complaint(self.owner, rule, fix, loss=loss))

    def _look(self, state: TrainingState, record: Record, point: int) -> None:
        if self._probe:
            record.probe_losses.append(self._probe_loss(state, self._probe))
        if self._validation and self._validation_loss:
            due = (point + 1) % self._settings.validation_every_steps == 0
            loss = self._validation_loss(state, self._validation) if due else math.nan
            record.validation_losses.append(loss)

    def _end_repeat(self, state: TrainingState) -> None:
        if self._snapshot is None:
            raise RuntimeError("RangeSweep: a repeat ended before it began.")
        self._snapshot.restore_values(state)
        self._unread.clear()
        if self._use is not None:
            self._use.at_end()
        if len(self._records) < self._settings.repeats:
            self._lead = micro_step(self._model, state)
            self._rates.hold_decay(state)
            self._records.append(Record.empty(self._settings, noisy=self._probe is None))
            return
        self.done = True
        self._model.stop_training = True
