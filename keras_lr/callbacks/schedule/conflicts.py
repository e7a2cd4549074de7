"""One writer of the learning rate in a fit: others are refused, or warned of once they are seen."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._keras.in_graph import schedule_of
from keras_lr._keras.optimizers import batches_of, groups_of
from keras_lr._keras.variables import VariableAccess
from keras_lr._warnings import warn
from keras_lr.callbacks.schedule.bound import BoundSchedule
from keras_lr.callbacks.schedule.fit import FitInfo
from keras_lr.errors import complaint

_FIX = "Keep one of the two; ReduceOnPlateauPlus can be combined with any schedule"


def check_no_conflicts(
    run: FitInfo,
    leaves: Sequence[Any],
    plan: BoundSchedule | Sequence[BoundSchedule] | Mapping[str, BoundSchedule],
) -> None:
    """Raise unless the optimizers leave their learning rates to a plan, and the plan fits them.

    Args:
        run: The fit.
        leaves: The model's leaf optimizers.
        plan: One reading for all of them, or one for each or for each group.

    Raises:
        ValueError: If one has a schedule or a decay, or if there are not as many readings.
    """
    for leaf in leaves:
        schedule = schedule_of(leaf)
        if schedule is not None:
            rule = "the optimizer already has a schedule for its learning rate"
            fix = (
                "Give the optimizer a number as learning_rate, or leave out the callback's "
                "schedule; LRScheduler() only logs what the optimizer's own gives"
            )
            raise ValueError(complaint(run.owner, rule, fix, learning_rate=schedule))
        decay = getattr(leaf, "decay", 0.0)
        if decay:
            rule = "the optimizer's decay would lower what the callback sets"
            fix = (
                "Make the optimizer with decay=0, and multiply the schedule by "
                f"schedules.InverseTime(1.0, {decay!r}) if both are meant"
            )
            raise ValueError(complaint(run.owner, rule, fix, decay=decay))
    if isinstance(plan, Mapping) and list(groups_of(leaves[0])[0]) != list(plan):
        rule = "the optimizer must have the groups that there are schedules for"
        fix = "Compile with an optimizer of by_layer with these groups"
        raise ValueError(complaint(run.owner, rule, fix, schedule=list(plan)))
    if isinstance(plan, Sequence) and len(plan) != len(leaves):
        rule = f"there must be one schedule for each of the {len(leaves)} optimizers"
        fix = "Or pass a single one"
        raise ValueError(complaint(run.owner, rule, fix, learning_rate=f"{len(plan)} schedules"))
    if isinstance(plan, BoundSchedule) and len(leaves) > 1 and not any(run.learning_rates):
        rule = "one schedule for several optimizers keeps the proportion of their learning rates"
        fix = "Give them learning rates above 0, or pass one schedule for each"
        raise ValueError(complaint(run.owner, rule, fix, learning_rates=run.learning_rates))


class LearningRateConflictCheck:
    """Sees whether something else writes a learning rate that a callback drives.

    It looks after every other callback has had its turn before a step, and so whatever the order of
    callbacks is.

    Args:
        run: The fit, with the learning rates before any callback had begun.
        batches_seen: How many batches the optimizer had seen before any callback had begun.
    """

    def __init__(self, run: FitInfo, batches_seen: int) -> None:
        self._run = run
        self._batches_seen = batches_seen
        self._begun = self._warned = False

    def follow(self, run: FitInfo) -> None:
        """Go over to the optimizers that the model has been compiled with since."""
        self._run = run

    def look(self, overrides: HyperparameterOverrides, access: VariableAccess, leaf: Any) -> None:
        """Look before a step. Only at the first one is a variable read, which waits for the device.

        Args:
            overrides: What the callback drives the learning rates by.
            access: Where they are read.
            leaf: The leaf optimizer that counts the batches.

        Raises:
            ValueError: If it is the first, and the learning rate is not that of the optimizer any
                more, other than by a checkpoint that has been loaded.
        """
        if self._begun:
            self.look_again(overrides, access, "it is overwritten at every step")
            return
        self._begun = True
        present = overrides.present_rate(access)
        if present != max(self._run.learning_rates) and self._has_not_moved(leaf, access):
            rule = "something else in this fit sets the learning rate"
            raise ValueError(complaint(self._run.owner, rule, _FIX, learning_rate=present))

    def _has_not_moved(self, leaf: Any, access: VariableAccess) -> bool:
        """Return whether the optimizer stands where it stood; a checkpoint would have moved it."""
        return batches_of(leaf, access) == self._batches_seen

    def look_again(
        self, overrides: HyperparameterOverrides, access: VariableAccess, consequence: str
    ) -> None:
        """Warn, once, if a learning rate is no longer the one that was written."""
        if self._warned or not (self._begun and overrides.rate_writes.noted):
            return
        hyperparameters = overrides.learning_rates
        written = {
            key: rate
            for hyperparameter in hyperparameters
            for key, rate in hyperparameter.written.items()
        }
        foreign = overrides.rate_writes.foreign(access, written)
        if foreign is not None:
            self._warned = True
            rule = f"something else has set the learning rate; {consequence}"
            warn(complaint(self._run.owner, rule, _FIX, learning_rate=foreign))
