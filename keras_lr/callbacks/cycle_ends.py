"""What is to happen when a cycle ends and the next one begins."""

import math
from collections.abc import Sequence
from typing import Any

from keras_lr._checks import complaint
from keras_lr._keras.optimizer_reset import OptimizerReset
from keras_lr._keras.training import StepHook
from keras_lr._keras.training_state import TrainingState
from keras_lr.callbacks.fit_run import FitRun, Position
from keras_lr.callbacks.snapshots import Snapshots
from keras_lr.schedules import CosineRestarts


class CycleHook(StepHook):
    """Takes snapshots at the ends of cycles, and makes the optimizer new at their beginnings.

    Both go by the position in the fit alone, so a fit that goes on at a cycle's end does the same.

    Args:
        owner: The public name of the callback.
        model: The model in training.
        position: Where the fit stands; moved on by a hook that runs before this one.
        ends: Numbers of updates after which a cycle is over.
        snapshots: What keeps the weights.
        reset: What makes the optimizer new, or None.
    """

    def __init__(
        self,
        owner: str,
        model: Any,
        position: Position,
        ends: Sequence[int],
        snapshots: Snapshots,
        reset: OptimizerReset | None,
    ) -> None:
        self.owner = owner
        self.over: list[int] = []  # cycles that the callback has not yet spoken of
        self._model = model
        self._position = position
        self._numbers = {end: number for number, end in enumerate(ends)}
        self._snapshots = snapshots
        self._reset = reset

    def before_step(self, state: TrainingState) -> None:
        """Make the optimizer new at the first batch of a cycle."""
        if self._reset is None:
            return
        self._reset.prepare()
        if self._position.between_updates and self._position.update in self._numbers:
            self._reset(state)

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Take a snapshot after the last batch of a cycle."""
        number = self._numbers.get(self._position.update)
        if number is not None and self._position.between_updates:
            self._snapshots.take(self._model, state, number, self._position.update)
            self.over.append(number)


def in_words(run: FitRun, ends: Sequence[int]) -> str:
    """Say where cycles end: "epochs 1, 3, 7", or "steps ..." where that is not at epochs' ends."""
    epochs = [run.epoch_of(end) for end in ends]
    if any(epoch is None or not epoch.is_integer() for epoch in epochs):
        return _list("step", list(ends))
    return _list("epoch", [int(epoch) for epoch in epochs if epoch is not None])


def doubt_of_end(
    owner: str, run: FitRun, schedule: CosineRestarts, ends: Sequence[int]
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
    elif total is None or total == 0 or total in ends:
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
        far = math.ceil((total + length) * (schedule.cycle_mult + 1))
        following = schedule.cycle_ends(far)[len(ends)]
        fix = f"Let it end there, or at {in_words(run, [following])}"
        received = {"epochs": run.epochs}
    return complaint(owner, rule, fix, **received)


def _list(unit: str, numbers: list[int]) -> str:
    shown = [str(number) for number in numbers]
    if len(shown) > 10:
        shown = [*shown[:5], "...", *shown[-3:]]
    return f"{unit}{'s' if len(numbers) > 1 else ''} {', '.join(shown)}"
