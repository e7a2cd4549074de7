"""The training of `fit`: Keras' own, with a driver of the learning rate and averages."""

from contextlib import nullcontext
from typing import Any

import keras

from keras_lr._keras.in_graph import schedule_of
from keras_lr._keras.optimizers import (
    accumulation_steps,
    current_learning_rates,
    leaf_optimizers,
    proportions,
)
from keras_lr.callbacks import Cooldown
from keras_lr.errors import complaining_as
from keras_lr.one_call.choice import Choice
from keras_lr.one_call.driver import RecipeDriver
from keras_lr.one_call.plan import RunPlan
from keras_lr.one_call.recipe import OWNER
from keras_lr.one_call.statistics import FreshStatistics
from keras_lr.schedules import Schedule


class Training:
    """One run of Keras' own `fit` under a plan.

    Args:
        model: A compiled model.
        plan: Its peak and its length.
        schedule: The learning rate of each update.
        choice: What chooses the weights to keep, or None.
        cooldown_steps: Length of the cooldown after Ctrl-C; None to stop at once.
        backup_dir: Where the states of our callbacks outlive a kill, or None.

    Attributes:
        driver: The callback that drives the learning rate.
        choice: As above.
        cooldown: The callback that waits for Ctrl-C, if that is to cool down.
        cut_off: Whether an interrupt has cut Keras' `fit` off.
    """

    def __init__(
        self,
        model: Any,
        plan: RunPlan,
        schedule: Schedule,
        *,
        choice: Choice | None,
        cooldown_steps: int | None,
        backup_dir: str | None,
        first_update: int,
    ) -> None:
        self._model, self._plan = model, plan
        self.choice = choice
        self.cooldown: Cooldown | None = None
        if cooldown_steps is not None:
            self.cooldown = Cooldown(cooldown_steps, backup_dir=backup_dir)
        self.driver = RecipeDriver(
            schedule,
            plan.updates,
            first_update=first_update,
            first_iteration=plan.first_iteration,
            watch_interrupt=cooldown_steps is None,
        )
        self.cut_off = False

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C has ended the run."""
        cooled = self.cooldown is not None and self.cooldown.reason == "interrupt"
        return self.cut_off or self.driver.interrupted or cooled

    def run(self, callbacks: list[Any], **arguments: Any) -> keras.callbacks.History:
        """Train; return Keras' History.

        The optimizer keeps the peak as its learning rate, unless it has a schedule of its own.

        Args:
            callbacks: The user's callbacks, which come after ours.
            **arguments: Of Keras' `fit`.
        """
        model = self._model
        shares = proportions(current_learning_rates(model))
        ours = [each for each in (self.driver, self.choice, self.cooldown) if each is not None]
        statistics = FreshStatistics()  # of the weights that the choice leaves
        history = None
        try:
            # Without a choice, a WeightAverage is the user's own, and speaks for itself.
            ours_alone = complaining_as(OWNER, "WeightAverage") if self.choice else nullcontext()
            with ours_alone:
                history = model.fit(**arguments, callbacks=[*ours, statistics, *callbacks])
        except KeyboardInterrupt:
            if not self.driver.learning_rates:
                raise
            self.cut_off = True
            history = model.history
        finally:
            if history is None or self.cut_off:
                for each in reversed(ours):
                    each.restore()
        leaves = leaf_optimizers(model.optimizer)
        for leaf, share in zip(leaves, shares, strict=True):
            if schedule_of(leaf) is None:
                leaf.learning_rate = self._plan.peak * share
        return history


def epochs_for(model: Any, updates: int, batches: int | None, first_epoch: int) -> int:
    """Return the number of the last epoch of a fit of so many updates, rounded up.

    Where the length of an epoch is not known, it is one that cannot be too small.
    """
    needed = updates * accumulation_steps(model)
    return first_epoch + (-(-needed // batches) if batches else needed)
