"""Base class of the callbacks that drive a schedule through a fit."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_lr._engine.hooks import attach, detach, remove_stale_hooks
from keras_lr._engine.named_optimizers import (
    Wanted,
    check_reachable,
    check_wanted,
    named_leaves,
)
from keras_lr._engine.overrides import HyperparameterOverrides
from keras_lr._engine.restoring import RestoringCallback
from keras_lr._keras.optimizers import (
    accumulation_of,
    batches_of,
    current_learning_rate,
    groups_of,
)
from keras_lr._keras.running_fit import fit_argument
from keras_lr._keras.variables import DIRECT
from keras_lr.callbacks.schedule.bound import BoundSchedule
from keras_lr.callbacks.schedule.conflicts import LearningRateConflictCheck, check_no_conflicts
from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.callbacks.schedule.resumed import PLANS, check_goes_on, warn_of_fresh_optimizer
from keras_lr.callbacks.schedule.step_driver import DrivenSchedules, StepDriver
from keras_lr.callbacks.schedule.updates import check_loop_tells


class ScheduleCallback(RestoringCallback, ABC):
    """A callback that drives hyper-parameters of the optimizers through a fit.

    A subclass says in `plan` what it drives. This puts it on at the beginning of a fit and takes it
    off at the end, so that the optimizers have their own settings again. Where the model is
    compiled in the middle of the fit, it goes on from the same place with the new optimizer. In a
    loop of the user's own it goes by the optimizer's `iterations`.

    Args:
        optimizers: See `LRScheduler`.
    """

    def __init__(self, optimizers: Wanted = None) -> None:
        super().__init__()
        self._wanted = check_wanted(self.owner, optimizers)
        self._own_rates: tuple[float, ...] = ()
        self._own_factors: dict[str, float] = {}
        self._seen_before = self._seen_at_epoch = 0
        self._fit_run: FitInfo | None = None
        self._plan: DrivenSchedules | None = None
        self._leaves: list[Any] = []
        self._overrides: HyperparameterOverrides | None = None
        self._driver: StepDriver | None = None
        self._position: FitPosition | None = None
        self._spanning: BoundSchedule | None = None
        self._begun = False

    @property
    def owner(self) -> str:
        """The name in messages."""
        return type(self).__name__

    @abstractmethod
    def plan(self, run: FitInfo) -> DrivenSchedules:
        """Return what to drive in a fit.

        Args:
            run: What is known of it.
        """

    def _chosen(self, model: Any) -> Sequence[Any] | None:
        """Return which optimizers of a model to drive; None for all it is compiled with."""
        return self._wanted

    def set_model(self, model: Any) -> None:
        """Note the optimizers' own learning rates. Called by `fit`.

        This is before any callback's `on_train_begin`, where BackupAndRestore would load others.
        """
        if not self._takes(model):
            return
        self.restore()
        keras.callbacks.Callback.set_model(self, model)
        remove_stale_hooks(model)
        if self._chosen(model) or getattr(model, "optimizer", None) is not None:
            leaves = list(named_leaves(model, self._chosen(model), self.owner).values())
            self._own_rates = tuple(map(current_learning_rate, leaves))
            groups, factors = groups_of(leaves[0]) if len(leaves) == 1 else ((), None)
            own = DIRECT.read(factors).tolist() if groups else []
            self._own_factors = dict(zip(groups, own, strict=True))
            self._seen_before = batches_of(leaves[0])

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the plan fits the optimizers, and begin. Called by `fit`."""
        model = self.model
        optimizers = self._find_optimizers()
        params = self.params or {}  # a loop of the user's own may not have any
        run = self._fit_run = FitInfo(
            owner=self.owner,
            epochs=params.get("epochs"),
            batches=params.get("steps"),
            accumulation=accumulation_of(optimizers.values()),
            learning_rates=self._own_rates,
            optimizers=tuple(optimizers),
            first_epoch=fit_argument(model, "initial_epoch") or 0,
            group_rates={
                name: factor * self._own_rates[0] for name, factor in self._own_factors.items()
            },
        )
        plan = self._plan = self.plan(run)
        rates = plan.learning_rate
        self._spanning = rates if plan.spans_fit and isinstance(rates, BoundSchedule) else None
        self._position = FitPosition(run)
        watch = LearningRateConflictCheck(run, self._seen_before)
        named = self._chosen(model) is not None
        self._driver = StepDriver(
            self.owner, self._position, plan, watch, self._find_optimizers, named=named
        )
        self._begun = False
        try:
            self._bind(optimizers)
            if attach(model, self._driver).session.is_fit:
                check_reachable(model, list(optimizers.values()), self.owner)
        except BaseException:
            self.restore()
            raise

    def _find_optimizers(self) -> dict[str, Any]:
        return named_leaves(self._model, self._chosen(self._model), self.owner)

    def _bind(self, optimizers: dict[str, Any]) -> None:
        """Begin to drive these optimizers."""
        plan, driver = self._plan, self._driver
        leaves = list(optimizers.values())
        if plan is None or driver is None or self._fit_run is None:
            raise RuntimeError(f"{self.owner}: there is no fit to drive.")
        if plan.learning_rate is not None:
            check_no_conflicts(self._fit_run, leaves, plan.learning_rate)
        self._leaves = leaves
        self._overrides = HyperparameterOverrides(
            self._model,  # on JAX, asking for `model` would sync in the middle of a step
            self.owner,
            leaves=leaves,
            learning_rate=plan.how,
            momentum=plan.momentum is not None,
            spares=plan.spares,
            weight_decay=plan.weight_decay is not None,
        )
        driver.bind(self._model, optimizers, self._overrides, self._rebind)

    def _rebind(self) -> None:
        """Go over to what the model is compiled with now, from the same place in the plan."""
        if self._overrides is None or self._position is None or self._fit_run is None:
            return
        self._overrides.remove()
        optimizers = self._find_optimizers()
        leaves = list(optimizers.values())
        rates = tuple(map(current_learning_rate, leaves))
        run = replace(self._fit_run, learning_rates=rates, optimizers=tuple(optimizers))
        self._fit_run = run
        if self._driver is not None:
            self._driver.watch.follow(run)
        self._position.change_optimizer(accumulation_of(leaves), batches_of(leaves[0]))
        self._bind(optimizers)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go to the epoch's first step. Called by `fit`."""
        if self._position is None or self._driver is None:
            return
        if not self._driver.runner.session.is_fit:
            self._seen_at_epoch = batches_of(self._leaves[0])
            self._position.begin_epoch_of_loop(epoch, self._seen_at_epoch)
            return
        try:
            self._position.begin_epoch(epoch)
            if not self._begun:
                self._look_back(self._position, epoch)
        except ValueError:
            self.restore()
            raise

    def _look_back(self, position: FitPosition, epoch: int) -> None:
        """See whether a fit that goes on does so in what depends on the position."""
        run = position.run
        warn_of_fresh_optimizer(self.model, self.owner, epoch)
        present = self._spanning
        if present is None:
            return
        last = PLANS.last(self.model, run) if epoch > 0 else None
        if last is not None and last.batches is not None:
            before = self.plan(last).learning_rate
            there = FitPosition(last)
            there.begin_epoch(epoch)
            if isinstance(before, BoundSchedule):
                check_goes_on(run, last, epoch, before(there), present(position))
        PLANS.note(self.model, run)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Take account of what a former fit has left over, at the first batch. Called by `fit`."""
        if self._driver is None or self._position is None:
            return
        if not self._begun:
            self._begun = True
            _ = self.model  # on JAX, this lets the variables be read
            self._position.align(batches_of(self._leaves[0]))
        self._driver.runner.begin_batch()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Log what was applied, in a loop of the user's own. Called by `fit`.

        Where no callback overrides this, Keras hands every batch's logs to another thread.
        """
        if self._driver is not None:
            logs = {} if logs is None else logs
            self._driver.runner.end_batch(logs)
            self._driver.log_in_loop(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """See whether there was an update. Called by `fit`."""
        if self._driver is None:
            return
        self._check_loop()
        self._driver.updates.end_epoch()
        self._driver.log_in_loop({} if logs is None else logs)

    def _check_loop(self) -> None:
        """Raise if a loop of the user's own does not say when it makes its updates."""
        if self._driver is None or self._driver.runner.session.is_fit or self._driver.updates.begun:
            return
        try:
            check_loop_tells(self.owner, batches_of(self._leaves[0]) - self._seen_at_epoch)
        except ValueError:
            self.restore()
            raise

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give the optimizers their own settings back. Called by `fit`."""
        if self._driver is not None:
            _ = self.model  # on JAX, this lets the variables be read
            self._driver.end()
        self.restore()

    def restore(self) -> None:
        """Give the optimizers their own settings back.

        `fit` has this done when it ends, and when a training step raises; where another callback
        or the data raises, the next `fit` or `train_on_batch` has it done. To have it at once, call
        this, or put a `with` block around `fit`.
        """
        if self._overrides is not None:
            self._overrides.remove()
        if self._driver is not None:
            detach(self._model, self._driver)
        self._overrides = self._driver = self._position = None
        self._leaves = []
