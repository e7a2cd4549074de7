"""Plans of what to drive in a fit, and the hook that carries one out at every step."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

from keras_lr._engine.hyperparameters import Hyperparameter
from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._engine.writes_ahead import WritesAhead
from keras_lr._keras.optimizers import batches_of
from keras_lr._keras.variables import DIRECT
from keras_lr.callbacks.schedule.bound import BoundSchedule, checked
from keras_lr.callbacks.schedule.conflicts import LearningRateConflictCheck
from keras_lr.callbacks.schedule.fit import FitPosition
from keras_lr.callbacks.schedule.observed import Observed, rate_name, with_largest
from keras_lr.callbacks.schedule.updates import UpdateWatch


@dataclass(frozen=True)
class DrivenSchedules:
    """What is driven in a fit, and by what.

    Attributes:
        learning_rate: One reading for all optimizers, one for each, or by name for each group of
            layers; None to leave it alone.
        momentum: A reading, or None.
        weight_decay: A reading, or None.
        spares: Whether optimizers without momentum are left as they are, instead of refused.
        spans_fit: Whether its length is that of the fit, which `epochs` decides.
    """

    learning_rate: BoundSchedule | Sequence[BoundSchedule] | Mapping[str, BoundSchedule] | None = (
        None
    )
    momentum: BoundSchedule | None = None
    weight_decay: BoundSchedule | None = None
    spares: bool = False
    spans_fit: bool = False

    @property
    def how(self) -> Literal["together", "each", "groups"] | None:
        """How the learning rates are driven, if they are."""
        if self.learning_rate is None:
            return None
        if isinstance(self.learning_rate, Mapping):
            return "groups"
        return "together" if isinstance(self.learning_rate, BoundSchedule) else "each"


class StepDriver(StepHook):
    """Sets what a plan says before each update, and adds it to the step's logs.

    Args:
        owner: The public name of the callback.
        position: Where the fit stands; moved on at every step.
        plan: What is driven.
        watch: Looks for other writers of the learning rates.
        find: Returns the optimizers that the model has now for it, by their names in logs.
        named: Whether the user has named them.

    Attributes:
        applied: The values of the last update, by their names in the logs.
        watch: As above.
    """

    def __init__(
        self,
        owner: str,
        position: FitPosition,
        plan: DrivenSchedules,
        watch: LearningRateConflictCheck,
        find: Callable[[], dict[str, Any]],
        *,
        named: bool,
    ) -> None:
        self.owner = owner
        self._find, self._named = find, named
        self.drives_learning_rate = plan.learning_rate is not None
        self.drives_groups = plan.how == "groups"
        self.applied: dict[str, float] = {}
        self._position = position
        self.watch, self._plan = watch, plan
        self._tracks: list[tuple[str, BoundSchedule, Hyperparameter]] = []
        self._observed: Observed | None = None

    def bind(
        self,
        model: Any,
        optimizers: Mapping[str, Any],
        overrides: HyperparameterOverrides,
        rebind: Callable[[], None],
    ) -> None:
        """Set the hyper-parameters of these optimizers from now on.

        Args:
            model: The model in training.
            optimizers: Leaf optimizers by the ending of their names in logs.
            overrides: What makes them settable, and what to take off when an exception passes.
            rebind: What to call when the model has been compiled in the middle of the fit.
        """
        self._leaf = next(iter(optimizers.values()))
        self._overrides, self._rebind = overrides, rebind
        self.updates = UpdateWatch(
            self.owner,
            model,
            list(optimizers.values()),
            driven=self.drives_learning_rate,
            named=self._named,
        )
        names, rates = ["learning_rate"], self._plan.learning_rate
        if isinstance(rates, Mapping):
            names, rates = [f"learning_rate/{group}" for group in rates], list(rates.values())
        elif isinstance(rates, Sequence):
            names = [rate_name(name) for name in optimizers]
        elif rates is not None:
            rates = [rates]
        tracks = list(zip(names, rates or (), overrides.learning_rates, strict=bool(rates)))
        if self._plan.momentum is not None and overrides.momentum is not None:
            tracks.append(("momentum", self._plan.momentum, overrides.momentum))
        if self._plan.weight_decay is not None and overrides.weight_decay is not None:
            tracks.append(("weight_decay", self._plan.weight_decay, overrides.weight_decay))
        self._tracks = tracks
        self.each_step = bool(tracks)
        self._observed = Observed(optimizers) if rates is None else None
        self.applied = {}
        self._foreseen = 0

    def optimizers(self) -> dict[str, Any]:
        """Return the optimizers by their names in logs."""
        return self._find()

    def foresees(self, steps: int) -> bool:
        """Return whether what it writes depends on the place in the fit alone, as in `fit`."""
        return bool(self.runner.session.is_fit)

    def before_step(self, state: TrainingState) -> None:
        """Set the values of the coming update, after a look for other writers of them."""
        if not self.runner.session.is_fit:
            self._position.follow(batches_of(self._leaf, state))
        self._look(state)
        self._set(state, self._position)

    def foresee(self, state: TrainingState, ahead: WritesAhead) -> None:
        """Set the values of several steps, after a look for other writers of them."""
        self._look(state)
        position = copy(self._position)
        for _ in ahead.each():
            self._set(ahead, position)
            position.advance()
        self._foreseen = position.batch

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Log them if there was an update; move on."""
        if self._observed is not None:
            self.applied |= self._observed.last(state)
        if self.updates.after_step(state):
            logs.update(with_largest(self.applied))
        if self.runner.session.is_fit:
            self._position.advance()
        else:
            self._position.follow(batches_of(self._leaf, state))

    def after_steps(self, state: TrainingState, logs: dict[str, Any], made: int) -> None:
        """Log those of the last step; move on."""
        for _ in range(made - 1):
            self._position.advance()
        if self._position.batch + 1 != self._foreseen:  # it ended early: those of its last step
            self._set(state, self._position)
        self.after_step(state, logs)

    def _look(self, state: TrainingState) -> None:
        """Look for other writers of the values, and at what the coming update will use."""
        self.check_held()
        if self.drives_learning_rate:
            self.watch.look(self._overrides, state, self._leaf)
        self.updates.before_step(state)
        if self._observed is not None:
            for name, rate in self._observed.coming(state).items():
                checked(self.owner, name, rate, self._position)

    def _set(self, state: TrainingState, position: FitPosition) -> None:
        """Set the values of the update at a place in the fit."""
        for name, reading, hyperparameter in self._tracks:
            self.applied[name] = hyperparameter.write(state, reading(position))
        if self._overrides.groups is not None and "learning_rate" in self.applied:
            rate = self.applied["learning_rate"]
            self.applied |= self._overrides.groups.rates(rate, state)
        self._overrides.rate_writes.settle()

    def log_in_loop(self, logs: dict[str, Any]) -> None:
        """Add them to logs that `fit` does not take from the step's."""
        own = not self.runner.session.is_fit or self.runner.is_direct
        if own and self.updates.seen:
            for name, value in with_largest(self.applied).items():
                logs.setdefault(name, value)

    def check_held(self) -> None:
        """Raise if an optimizer has been given a schedule since."""
        self._overrides.check_held()

    def end(self) -> None:
        """Look for other writers once more: there may have been some since the last step."""
        if self.drives_learning_rate:
            self.watch.look_again(self._overrides, DIRECT, "the optimizer's own takes its place")

    def on_end_of_data(self, state: TrainingState) -> None:
        """Set the values of the coming update, which may have been foreseen alone."""
        self._set(state, self._position)

    def on_compiled(self, state: TrainingState) -> None:
        """Go over to the optimizer that the model has been compiled with."""
        self._rebind()

    def on_interrupt(self) -> None:
        """Put the optimizers back: an exception is on its way out of `fit`."""
        self._overrides.remove()

    def on_fit_over(self) -> None:
        """Put the optimizers back: the fit is over, or another one begins."""
        self._overrides.restore_keeping_user_changes()
