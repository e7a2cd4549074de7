"""Base class of the callbacks that drive a schedule through a fit."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from keras_lr._keras.knobs import Knob
from keras_lr._keras.learning_rate import (
    current_learning_rates,
    known_leaves,
    leaf_optimizers,
)
from keras_lr._keras.overlay import Overlay
from keras_lr._keras.position import accumulation_steps, batches_seen
from keras_lr._keras.restoring import RestoringCallback
from keras_lr._keras.running_fit import fit_argument
from keras_lr._keras.step import StepHook
from keras_lr._keras.training import attach, detach, tidy_up
from keras_lr._keras.training_state import TrainingState
from keras_lr.callbacks.fit_run import FitRun, Position
from keras_lr.callbacks.observed import Observed, with_largest
from keras_lr.callbacks.one_writer import WriterWatch, refuse_other_drivers
from keras_lr.callbacks.reading import Reading, checked
from keras_lr.callbacks.resumed import PLANS, check_goes_on, warn_of_fresh_optimizer


@dataclass(frozen=True)
class Plan:
    """What is driven in a fit, and by what.

    Attributes:
        learning_rate: One reading for all optimizers, or one for each; None to leave it alone.
        momentum: A reading, or None.
        weight_decay: A reading, or None.
        spares: Whether optimizers without momentum are left as they are, instead of refused.
        spans_fit: Whether its length is that of the fit, which `epochs` decides.
    """

    learning_rate: Reading | Sequence[Reading] | None = None
    momentum: Reading | None = None
    weight_decay: Reading | None = None
    spares: bool = False
    spans_fit: bool = False

    @property
    def how(self) -> Literal["together", "each"] | None:
        """How the learning rates are driven, if they are."""
        if self.learning_rate is None:
            return None
        return "together" if isinstance(self.learning_rate, Reading) else "each"


class StepDriver(StepHook):
    """Sets what a plan says before each update, and adds it to the step's logs.

    Args:
        owner: The public name of the callback.
        position: Where the fit stands; moved on at every step.
        tracks: Names for the logs, readings, and what they set.
        observed: What to log where nothing drives the learning rate.
        overlay: What to take off when an exception passes.
    """

    def __init__(
        self,
        owner: str,
        position: Position,
        tracks: Sequence[tuple[str, Reading, Knob]],
        observed: Observed | None,
        overlay: Overlay,
    ) -> None:
        self.owner = owner
        self.drives_learning_rate = observed is None
        self.each_step = bool(tracks)
        self.applied: dict[str, float] = {}
        self._position = position
        self._tracks = tracks
        self._observed = observed
        self._overlay = overlay

    def before_step(self, state: TrainingState) -> None:
        """Set the values of the coming update."""
        if self._observed is not None:
            for name, rate in self._observed.coming(state).items():
                checked(self.owner, name, rate, self._position)
        for name, reading, knob in self._tracks:
            self.applied[name] = knob.write(state, reading(self._position))

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Log them; move on."""
        if self._observed is not None:
            self.applied |= self._observed.last(state)
        logs.update(with_largest(self.applied))
        self._position.advance()

    @property
    def learning_rate(self) -> float:
        """The largest learning rate of the last update."""
        return with_largest(self.applied)["learning_rate"]

    def on_interrupt(self) -> None:
        """Put the optimizers back: an exception is on its way out of `fit`."""
        self._overlay.remove()

    def on_left_behind(self) -> None:
        """Put the optimizers back: another `fit` begins."""
        self._overlay.remove_later()


class ScheduleCallback(RestoringCallback, ABC):
    """A callback that drives hyper-parameters of the optimizers through a fit.

    A subclass says in `plan` what it drives. This puts it on at the beginning of a fit and takes it
    off at the end, so that the optimizers have their own settings again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own_rates: tuple[float, ...] = ()
        self._seen_before = 0
        self._overlay: Overlay | None = None
        self._driver: StepDriver | None = None
        self._position: Position | None = None
        self._watch: WriterWatch | None = None
        self._spanning: Reading | None = None
        self._begun = False

    @property
    def owner(self) -> str:
        """The name in messages."""
        return type(self).__name__

    @abstractmethod
    def plan(self, run: FitRun) -> Plan:
        """Return what to drive in a fit.

        Args:
            run: What is known of it.
        """

    def set_model(self, model: Any) -> None:
        """Note the optimizers' own learning rates. Called by `fit`.

        This is before any callback's `on_train_begin`, where BackupAndRestore would load others.
        """
        self.restore()
        super().set_model(model)
        tidy_up(model)
        if getattr(model, "optimizer", None) is not None:
            known_leaves(model, self.owner)
            self._own_rates = current_learning_rates(model)
            self._seen_before = batches_seen(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the plan fits the optimizers, and begin. Called by `fit`."""
        model = self.model
        leaves = leaf_optimizers(model.optimizer)
        run = FitRun(
            owner=self.owner,
            epochs=self.params["epochs"],
            batches=self.params["steps"],
            accumulation=accumulation_steps(model),
            learning_rates=self._own_rates,
            optimizers=tuple(leaf.name for leaf in leaves),
            first_epoch=fit_argument(model, "initial_epoch") or 0,
        )
        plan = self.plan(run)
        rates = plan.learning_rate
        self._spanning = rates if plan.spans_fit and isinstance(rates, Reading) else None
        if plan.learning_rate is not None:
            refuse_other_drivers(run, leaves, plan.learning_rate)
        position = self._position = Position(run)
        self._watch = WriterWatch(run, self._seen_before)
        overlay = self._overlay = Overlay(
            model,
            self.owner,
            learning_rate=plan.how,
            momentum=plan.momentum is not None,
            spares=plan.spares,
            weight_decay=plan.weight_decay is not None,
        )
        try:
            self._driver = self._make_driver(plan, position, overlay)
            attach(model, self._driver)
        except BaseException:
            self.restore()
            raise
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go to the epoch's first step. Called by `fit`."""
        if self._position is None:
            return
        try:
            self._position.begin_epoch(epoch)
            if not self._begun:
                self._look_back(self._position, epoch)
        except ValueError:
            self.restore()
            raise

    def _look_back(self, position: Position, epoch: int) -> None:
        """See whether a fit that goes on does so in what depends on the position."""
        run = position.run
        warn_of_fresh_optimizer(self.model, self.owner, epoch)
        present = self._spanning
        if present is None:
            return
        last = PLANS.last(self.model, run) if epoch > 0 else None
        if last is not None and last.batches is not None:
            before = self.plan(last).learning_rate
            there = Position(last)
            there.begin_epoch(epoch)
            if isinstance(before, Reading):
                check_goes_on(run, last, epoch, before(there), present(position))
        PLANS.note(self.model, run)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look, once an epoch, whether something else sets the learning rate. Called by `fit`."""
        if batch != 0 or self._position is None or self._driver is None or self._watch is None:
            return
        first, self._begun = not self._begun, True
        seen = batches_seen(self.model)
        if first:
            self._position.align(seen)
        if not self._driver.drives_learning_rate:
            return
        if not first:
            self._watch.look_between_epochs(self.model, self._driver.learning_rate)
            return
        try:
            self._watch.look_before_first_step(self.model, seen)
        except ValueError:
            self.restore()
            raise

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give the optimizers their own settings back. Called by `fit`."""
        self.restore()

    def restore(self) -> None:
        """Give the optimizers their own settings back.

        `fit` has this done when it ends, and when a training step raises; where another callback
        or the data raises, the next `fit` or `train_on_batch` has it done. To have it at once, call
        this, or put a `with` block around `fit`.
        """
        if self._overlay is not None:
            self._overlay.remove()
        if self._driver is not None:
            detach(self.model, self._driver)
        self._overlay = self._driver = self._position = None

    def _make_driver(self, plan: Plan, position: Position, overlay: Overlay) -> StepDriver:
        names, rates = ["learning_rate"], plan.learning_rate
        if isinstance(rates, Sequence):
            names = [f"learning_rate_{name}" for name in position.run.optimizers]
        elif rates is not None:
            rates = [rates]
        tracks = list(zip(names, rates or (), overlay.learning_rates, strict=bool(rates)))
        if plan.momentum is not None and overlay.momentum is not None:
            tracks.append(("momentum", plan.momentum, overlay.momentum))
        if plan.weight_decay is not None and overlay.weight_decay is not None:
            tracks.append(("weight_decay", plan.weight_decay, overlay.weight_decay))
        observed = Observed(self.model) if rates is None else None
        return StepDriver(self.owner, position, tracks, observed, overlay)
