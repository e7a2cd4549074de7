"""One `fit` under `Cooldown`: when it begins, how long it is, and what it leaves behind."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.monitor import has_validation_data
from keras_lr._engine.named_optimizers import check_reachable
from keras_lr._keras.optimizers import (
    accumulation_of,
    batches_of,
)
from keras_lr._keras.running_fit import FitSession, fit_argument
from keras_lr._keras.workers import is_agreed
from keras_lr._warnings import warn
from keras_lr.callbacks.cooldown.descent import OWNER, Descent, Pace
from keras_lr.callbacks.cooldown.interrupt import FirstInterrupt
from keras_lr.callbacks.cooldown.rates import has_hook, put_first
from keras_lr.callbacks.cooldown.steps import CooldownSteps, cooled_optimizers
from keras_lr.callbacks.cooldown.triggers import Stall
from keras_lr.callbacks.cooldown.wishes import Wishes
from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.errors import complaint


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
        ended: Whether it has come to its end.
    """

    def __init__(self, model: Any, wishes: Wishes, epochs: int | None, batches: int | None) -> None:
        self.steps: CooldownSteps | None = None
        self.reason: str | None = None
        self.asked: str | None = None
        self.over = False
        self.ended = False
        self._model, self._wishes = model, wishes
        self._run = FitInfo(
            owner=OWNER,
            epochs=epochs,
            batches=batches,
            accumulation=1,  # not known before an optimizer is built
            learning_rates=(),
            optimizers=(),
            first_epoch=fit_argument(model, "initial_epoch") or 0,
        )
        if wishes.epochs is not None:
            self._run.known_batches(epochs=wishes.epochs)
        self._has_validation = has_validation_data(model)
        within, judge = wishes.within, wishes.judge
        self.pace = None if within is None else Pace(within, 1)
        self._stall = None
        if judge is not None:
            self._stall = Stall(judge, wishes.patience, wishes.min_delta)
        self._session = FitSession(model)
        self._epoch = self._seen_at_epoch = 0
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
        leaves = list(cooled_optimizers(model, self._wishes.optimizers).values())
        self._run = replace(self._run, accumulation=accumulation_of(leaves))
        if self.pace is not None:
            self.pace.accumulation = self._run.accumulation
        position = FitPosition(self._run)
        self.steps = CooldownSteps(model, position, self._wishes, self.pace, self.stop, self._refit)
        attach(model, self.steps)
        put_first(model, self.steps)
        self._go_to(position, epoch)
        if self._session.is_fit:
            check_reachable(model, leaves, OWNER)
            position.align(self._batches_seen())
        return True

    def go_on_from(self, former: "CooldownRun", epoch: int) -> None:
        """Go on where a former fit ended, if this is the next epoch of the same model."""
        follows = epoch > 0 and epoch == former._epoch + 1 and former._model is self._model
        if not (follows and former.ended and former.steps is not None and self.steps is not None):
            return
        part = former._run.may_be_part
        if former.steps.is_over and not part:
            return  # what begins on demand may do so again
        if part and former.pace is not None:
            self.pace = self.steps.pace = former.pace
        if former.steps.is_over:
            self.steps.begin, self.steps.is_over = former.steps.begin, True
            self.reason = former.reason
        else:
            self.set_state(former.get_state())

    def check_goes_on(self, epoch: int) -> None:
        """Raise, or warn, if the cooldown was over before this fit.

        Raises:
            ValueError: If that is one of a loop of fits over single epochs.
        """
        if self.steps is None:
            return
        begin = self.steps.begin
        if begin is None or not self.steps.is_over:
            moments = self._moments(self.steps.position)
            begin = min(moments) if moments and begin is None else None
            over = begin is not None and self.steps.position.update >= begin + self._updates
            if begin is None or not over:
                return
        rule = f"the cooldown began at update {begin} and was over before this fit"
        if self._run.may_be_part:
            fix = "End the loop once model.stop_training is True; or leave the callback out"
            raise ValueError(complaint(OWNER, rule, fix, initial_epoch=epoch))
        warn(complaint(OWNER, rule, "Leave the callback out to train on", initial_epoch=epoch))

    def due(self) -> int | None:
        """Return the update to begin with, if that is in the coming execution."""
        if self.steps is None or self.steps.begin is not None:
            return None
        position = self.steps.position
        following = position.update + (0 if position.between_updates else 1)
        execution = math.ceil(self._model.steps_per_execution / position.accumulation)
        if self._interrupt is not None and is_agreed(self._interrupt.asked):
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
        descent = Descent(self._cut(self._updates, begin))
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
            self.steps.end_epoch(self._batches_seen() - self._seen_at_epoch, logs)
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

    def _go_to(self, position: FitPosition, epoch: int) -> None:
        """Go to an epoch's first step; in a loop of the user's own the optimizer tells it."""
        self._epoch, self._seen_at_epoch = epoch, self._batches_seen()
        if self._session.is_fit:
            position.begin_epoch(epoch)
        else:
            position.begin_epoch_of_loop(epoch, self._seen_at_epoch)

    @property
    def _updates(self) -> int:
        """The length that was asked for, in updates of the present optimizer."""
        if self._wishes.steps is not None or self._wishes.epochs is None or self.steps is None:
            return self._wishes.steps or 1
        batches = self._wishes.epochs * self._run.known_batches(epochs=self._wishes.epochs)
        return max(1, round(batches / self.steps.position.accumulation))

    def _cut(self, updates: int, begin: int) -> int:
        """Return how many updates there are, at least one, of those that a cooldown would have.

        A fit of one epoch may be part of a loop of such fits, in which it goes on.
        """
        run, steps = self._run, self.steps
        named = self.reason in ("step", "epoch")
        part = run.may_be_part and (run.first_epoch > 0 or named)
        if part or steps is None or run.batches is None or run.epochs is None:
            return updates
        return max(min(updates, steps.position.update_at(run.epochs * run.batches) - begin), 1)

    def _refit(self, descent: Descent, before: int) -> None:
        """Let a descent go on with the updates of an optimizer that has another accumulation."""
        if self.steps is None or self.steps.begin is None:
            return
        position = self.steps.position
        left = descent.left
        if self._wishes.steps is None:
            left = max(1, round(left * before / position.accumulation))
        descent.change(self._cut(left, max(self.steps.begin, position.update)))

    def _batches_seen(self) -> int:
        optimizers = cooled_optimizers(self._model, self._wishes.optimizers)
        return batches_of(next(iter(optimizers.values())))

    def _moments(self, position: FitPosition) -> dict[int, str]:
        """Return the updates named beforehand, and by what."""
        moments = {}
        at_epoch, at_step = self._wishes.at_epoch, self._wishes.at_step
        if at_epoch is not None and self._run.batches is not None:
            moments[position.update_at(at_epoch * self._run.batches)] = "epoch"
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
