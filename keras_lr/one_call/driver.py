"""The callback that drives the learning rate of `fit`, and ends it when its updates are made."""

from array import array
from collections.abc import Sequence
from typing import Any

from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras.in_graph import schedule_of
from keras_lr._keras.optimizers import known_leaves, proportions
from keras_lr._keras.running_fit import FitSession
from keras_lr._keras.workers import is_agreed
from keras_lr.callbacks.cooldown.interrupt import FirstInterrupt
from keras_lr.callbacks.schedule.bound import BoundSchedule
from keras_lr.callbacks.schedule.driver import ScheduleCallback
from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.callbacks.schedule.step_driver import DrivenSchedules
from keras_lr.errors import complaint
from keras_lr.one_call.recipe import OWNER, delayed
from keras_lr.schedules import Schedule


class RecipeDriver(ScheduleCallback):
    """Drives a schedule through a fit of a given number of updates.

    A schedule in the optimizer is set aside for the fit: the driver's is compiled into the step in
    its place. Whatever is saved meanwhile has the optimizer's own.

    Args:
        schedule: Gives the learning rate of each update from 0 on.
        updates: How many updates there are.
        first_update: The place of update 0 in the fit: 0, unless it begins at a later epoch.
        first_iteration: What the optimizer has counted before it, in updates.
        watch_interrupt: Whether Ctrl-C ends the fit after the present update.

    Attributes:
        learning_rates: The rate applied in each update.
        epoch_ends: The updates made at the end of each epoch.
        interrupted: Whether Ctrl-C has ended the fit.
    """

    def __init__(
        self,
        schedule: Schedule,
        updates: int,
        *,
        first_update: int,
        first_iteration: int,
        watch_interrupt: bool,
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._begin, self._end = first_update, first_update + updates
        self._first_iteration = first_iteration
        self._watch_interrupt = watch_interrupt
        self._in_graph: HyperparameterOverrides | None = None
        self._budget: BudgetSteps | None = None
        self._interrupt: FirstInterrupt | None = None
        self._has_schedule = False
        self.learning_rates = array("f")
        self.epoch_ends: list[int] = []
        self.interrupted = False

    @property
    def owner(self) -> str:
        """The name in messages."""
        return OWNER

    def plan(self, run: FitInfo) -> DrivenSchedules:
        """Return what drives the learning rate; nothing where the schedule is in the optimizer."""
        if self._has_schedule:
            return DrivenSchedules()
        return DrivenSchedules(
            learning_rate=BoundSchedule(run, "schedule", delayed(self._schedule, self._begin))
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin to drive. Called by `fit`."""
        model = self.model
        leaves = known_leaves(model, OWNER)
        scheduled = [leaf for leaf in leaves if schedule_of(leaf) is not None]
        self._has_schedule = bool(scheduled)
        try:
            if scheduled:
                self._in_graph = self._set_aside(model, leaves, scheduled)
            super().on_train_begin(logs)
            if self._position is None:
                return
            self._budget = BudgetSteps(model, self, self._position)
            attach(model, self._budget)
            if self._watch_interrupt:
                session = FitSession(model)
                self._interrupt = FirstInterrupt(lambda: self._is_wish(session))
                session.when_over(self._interrupt.remove)
        except BaseException:
            self.restore()
            raise

    def _set_aside(
        self, model: Any, leaves: Sequence[Any], scheduled: Sequence[Any]
    ) -> HyperparameterOverrides:
        if len(scheduled) < len(leaves):
            rule = "of several optimizers either all or none may have a schedule of their own"
            fix = "Compile them with numbers"
            names = [leaf.name for leaf in scheduled]
            raise ValueError(complaint(OWNER, rule, fix, with_a_schedule=names))
        ours = delayed(self._schedule, self._first_iteration)
        shares = proportions(self._own_rates)
        pairs = zip(leaves, shares, strict=True)
        scaled = [(leaf, ours if share == 1.0 else ours * share) for leaf, share in pairs]
        return HyperparameterOverrides(model, OWNER, schedules=scaled)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note where the epoch has ended. Called by `fit`."""
        super().on_epoch_end(epoch, logs)
        if self._position is not None:
            self.epoch_ends.append(self._position.update - self._begin)

    def end_update(self, position: FitPosition, learning_rate: float) -> bool:
        """Note an update; return whether it was the last one."""
        self.learning_rates.append(learning_rate)
        self.interrupted = self._interrupt is not None and is_agreed(self._interrupt.asked)
        return self.interrupted or position.update >= self._end

    def restore(self) -> None:
        """Give the optimizers their own rates back, and Ctrl-C its own meaning."""
        if self._interrupt is not None:
            self._interrupt.remove()
            self._interrupt = None
        if self._budget is not None:
            detach(self._model, self._budget)
            self._budget = None
        super().restore()
        if self._in_graph is not None:
            self._in_graph.remove()
            self._in_graph = None

    def _is_wish(self, session: FitSession) -> bool:
        """Return whether Ctrl-C is to end the fit in order, and say so."""
        wanted = self._budget is not None and session.is_running
        if wanted:
            print(f"\n{OWNER}: stopping after this update; press Ctrl-C again to stop at once.")
        return wanted


class BudgetSteps(StepHook):
    """Counts the updates of a fit, and ends it after the last one, be it in mid-epoch.

    Args:
        model: The model in `fit`.
        driver: What is told of each update.
        position: Where the fit stands; the driver moves it on.
    """

    owner = OWNER
    goes_last = True

    def __init__(self, model: Any, driver: RecipeDriver, position: FitPosition) -> None:
        self._model, self._driver, self._position = model, driver, position

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Count."""
        if not self._position.between_updates:
            return
        rate = float(logs.get("learning_rate", 0.0))
        if self._driver.end_update(self._position, rate):
            self._model.stop_training = True
