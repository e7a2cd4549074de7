"""The hook around each training step that averages a fit's weights."""

from typing import Any

from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras.optimizers import accumulation_steps, batches_seen, skips_updates
from keras_lr.callbacks.schedule.fit import FitPosition
from keras_lr.callbacks.weight_average.averaging import OWNER, Timing
from keras_lr.callbacks.weight_average.model_averages import ModelAverages


class AverageSteps(StepHook):
    """Averages the weights after updates.

    Args:
        model: The model in `fit`.
        averages: What is moved.
        timing: When.
        position: Where the fit stands.
    """

    owner = OWNER

    def __init__(
        self, model: Any, averages: ModelAverages, timing: Timing, position: FitPosition
    ) -> None:
        self._model, self._averages = model, averages
        self._timing, self._position = timing, position
        self._begin = timing.start_steps
        if timing.start_epochs is None and timing.start_steps is None:
            self._begin = 0
        self._may_skip = skips_updates(model)
        self._seen = -1

    def begin_epoch(self, epoch: int) -> None:
        """Go to an epoch's first step."""
        position = self._position
        if position.run.batches is not None or self._timing.start_steps is not None:
            position.begin_epoch(epoch)
        position.epoch, position.epoch_begin = epoch, position.batch
        if self._begin is None and epoch >= (self._timing.start_epochs or 0):
            batches, first = position.run.batches, self._timing.start_epochs or 0
            passed = position.batch if batches is None else first * batches
            self._begin = passed // position.run.accumulation

    def before_step(self, state: TrainingState) -> None:
        """Note the optimizer's count, where it may stand still."""
        if self._may_skip:
            self._seen = batches_seen(self._model, state)

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Average the weights, if it is time to."""
        self._position.advance()
        if self._may_skip and batches_seen(self._model, state) == self._seen:
            return
        if self._is_due():
            self._averages.take(state)

    def _is_due(self) -> bool:
        position = self._position
        if self._timing.every_epochs is not None:
            return position.epoch_over and self._timing.is_due_after(position.epoch)
        if self._begin is None or not position.between_updates:
            return False
        return self._timing.is_due(position.update, self._begin)

    def on_compiled(self, state: TrainingState) -> None:
        """Go on with the new optimizer, and with what has been frozen or unfrozen."""
        self._may_skip = skips_updates(self._model)
        self._position.change_optimizer(accumulation_steps(self._model), batches_seen(self._model))
        self._averages.follow()

    def get_state(self) -> dict[str, int | None]:
        """Return where the fit stands and where the average began."""
        return {"batch": self._position.batch, "begin": self._begin}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from `get_state()`: where the length of epochs is not known, by its own count."""
        if self._position.run.batches is None:
            self._position.batch = int(state["batch"])
            begin = state["begin"]
            self._begin = None if begin is None else int(begin)
