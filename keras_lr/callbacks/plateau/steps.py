"""A plateau's look at single training steps: evaluations within an epoch, a first good state."""

import math
from typing import Any

import keras

from keras_lr._checks import complaint
from keras_lr._keras.batch_loss import as_float
from keras_lr._keras.monitor import BATCH_LOSS, ExactLoss
from keras_lr._keras.rollback import Rollback
from keras_lr._keras.training import StepHook
from keras_lr._keras.training_state import TrainingState
from keras_lr.callbacks.plateau.restore_points import JUDGED
from keras_lr.callbacks.plateau.run import PlateauRun
from keras_lr.callbacks.plateau.state import OWNER


class PlateauSteps(StepHook):
    """The hook around each training step.

    Args:
        model: The model in `fit`.
        run: The run it belongs to.
        monitor: The name of what is monitored.
        every: Evaluate every this many steps; None for never.
    """

    owner = OWNER

    def __init__(self, model: Any, run: PlateauRun, monitor: str, every: int | None) -> None:
        self._model = model
        self._run = run
        self._monitor = monitor
        self._every = every
        self._exact = ExactLoss(model, OWNER) if every and monitor == BATCH_LOSS else None
        self._total, self._count = 0.0, 0
        self._epoch = -1

    def before_step(self, state: TrainingState) -> None:
        """Keep the weights that are about to be judged; set aside the running loss."""
        self._run.begin_step(state)
        points = self._run.restore_points
        if self._every and self._count == 0 and points.keeps_best:
            points.states[JUDGED] = Rollback.take(self._model, state)
        if self._exact:
            self._exact.before_step(state)

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Take a driver's first rate of an epoch; evaluate if it is time to."""
        if self._epoch != self._run.epoch:
            self._epoch = self._run.epoch
            self._run.observe(state)
        if self._run.restore_points.awaits_start_loss and "loss" in logs:
            self._run.restore_points.score_start(as_float(logs["loss"]))
        if self._every is None:
            return
        if self._exact:
            self._total += self._exact.after_step(state, logs)
        self._count += 1
        if self._count < self._every:
            return
        if self._exact:
            metric = self._total / self._count
        else:
            metric = monitored(logs, self._monitor, watch_loss=self._run.rescues)
        self._run.evaluate(metric, state, self._begin_anew(), self._run.loss_in(logs))

    def end_epoch(self, logs: dict[str, Any]) -> None:
        """Answer a loss that broke after the last evaluation: the fit may end here."""
        loss = self._run.loss_in(logs) or 0.0
        if self._every and self._count and not math.isfinite(loss):
            self._begin_anew()
            self._run.evaluate(loss)

    def on_end_of_data(self, state: TrainingState) -> None:
        """Put back the running metrics that were set aside for a step that is not made."""
        if self._exact:
            self._exact.put_back(state)
        self._run.restore_points.take_back_step(state)

    def _begin_anew(self) -> Rollback | None:
        """Begin the next evaluation; return what the last one was an evaluation of."""
        self._total, self._count = 0.0, 0
        return self._run.restore_points.states.pop(JUDGED, None)

    def get_state(self) -> dict[str, float]:
        """Return how far the present evaluation has come."""
        return {"total": self._total, "count": self._count}

    def set_state(self, state: dict[str, float]) -> None:
        """Go on from `get_state()`."""
        self._total, self._count = state["total"], int(state["count"])


def monitored(logs: dict[str, Any], monitor: str, *, watch_loss: bool) -> float:
    """Return one entry of the logs as a float.

    Args:
        logs: What Keras hands to callbacks.
        monitor: The entry's name.
        watch_loss: Whether a loss that is not finite takes the place of the value: accuracy, for
            one, is finite however broken the model.

    Returns:
        Its value.

    Raises:
        ValueError: If there is no such entry, or if it is not a scalar.
    """
    if watch_loss and "loss" in logs and not math.isfinite(as_float(logs["loss"])):
        return as_float(logs["loss"])
    if monitor not in logs:
        rule = "monitor must be in the logs"
        fix = f"Pass one of {', '.join(map(repr, sorted(logs)))}, or validation data to fit"
        raise ValueError(complaint(OWNER, rule, fix, monitor=monitor))
    value = keras.ops.convert_to_numpy(logs[monitor])
    if value.size != 1:
        rule = "the monitored metric must be a scalar"
        fix = "Monitor another one, or make its result a single number"
        raise ValueError(complaint(OWNER, rule, fix, monitor=monitor, shape=value.shape))
    return float(value.item())
