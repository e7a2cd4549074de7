"""Evaluation of a plateau at training steps or at the ends of epochs."""

import math
from typing import Any

from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._engine.monitor import BATCH_LOSS, ExactLoss
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras.optimizers import batches_of
from keras_lr._keras.variables import DIRECT
from keras_lr.callbacks.plateau.logs import is_evaluation, loss_in, monitored, number_in
from keras_lr.callbacks.plateau.restore_points import JUDGED
from keras_lr.callbacks.plateau.run import PlateauRun
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.callbacks.schedule.observed import Observed, with_largest
from keras_lr.callbacks.schedule.updates import UpdateWatch, check_loop_tells
from keras_lr.errors import check_integer, complaint


class PlateauSteps(StepHook):
    """The hook around each training step.

    Args:
        model: The model in `fit`.
        run: The run it belongs to.
        monitor: The name of what is monitored.
        every: Evaluate every this many steps; None for every epoch.
    """

    owner = OWNER

    def __init__(self, model: Any, run: PlateauRun, monitor: str, every: int | None) -> None:
        self._model = model
        self._run = run
        self._monitor = monitor
        self._every = every
        self._observed = Observed(run.rates.observed)
        self._logged: dict[str, float] = {}
        self.each_step = every is not None or run.rescues
        self._exact: ExactLoss | None = None
        self.set_monitor(monitor)
        self._total, self._count = 0.0, 0
        self._epoch = -1
        self._updates = self._watch_updates()
        self._seen_at_epoch = 0

    def _watch_updates(self) -> UpdateWatch:
        run = self._run
        return UpdateWatch(OWNER, self._model, run.rates.leaves, driven=True, named=run.rates.named)

    def begin_epoch(self) -> None:
        """See where the optimizers stand, in a loop of the user's own."""
        if self.runner is None:
            self._updates.before_step(DIRECT)
        elif not self.runner.session.is_fit:
            self._seen_at_epoch = self._batches_seen()

    def check_updates(self, *, stepped: bool) -> None:
        """Raise if no optimizer has made an update, or a loop of the user's own does not say when.

        Args:
            stepped: Whether there was a batch.

        Raises:
            ValueError: If so.
        """
        if self.runner is not None and not self.runner.session.is_fit and not self._updates.begun:
            check_loop_tells(OWNER, self._batches_seen() - self._seen_at_epoch)
        if not stepped:
            return
        if self.runner is None:
            self._updates.after_step(DIRECT)
        self._updates.end_epoch()

    def _batches_seen(self) -> int:
        return max(batches_of(leaf) for leaf in self._run.rates.leaves)

    def set_monitor(self, monitor: str) -> None:
        """Monitor another metric from the next step on."""
        self._monitor = monitor
        exact = self._every is not None and monitor == BATCH_LOSS
        self._exact = ExactLoss(self._model, OWNER) if exact else None

    def before_step(self, state: TrainingState) -> None:
        """Keep the weights that are about to be judged; set aside the running loss."""
        self._updates.before_step(state)
        self._run.begin_step(state)
        points = self._run.restore_points
        if self._every and self._count == 0 and points.keeps_best:
            points.states[JUDGED] = points.take(state)
        if self._exact:
            self._exact.before_step(state)

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Log the learning rates of the step; evaluate if it is time to.

        A callback that drives them has logged them by now, with a plateau's scale.
        """
        self._updates.after_step(state)
        for name, rate in with_largest(self._observed.last(state)).items():
            self._logged[name] = logs.setdefault(name, rate)
        if self._epoch != self._run.epoch:
            self._epoch = self._run.epoch
            self._run.rates.observe(state)
        if self._run.restore_points.awaits_start_loss and "loss" in logs:
            self._run.restore_points.score_start(number_in(logs, "loss"))
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
        loss = loss_in(logs) if self._run.rescues else None
        self._run.evaluate(metric, state, self._begin_anew(), loss)

    def on_compiled(self, state: TrainingState) -> None:
        """Go over to the optimizer and the loss that the model has been compiled with."""
        self._run.follow()
        self._observed, self._logged = Observed(self._run.rates.observed), {}
        self._updates = self._watch_updates()
        if self._exact:
            self._exact = ExactLoss(self._model, OWNER)

    def applied(self) -> dict[str, float]:
        """Return the learning rates of the last update, between two epochs."""
        return self._logged or with_largest(self._observed.last(DIRECT))

    def end_epoch(self, logs: dict[str, Any], *, has_data: bool, strict: bool) -> None:
        """Evaluate an epoch, or a loss that broke after the last step that was evaluated.

        Args:
            logs: The epoch's logs.
            has_data: Whether the fit has validation data.
            strict: Whether a monitor that is not there is an error.
        """
        watch = self._run.rescues
        loss = loss_in(logs) if watch else None
        if self._every is None:
            if is_evaluation(logs, self._monitor, has_data, watch_loss=watch, strict=strict):
                self._run.evaluate(monitored(logs, self._monitor, watch_loss=watch), loss=loss)
        elif self._count and loss is not None and not math.isfinite(loss):
            self._begin_anew()
            self._run.evaluate(loss)

    def on_end_of_data(self, state: TrainingState) -> None:
        """Put back the running metrics that were set aside for a step that is not made."""
        if self._exact:
            self._exact.put_back(state)
        self._run.restore_points.take_back_step(state)

    def _begin_anew(self) -> WeightCheckpoint | None:
        """Begin the next evaluation; return what the last one was an evaluation of."""
        self._total, self._count = 0.0, 0
        return self._run.restore_points.states.pop(JUDGED, None)

    def get_state(self) -> dict[str, float]:
        """Return how far the present evaluation has come."""
        return {"total": self._total, "count": self._count}

    def set_state(self, state: dict[str, float]) -> None:
        """Go on from `get_state()`."""
        self._total, self._count = state["total"], int(state["count"])


def steps_between(frequency: Any, monitor: str) -> int | None:
    """Return how many steps there are from one evaluation to the next; None for an epoch.

    Raises:
        TypeError: If `frequency` is neither `"epoch"` nor an integer.
        ValueError: If it is not positive, or an epoch, which is too long for `"batch_loss"`.
    """
    if not (isinstance(frequency, str) and frequency == "epoch"):
        check_integer(OWNER, 'Pass "epoch" or steps', at_least=1, frequency=frequency)
        return int(frequency)
    if monitor == BATCH_LOSS:
        rule, fix = "batch_loss needs a frequency in steps", "Pass frequency=100, for example"
        raise ValueError(complaint(OWNER, rule, fix, frequency=frequency))
    return None
