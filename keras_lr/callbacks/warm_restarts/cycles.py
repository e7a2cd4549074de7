"""Actions at the end of a cycle: snapshots, an optimizer reset, a function of the user's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from keras_lr._engine.optimizer_reset import OptimizerReset
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._engine.writes_ahead import WritesAhead
from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.callbacks.warm_restarts.snapshots import Snapshots
from keras_lr.errors import complaint, takes
from keras_lr.schedules import CosineRestarts
from keras_lr.schedules.steps import LAST_STEP


@dataclass(frozen=True)
class RestartEvent:
    """A restart: a cycle has begun where another ended.

    Attributes:
        epoch: The epoch in or after which it happened, counted from 0.
        step: Updates of the run that were made before.
        cycle: Number of the cycle that began, counted from 0.
        action: `"restart"`, the kind of event.
    """

    epoch: int
    step: int
    cycle: int
    action: Literal["restart"] = "restart"


class CycleHook(StepHook):
    """Takes snapshots at the ends of cycles, and makes the optimizer new at their beginnings.

    Both go by the position in the fit alone, so a fit that goes on at a cycle's end does the same.

    Args:
        owner: The public name of the callback.
        model: The model in training.
        position: Where the fit stands; moved on by a hook that runs before this one.
        ends: Numbers of updates after which a cycle is over.
        last: That after which there is no further cycle; None if there always is one.
        snapshots: What keeps the weights.
        reset: What makes the optimizer new, or None.

    Attributes:
        over: Cycles that the callback has not yet spoken of.
        events: The restarts so far.
    """

    goes_last = True  # a snapshot takes an average in which the step is counted

    def __init__(
        self,
        owner: str,
        model: Any,
        position: FitPosition,
        ends: Sequence[int],
        last: int | None,
        snapshots: Snapshots,
        reset: OptimizerReset | None,
    ) -> None:
        self.owner = owner
        self.over: list[int] = []
        self.events: list[RestartEvent] = []
        self._model = model
        self._position = position
        self._numbers = {end: number for number, end in enumerate(ends)}
        self._last = last
        self._snapshots = snapshots
        self._reset = reset
        self._restart: RestartEvent | None = None  # that of the step being made
        self._replaced: list[tuple[Any, np.ndarray]] = []

    def before_step(self, state: TrainingState) -> None:
        """Make the optimizer new at the first batch of a cycle."""
        if self._reset is not None:
            self._reset.prepare()
        position = self._position
        ended = self._numbers.get(position.update)
        if ended is None or position.update == self._last or not position.between_updates:
            return
        epoch = position.epoch - (position.batch == position.epoch_begin)
        self._restart = RestartEvent(epoch, position.update, ended + 1)
        if self._reset is not None:
            self._replaced = self._reset(state)

    def foresees(self, steps: int) -> bool:
        """Return whether no cycle begins or ends with so many steps."""
        position = self._position
        updates = range(position.update, position.update_at(position.batch + steps) + 1)
        return self._numbers.keys().isdisjoint(updates)

    def foresee(self, state: TrainingState, ahead: WritesAhead) -> None:
        """Get ready for the first restart."""
        if self._reset is not None:
            self._reset.prepare()

    def on_end_of_data(self, state: TrainingState) -> None:
        """Take the restart back, as no step has followed."""
        for variable, value in self._replaced:
            state.write(variable, value)
        self._restart, self._replaced = None, []

    def on_compiled(self, state: TrainingState) -> None:
        """Make the new optimizer new again, from the next restart on."""
        if self._reset is not None:
            self._reset = OptimizerReset(self._model, self.owner)

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Note a restart after the first batch of a cycle; take a snapshot after the last."""
        if self._restart is not None:
            self.events.append(self._restart)
            self._restart, self._replaced = None, []
        number = self._numbers.get(self._position.update)
        if number is not None and self._position.between_updates:
            self._snapshots.take(self._model, state, number, self._position.update)
            self.over.append(number)


def check_on_cycle_end(owner: str, function: Any) -> None:
    """Raise unless a function can be called with a cycle and logs, or is None."""
    if function is None:
        return
    fix = "Pass a function of (cycle, logs)"
    if not callable(function):
        rule = "on_cycle_end must be a function"
        raise TypeError(complaint(owner, rule, fix, on_cycle_end=function))
    if not takes(function, 0, {}):
        rule = "on_cycle_end must take two arguments, the cycle and the logs"
        raise TypeError(complaint(owner, rule, fix, on_cycle_end=function))


def in_words(run: FitInfo, ends: Sequence[int]) -> str:
    """Say where cycles end: "epochs 1, 3, 7", or "steps ..." where that is not at epochs' ends."""
    epochs = [run.epoch_of(end) for end in ends]
    if any(epoch is None or not epoch.is_integer() for epoch in epochs):
        return _list("step", list(ends))
    return _list("epoch", [int(epoch) for epoch in epochs if epoch is not None])


def end_warning(
    owner: str, run: FitInfo, schedule: CosineRestarts, ends: Sequence[int]
) -> str | None:
    """Return what is wrong with where a fit ends, or with the unit of a length; None if nothing is.

    Args:
        owner: The public name of the callback.
        run: The fit.
        schedule: Its cycles.
        ends: After how many updates each cycle is over that the fit has room for.
    """
    length, total = schedule.first_cycle_steps, run.updates
    received: dict[str, Any] = {"first_cycle_steps": length}
    if length < 2:
        rule = "a cycle shorter than two steps has nothing to fall along"
        fix = "If epochs are meant, pass first_cycle_epochs"
    elif total is None or total == 0 or total in ends or run.may_be_part:
        return None
    elif length > total:
        rule = f"the first cycle is longer than the whole fit of {total} steps"
        fix = "If epochs are meant, pass first_cycle_epochs; or raise epochs in fit"
    elif schedule.steps is not None and schedule.steps < total:
        rule = f"after the last cycle, at step {schedule.steps} of {total}, the rate stays low"
        fix = "Pass more cycles, or lower epochs in fit"
    else:
        listed = in_words(run, ends)
        rule = f"the fit ends inside a cycle, where the learning rate is high; ends are {listed}"
        far = math.ceil(min((total + length) * (schedule.cycle_mult + 1), LAST_STEP))
        following = schedule.cycle_ends(far)[len(ends) :][:1]
        fix = "Let it end there"
        if following:  # else it is beyond any step there is
            fix = f"{fix}, or at {in_words(run, following)}"
        received = {"epochs": run.epochs}
    return complaint(owner, rule, fix, **received)


def _list(unit: str, numbers: list[int]) -> str:
    shown = [str(number) for number in numbers]
    if len(shown) > 10:
        shown = [*shown[:5], "...", *shown[-3:]]
    return f"{unit}{'s' if len(numbers) > 1 else ''} {', '.join(shown)}"
