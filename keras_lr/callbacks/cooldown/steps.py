"""A cooldown's way through the training steps of one fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_lr._engine.named_optimizers import named_leaves
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras.optimizers import (
    accumulation_of,
    batches_of,
    is_scheduled,
)
from keras_lr.callbacks.cooldown.descent import OWNER, Descent, Pace, factor
from keras_lr.callbacks.cooldown.rates import CooledRates, Cooling
from keras_lr.callbacks.cooldown.wishes import Wishes
from keras_lr.callbacks.plateau.rates import driven_optimizers
from keras_lr.callbacks.schedule.fit import FitPosition
from keras_lr.callbacks.schedule.observed import Observed, with_largest
from keras_lr.callbacks.schedule.updates import UpdateWatch, check_loop_tells
from keras_lr.errors import complaint


def cooled_optimizers(model: Any, wanted: Sequence[Any] | None) -> dict[str, Any]:
    """Return the leaf optimizers whose learning rates come down, by their names in logs.

    Args:
        model: The model in `fit`.
        wanted: As `named_leaves` takes them; None for those that are driven or compiled.
    """
    driven = driven_optimizers(model) if wanted is None else {}
    if not driven:
        return named_leaves(model, wanted, OWNER)
    is_compiled = getattr(model, "optimizer", None) is not None
    compiled = named_leaves(model, None, OWNER) if is_compiled else {}
    others = {name: leaf for name, leaf in compiled.items() if not _is_among(leaf, driven)}
    return {**driven, **others}


class CooldownSteps(StepHook):
    """The hook before all others: it logs the learning rate, and cools it down once it is told to.

    Args:
        model: The model in `fit`.
        position: Where the fit stands.
        wishes: What is asked for.
        pace: How much time is left, if there is a limit.
        stop: Puts back what the cooldown has changed, these rates included.
        refit: Lets a descent go on with the updates of an optimizer that has another accumulation;
            it is handed the descent and the accumulation before.

    Attributes:
        position: As above.
        pace: As above.
        begin: The update at which the cooldown begins, once that is decided.
        descent: How far it has come.
        is_cooling: Whether it sets the learning rates.
        is_over: Whether they have come down.
    """

    owner = OWNER

    def __init__(
        self,
        model: Any,
        position: FitPosition,
        wishes: Wishes,
        pace: Pace | None,
        stop: Callable[[], None],
        refit: Callable[[Descent, int], None],
    ) -> None:
        self.position = position
        self.begin: int | None = None
        self.descent = Descent(0)
        self.is_cooling = self.is_over = False
        self._model, self._wishes, self.pace = model, wishes, pace
        self._stop, self._refit = stop, refit
        self._is_driven = False
        self._own: dict[str, Any] = {}
        self._observed: Observed | None = None
        self._updates: UpdateWatch | None = None
        self._observe()
        self._rates: CooledRates | None = None
        self._cooling: Cooling | None = None
        self._applied: dict[str, float] = {}
        self._logged: dict[str, float] = {}

    def prepare(self, begin: int, descent: Descent, bases: list[float] | None = None) -> None:
        """Get ready to cool down, between two executions.

        Args:
            begin: The update it begins with; past for one that goes on.
            descent: How far it has come, and how far it is to go.
            bases: Learning rates at its beginning, for one that goes on.
        """
        self.begin, self.descent = begin, descent
        held = sum(not is_scheduled(leaf) for leaf in self._own.values())
        driven, own = (bases or [])[: -held or None], (bases or [])[-held:] if held else []
        if self._is_driven:
            self._cooling = Cooling(driven)
        if not self._own:
            return
        position = self.position
        ahead = max(begin - position.update, 0) * position.accumulation
        if ahead:
            ahead -= position.micro_step
        self._rates = CooledRates(
            self._model,
            OWNER,
            self._own,
            ahead=ahead,
            descent=descent,
            root=self._wishes.shape == "1-sqrt",
            bases=own,
        )

    def before_step(self, state: TrainingState) -> None:
        """Set the rates of the coming update, or tell their driver what to make of them."""
        position = self.position
        if self._updates is not None:
            self._updates.before_step(state)
        if self.begin is not None and not self.is_cooling and not self.is_over:
            self.is_cooling = position.update >= self.begin and position.between_updates
        if not self.is_cooling:
            return
        present = factor(self._wishes.shape, self.descent.progress)
        if self._cooling is not None:
            self._cooling.factor, state.changes.cooling = present, self._cooling
        if self._rates is not None:
            self._applied = self._rates.write(state, present, self.descent.done)

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Log them; stop the fit when they have come down."""
        made = self._updates is not None and self._updates.after_step(state)
        if self._observed is not None and made:  # else a driver does so
            applied = self._applied if self.is_cooling else self._observed.last(state)
            self._logged = with_largest(applied)
            logs.update(self._logged)
        self.position.advance()
        if not self.is_cooling or not self.position.between_updates:
            return
        self.descent.advance()
        if self.pace is not None and self.descent.left:
            affordable = self.pace.affordable(self.position.epoch_ends(self.descent.left))
            if affordable == 0:
                self.descent.left = 0
            elif affordable is not None and not self.has_schedule:
                self.descent.shorten(affordable)
        if self.descent.left == 0:
            self.is_over = self._model.stop_training = True

    def end_epoch(self, updates: int, logs: dict[str, Any]) -> None:
        """See whether there was an update, and whether a loop of the user's own said when.

        Args:
            updates: Batches that the optimizer has seen in the epoch.
            logs: Of the epoch; those of such a loop do not have the learning rate yet.

        Raises:
            ValueError: If not.
        """
        if self._updates is None:  # a driver sees to it
            return
        if not self.runner.session.is_fit:
            if not self._updates.begun:
                check_loop_tells(OWNER, updates)
            logs.update(self._logged | logs)
        self._updates.end_epoch()

    @property
    def has_schedule(self) -> bool:
        """Whether a schedule is compiled into the step, which fixes the cooldown's length."""
        return self._rates is not None and self._rates.has_schedule

    def on_compile(self) -> None:
        """Put the rates of the optimizer back that is about to go."""
        self.remove()

    def on_compiled(self, state: TrainingState) -> None:
        """Go on at the same place with the rates of the new one."""
        before, held = self.position.accumulation, self._cooling
        leaves = list(cooled_optimizers(self._model, self._wishes.optimizers).values())
        self.position.change_optimizer(accumulation_of(leaves), batches_of(leaves[0]))
        if self.pace is not None:
            self.pace.accumulation = self.position.accumulation
        self._observe()
        if self.begin is not None and not self.is_over:
            if before != self.position.accumulation:
                self._refit(self.descent, before)
            self.prepare(self.begin, self.descent)
            if held is not None:
                self._cooling = held  # a driver goes on in its course, from where that stood

    def _observe(self) -> None:
        """Look at those optimizers that no driver has."""
        wanted = self._wishes.optimizers
        driven = driven_optimizers(self._model)
        chosen = cooled_optimizers(self._model, wanted)
        left_out = [name for name, leaf in driven.items() if not _is_among(leaf, chosen)]
        if left_out:
            rule = "optimizers cannot be chosen where another callback drives more of them"
            fix = "Leave optimizers out, and all of them are cooled down"
            raise ValueError(complaint(OWNER, rule, fix, optimizers=list(chosen), also=left_out))
        self._is_driven = bool(driven)
        self._own = {name: leaf for name, leaf in chosen.items() if not _is_among(leaf, driven)}
        self._observed = self._updates = None
        if not driven:
            self._observed = Observed(chosen)
            self._updates = UpdateWatch(
                OWNER,
                self._model,
                list(chosen.values()),
                driven=True,
                named=wanted is not None,
            )

    def on_interrupt(self) -> None:
        """Put everything back: an exception is on its way out of `fit`."""
        self._stop()

    def on_fit_over(self) -> None:
        """Put the learning rates back: another `fit` begins."""
        if self._rates is not None:
            self._rates.restore_keeping_user_changes()
            self._rates = None

    def remove(self) -> None:
        """Put the learning rates back. Can be called again."""
        if self._rates is not None:
            self._rates.remove()
            self._rates = None

    def get_state(self) -> dict[str, Any]:
        """Return where the cooldown stands, as plain values."""
        held = [each for each in (self._cooling, self._rates) if each is not None]
        bases = [base for each in held for base in each.bases] if self.is_cooling else []
        return {"begin": self.begin, "descent": self.descent.to_dict(), "bases": bases}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`, between two executions."""
        if state["begin"] is not None:
            self.prepare(state["begin"], Descent.from_dict(state["descent"]), state["bases"])


def _is_among(leaf: Any, optimizers: Mapping[str, Any]) -> bool:
    return any(leaf is each for each in optimizers.values())
