"""One `fit` under `Cooldown`: when it begins, how long it is, and what it leaves behind."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.monitor import has_validation_data
from keras_lr._keras.optimizers import accumulation_steps, batches_seen, known_leaves
from keras_lr._keras.running_fit import FitSession
from keras_lr.callbacks.cooldown.descent import OWNER, Descent, Pace, Shape
from keras_lr.callbacks.cooldown.interrupt import FirstInterrupt
from keras_lr.callbacks.cooldown.rates import has_hook, put_first
from keras_lr.callbacks.cooldown.steps import CooldownSteps
from keras_lr.callbacks.cooldown.triggers import Stall
from keras_lr.callbacks.saved.judge import Judge
from keras_lr.callbacks.schedule.fit import FitRun, Position
from keras_lr.errors import complaint


@dataclass(frozen=True)
class Wishes:
    """The arguments of `Cooldown`, checked.

    Attributes:
        steps: Length in updates, or None.
        epochs: Length in epochs, or None.
        shape: How the learning rate falls.
        at_step: The update it begins with, or None.
        at_epoch: The epoch it begins with, or None.
        judge: What compares the monitored metric, or None.
        patience: Epochs without improvement that begin it.
        min_delta: Smallest change that counts as an improvement.
        within: Seconds to end in, or None.
        on_interrupt: Whether Ctrl-C begins it.
    """

    steps: int | None
    epochs: float | None
    shape: Shape
    at_step: int | None
    at_epoch: int | None
    judge: Judge | None
    patience: int
    min_delta: float
    within: float | None
    on_interrupt: bool


class CooldownRun:
    """What waits in one `fit` for the time to cool down, and then does so.

    Args:
        model: The model in `fit`.
        wishes: What is asked for.
        epochs: Number of the last epoch, if known.
        batches: Batches per epoch, if known.

    Raises:
        ValueError: If a length in epochs meets data of unknown length.

    Attributes:
        steps: The hook around the training steps, from the first epoch on.
        reason: What began the cooldown, as `Cooldown.reason`.
        asked: What asks for it to begin.
        over: Whether the fit is over, or has been cut off.
    """

    def __init__(self, model: Any, wishes: Wishes, epochs: int | None, batches: int | None) -> None:
        self.steps: CooldownSteps | None = None
        self.reason: str | None = None
        self.asked: str | None = None
        self.over = False
        self._model, self._wishes = model, wishes
        self._run = FitRun(
            owner=OWNER,
            epochs=epochs or 1,
            batches=batches,
            accumulation=accumulation_steps(model),
            learning_rates=(),
            optimizers=(),
        )
        self._planned = None if epochs is None else self._run.updates
        self._updates = wishes.steps or self._run.updates_in("epochs", wishes.epochs or 1.0)
        self._executed = model.steps_per_execution
        self._has_validation = has_validation_data(model)
        within, judge = wishes.within, wishes.judge
        self.pace = None if within is None else Pace(within, self._run.accumulation)
        self._stall = None
        if judge is not None:
            self._stall = Stall(judge, wishes.patience, wishes.min_delta)
        self._session = FitSession(model)
        self._seen_at_epoch = 0
        self._interrupt: FirstInterrupt | None = None
        if wishes.on_interrupt:
            self._interrupt = FirstInterrupt(self._is_wish)
            self._session.when_over(self._interrupt.remove)

    @property
    def begun_at(self) -> int | None:
        """The update at which the cooldown began."""
        return None if self.steps is None else self.steps.begin

    def begin_epoch(self, epoch: int) -> bool:
        """Go to an epoch's first step; return whether it is the first epoch of the fit.

        Raises:
            ValueError: If there is another cooldown, or the fit's position cannot be known.
        """
        if self.steps is not None:
            self._go_to(self.steps.position, epoch)
            return False
        model = self._model
        if has_hook(model, OWNER):
            rule, fix = "one of them is enough in a fit", "Leave one of them out"
            raise ValueError(complaint(OWNER, rule, fix, callbacks="two Cooldowns"))
        known_leaves(model, OWNER)
        position = Position(self._run)
        self.steps = CooldownSteps(model, position, self._wishes.shape, self.pace, self.stop)
        attach(model, self.steps)
        put_first(model, self.steps)
        self._go_to(position, epoch)
        if self._session.is_fit:
            position.align(batches_seen(model))
        return True

    def due(self) -> int | None:
        """Return the update to begin with, if that is in the coming execution."""
        if self.steps is None or self.steps.begin is not None:
            return None
        position = self.steps.position
        following = position.update + (0 if position.between_updates else 1)
        execution = math.ceil(self._executed / self._run.accumulation)
        if self._interrupt is not None and self._interrupt.asked:
            self.asked = self.asked or "interrupt"
        if self.asked is not None:
            self.reason, self.asked = self.asked, None
            return following
        moments = self._moments(position)
        if moments and min(moments) < position.update + execution:
            moment = min(moments)
            self.reason = moments[moment]
            return moment if moment < position.update else max(moment, following)
        if self.pace is None:
            return None
        affordable = self.pace.affordable(position.epoch_ends(self._updates))
        if affordable is None or affordable >= self._updates + 2 * execution:
            return None
        self.reason = "within"
        return following

    def prepare(self, begin: int) -> None:
        """Decide how long the cooldown is, and get ready for it, between two executions."""
        steps = self.steps
        if steps is None:
            return
        updates, planned = self._updates, self._planned
        if planned is not None:
            updates = max(min(updates, planned - begin), 1)
        descent = Descent(updates)
        descent.advance(max(steps.position.update - begin, 0))
        if self.pace is not None:
            affordable = self.pace.affordable(steps.position.epoch_ends(descent.left))
            if affordable is not None and descent.left:
                descent.shorten(affordable)
        if descent.left:
            steps.prepare(begin, descent)
        else:
            steps.begin, steps.is_over = begin, True  # long ago, in a fit before this one

    def end_epoch(self, logs: dict[str, Any]) -> None:
        """See whether the metric has stalled.

        Raises:
            ValueError: If it is not in the logs, or if the epoch has made no update.
        """
        if self.steps is not None:
            self.steps.end_epoch(batches_seen(self._model) - self._seen_at_epoch, logs)
        if self._stall is None or self.begun_at is not None:
            return
        if self._stall.end_epoch(self._model, logs, has_data=self._has_validation):
            self.asked = self.asked or "stalled"

    def stop(self) -> None:
        """Put back the learning rates, and the meaning of Ctrl-C. Can be called again."""
        if self.over:
            return
        self.over = True
        if self._interrupt is not None:
            self._interrupt.remove()
        if self.steps is not None:
            self.steps.remove()
            detach(self._model, self.steps)

    def get_state(self) -> dict[str, Any]:
        """Return where it stands, as plain values; there must have been an epoch."""
        steps = {} if self.steps is None else self.steps.get_state()
        stall = None if self._stall is None else self._stall.get_state()
        return {**steps, "reason": self.reason, "asked": self.asked, "stall": stall}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`, in the first epoch's beginning."""
        self.reason, self.asked = state["reason"], state["asked"] or self.asked
        if self._stall is not None and state["stall"] is not None:
            self._stall.set_state(state["stall"])
        if self.steps is not None:
            self.steps.set_state(state)

    def _go_to(self, position: Position, epoch: int) -> None:
        """Go to an epoch's first step; in a loop of the user's own the optimizer tells it."""
        self._seen_at_epoch = batches_seen(self._model)
        if self._session.is_fit:
            position.begin_epoch(epoch)
        else:
            position.begin_epoch_of_loop(epoch, self._seen_at_epoch)

    def _moments(self, position: Position) -> dict[int, str]:
        """Return the updates named beforehand, and by what."""
        moments = {}
        at_epoch, at_step = self._wishes.at_epoch, self._wishes.at_step
        if at_epoch is not None and self._run.batches is not None:
            moments[self._run.updates_before(at_epoch)] = "epoch"
        elif at_epoch is not None and position.epoch >= at_epoch:
            moments[position.update] = "epoch"
        if at_step is not None:
            moments[at_step] = "step"
        return moments

    def _is_wish(self) -> bool:
        """Return whether Ctrl-C is to begin a cooldown, and say so."""
        wanted = not self.over and self._session.is_running and self.begun_at is None
        if wanted:
            print(f"\n{OWNER}: cooling down; press Ctrl-C again to stop at once.")
        return wanted
