"""A cooldown's way through the training steps of one fit."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_lr._engine.named_optimizers import named_leaves
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras.optimizers import accumulation_steps, batches_seen
from keras_lr.callbacks.cooldown.descent import OWNER, Descent, Pace, Shape, factor
from keras_lr.callbacks.cooldown.rates import CooledRates, Cooling
from keras_lr.callbacks.plateau.rates import is_driven
from keras_lr.callbacks.schedule.fit import Position
from keras_lr.callbacks.schedule.observed import Observed, with_largest
from keras_lr.callbacks.schedule.updates import UpdateWatch, check_loop_tells

NO_DRIVER = (
    "If train_step uses others, let LRScheduler(schedule, optimizers=['d_optimizer']) drive them"
)


class CooldownSteps(StepHook):
    """The hook before all others: it logs the learning rate, and cools it down once it is told to.

    Args:
        model: The model in `fit`.
        position: Where the fit stands.
        shape: How the learning rate falls.
        pace: How much time is left, if there is a limit.
        stop: Puts back what the cooldown has changed, these rates included.

    Attributes:
        position: As above.
        begin: The update at which the cooldown begins, once that is decided.
        descent: How far it has come.
        is_cooling: Whether it sets the learning rates.
        is_over: Whether they have come down.
    """

    owner = OWNER

    def __init__(
        self,
        model: Any,
        position: Position,
        shape: Shape,
        pace: Pace | None,
        stop: Callable[[], None],
    ) -> None:
        self.position = position
        self.begin: int | None = None
        self.descent = Descent(0)
        self.is_cooling = self.is_over = False
        self._model, self._shape, self._pace = model, shape, pace
        self._stop = stop
        self._driven = is_driven(model)
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
        if self._driven:
            self._cooling = Cooling(bases or ())
            return
        position = self.position
        ahead = max(begin - position.update, 0) * position.accumulation
        if ahead:
            ahead -= position.micro_step
        self._rates = CooledRates(
            self._model,
            OWNER,
            ahead=ahead,
            done=descent.done,
            updates=descent.done + descent.left,
            root=self._shape == "1-sqrt",
            bases=bases or (),
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
        present = factor(self._shape, self.descent.progress)
        if self._cooling is not None:
            self._cooling.factor, state.cooling = present, self._cooling
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
        if self._pace is not None and self.descent.left:
            affordable = self._pace.affordable(self.position.epoch_ends(self.descent.left))
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
        self.position.change_optimizer(accumulation_steps(self._model), batches_seen(self._model))
        self._observe()
        if self.begin is not None and not self.is_over:
            self.prepare(self.begin, self.descent)

    def _observe(self) -> None:
        """Look at the optimizers themselves where no driver does."""
        if not self._driven:
            leaves = named_leaves(self._model, None, OWNER)
            self._observed = Observed(leaves)
            self._updates = UpdateWatch(
                OWNER,
                self._model,
                list(leaves.values()),
                driven=True,
                fix=NO_DRIVER,
            )

    def on_interrupt(self) -> None:
        """Put everything back: an exception is on its way out of `fit`."""
        self._stop()

    def on_left_behind(self) -> None:
        """Put the learning rates back: another `fit` begins."""
        if self._rates is not None:
            self._rates.remove_later()
            self._rates = None

    def remove(self) -> None:
        """Put the learning rates back. Can be called again."""
        if self._rates is not None:
            self._rates.remove()
            self._rates = None

    def get_state(self) -> dict[str, Any]:
        """Return where the cooldown stands, as plain values."""
        bases: list[float] = []
        if self.is_cooling:
            held = self._cooling or self._rates
            bases = [] if held is None else held.bases
        return {"begin": self.begin, "descent": self.descent.to_dict(), "bases": bases}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`, between two executions."""
        if state["begin"] is not None:
            self.prepare(state["begin"], Descent.from_dict(state["descent"]), state["bases"])
