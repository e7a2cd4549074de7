"""`CosineWarmRestarts`: stochastic gradient descent with warm restarts (SGDR)."""

import os
from collections.abc import Callable
from typing import Any

import keras

from keras_lr._engine.averages.weight_sets import Weights
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.named_optimizers import Wanted
from keras_lr._engine.optimizer_reset import OptimizerReset
from keras_lr._warnings import warn
from keras_lr.callbacks.schedule.bound import BoundSchedule
from keras_lr.callbacks.schedule.driver import ScheduleCallback
from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.callbacks.schedule.step_driver import DrivenSchedules
from keras_lr.callbacks.warm_restarts.cycles import (
    CycleHook,
    RestartEvent,
    check_on_cycle_end,
    end_warning,
    in_words,
)
from keras_lr.callbacks.warm_restarts.ensembles import average, copies, ensemble
from keras_lr.callbacks.warm_restarts.snapshots import Snapshots, check_snapshots
from keras_lr.errors import (
    check_bool,
    check_integer,
    check_number,
    complaining_as,
    complaint,
)
from keras_lr.schedules import CosineRestarts

FAR = 10**6
"""Updates to look ahead where the length of the fit is not known."""


class CosineWarmRestarts(ScheduleCallback):
    r"""Let the learning rate fall along a cosine, jump back up, and fall again (SGDR).

    In cycle $i$, of $L_i = L_0 m^i$ updates, after $t$ of them,

    $$\eta = \eta_{min} + (\eta_{max} d^i - \eta_{min}) (1 + \cos(\pi t / L_i)) / 2.$$

    The weights at a cycle's end are good ones; those within a cycle, at a high rate, are not. So
    let the fit end with a cycle. The epochs at which cycles end are printed when the fit begins;
    a warning follows if a fit of several epochs does not end with one. FitPosition, logs and
    checkpoints are those of `LRScheduler`.

    Args:
        max_lr: First peak. Default: the optimizer's learning rate.
        min_lr: Value at the end of each cycle, at least 0.
        first_cycle_epochs: Length of the first cycle in epochs, which may be a fraction; rounded to
            whole updates. Default: 1, unless `first_cycle_steps` is given.
        first_cycle_steps: Length of the first cycle in updates, instead.
        cycle_mult: How much longer each cycle is than the one before, at least 1. With the
            default, 2, cycles end after 1, 3, 7, 15 first cycles.
        max_lr_decay: How much lower each peak is than the one before, above 0 and at most 1.
        warmup_steps: Updates in each cycle that rise from `min_lr` to the peak.
        cycles: How many cycles there are; the learning rate then stays at `min_lr`. Default: no
            limit.
        reset_optimizer: Whether to reset the optimizer's state at each restart: its moments, and
            the count of steps that Adam's bias correction reads. The paper keeps them.
        on_cycle_end: A function of the cycle's number, from 0, and the logs. It is called after
            the cycle's last batch, or after validation where that ends an epoch, and may evaluate
            the model or set its `stop_training`.
        snapshots: How many cycle-end weights to keep, the last ones. They are exact under
            `steps_per_execution`, and beside `SwapScheduleFreeWeights` or Keras' `SwapEMAWeights`
            the averaged weights. A fit that goes on from an earlier epoch replaces the later ones.
        snapshot_folder: Where to keep them, as files that `Model.load_weights` reads. A fit that
            goes on finds there what it had. Default: in memory.
        optimizers: Which optimizers to drive: names of those in a `MultiOptimizer`, names of the
            model's attributes that hold others, as a GAN does, or optimizers. Default: all that the
            model is compiled with.

    Attributes:
        cycle_ends: Numbers of updates after which a cycle ends in the present or last fit.
        events: The restarts of the present or last fit, in order, for `plot_history`. Each has the
            `epoch` in or after which it happened, the `step`, and the `cycle` that began, all
            counted from 0.
        snapshots: Copies of the model with the weights kept so far, the oldest first.

    Raises:
        ValueError: At construction if an argument is out of its range, or both lengths are given.
            In `fit` if the data is of unknown length and the cycle in epochs, and as `LRScheduler`.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import CosineWarmRestarts
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((32, 4))
        >>> restarts = CosineWarmRestarts(max_lr=0.1, snapshots=2)
        >>> history = model.fit(
        ...     x, x[:, :1], batch_size=8, epochs=3, callbacks=[restarts], verbose=0
        ... )
        >>> print(np.round(history.history["learning_rate"], 3), restarts.cycle_ends)
        [0.015 0.069 0.004] [4, 12]
        >>> restarts.ensemble().predict(x, verbose=0).shape
        (32, 1)

    Reference:
        Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5; for the snapshots, Huang et al. 2017,
        arXiv 1704.00109; for their average, Izmailov et al. 2018, arXiv 1803.05407.
    """

    results = ("cycle_ends", "events")

    def __init__(
        self,
        max_lr: float | None = None,
        min_lr: float = 0.0,
        *,
        first_cycle_epochs: float | None = None,
        first_cycle_steps: int | None = None,
        cycle_mult: float = 2.0,
        max_lr_decay: float = 1.0,
        warmup_steps: int = 0,
        cycles: int | None = None,
        reset_optimizer: bool = False,
        on_cycle_end: Callable[[int, dict[str, Any]], None] | None = None,
        snapshots: int = 0,
        snapshot_folder: str | os.PathLike[str] | None = None,
        optimizers: Wanted = None,
    ) -> None:
        super().__init__(optimizers)
        if first_cycle_epochs is not None and first_cycle_steps is not None:
            rule = "the first cycle has one length"
            lengths: dict[str, Any] = {"first_cycle_epochs": first_cycle_epochs}
            lengths["first_cycle_steps"] = first_cycle_steps
            raise ValueError(complaint(self.owner, rule, "Pass one of the two", **lengths))
        if first_cycle_steps is None:
            first_cycle_epochs = 1.0 if first_cycle_epochs is None else first_cycle_epochs
            fix = "Pass a number of epochs"
            check_number(self.owner, fix, above=0.0, first_cycle_epochs=first_cycle_epochs)
        else:
            fix = "Pass a number of updates, or first_cycle_epochs"
            check_integer(self.owner, fix, at_least=1, first_cycle_steps=first_cycle_steps)
        check_snapshots(self.owner, snapshots, snapshot_folder)
        check_on_cycle_end(self.owner, on_cycle_end)
        check_bool(self.owner, reset_optimizer=reset_optimizer)
        self._max_lr = max_lr
        self._first_cycle_epochs = first_cycle_epochs
        self._first_cycle_steps = first_cycle_steps
        self._shape: dict[str, Any] = {
            "min_lr": min_lr,
            "cycle_mult": cycle_mult,
            "max_lr_decay": max_lr_decay,
            "warmup_steps": warmup_steps,
            "cycles": cycles,
        }
        # What is wrong whatever the fit: the schedule's own checks find it.
        fix = "Pass a number of updates, 0 for no warm-up"
        check_integer(self.owner, fix, at_least=0, warmup_steps=warmup_steps)
        probe = first_cycle_steps or max(2, warmup_steps + 1)
        self._restarts(min_lr if max_lr is None else max_lr, probe)
        self._reset_optimizer = reset_optimizer
        self._on_cycle_end = on_cycle_end
        self._snapshots = Snapshots(snapshots, snapshot_folder)
        self._hook: CycleHook | None = None
        self._warned_of_end = False
        self._end: int | None = None  # of the last cycle
        self.cycle_ends: list[int] = []
        self.events: list[RestartEvent] = []

    def schedule(self, run: FitInfo) -> CosineRestarts:
        """Return the schedule for a fit.

        Args:
            run: What is known of it: its length, its learning rates.

        Returns:
            The schedule, in updates.
        """
        max_lr = max(run.learning_rates) if self._max_lr is None else self._max_lr
        epochs = self._first_cycle_epochs or 0
        length = self._first_cycle_steps or run.updates_in("first_cycle_epochs", epochs)
        return self._restarts(max_lr, length)

    def _restarts(self, max_lr: float, length: float) -> CosineRestarts:
        with complaining_as(self.owner, "CosineRestarts"):
            return CosineRestarts(max_lr, length, **self._shape)

    def plan(self, run: FitInfo) -> DrivenSchedules:
        """Return the reading of the schedule, and say or warn where cycles end."""
        schedule = self.schedule(run)
        self.cycle_ends = schedule.cycle_ends(FAR if run.updates is None else run.updates)
        self._end = schedule.steps
        doubt = end_warning(self.owner, run, schedule, self.cycle_ends)
        self._warned_of_end = doubt is not None
        if doubt is not None:
            warn(doubt)
        if (self.params or {}).get("verbose") and self.cycle_ends:
            ends = in_words(run, self.cycle_ends)
            print(f"{self.owner}: cycles end after {ends}; use the weights of one of these.")
        return DrivenSchedules(BoundSchedule(run, "the schedule", schedule))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin. Called by `fit`."""
        super().on_train_begin(logs)
        if self._position is None:
            return
        try:
            reset = OptimizerReset(self.model, self.owner) if self._reset_optimizer else None
        except BaseException:
            self.restore()
            raise
        arguments = (self.cycle_ends, self._end, self._snapshots, reset)
        self._hook = CycleHook(self.owner, self.model, self._position, *arguments)
        self.events = self._hook.events
        attach(self.model, self._hook)  # after the driver, which moves the position on

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go to the epoch's first step. Called by `fit`."""
        super().on_epoch_begin(epoch, logs)
        if not self._begun and self._position is not None:
            self._snapshots.begin(self.model, self._position.update, self.cycle_ends)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write snapshots; speak of a cycle that is over. Called by `fit`."""
        super().on_train_batch_end(batch, logs)
        if self._snapshots.unwritten:
            self._snapshots.write(self.model)
        if self._position is not None and not self._position.epoch_over:
            self._report_cycle_ends(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Speak of a cycle that ended with the epoch. Called by `fit`."""
        super().on_epoch_end(epoch, logs)
        self._report_cycle_ends(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Warn of a cycle cut off; give the optimizers their settings back. Called by `fit`."""
        position = self._position
        if position is not None and not self._warned_of_end and self._inside(position):
            rule = "the fit was stopped inside a cycle, where the learning rate is high"
            fix = "Use the weights of the last cycle's end, as snapshots=1 keeps them"
            warn(complaint(self.owner, rule, fix, update=position.update, ends=self.cycle_ends))
        super().on_train_end(logs)

    def restore(self) -> None:
        """Give the optimizers their own settings back. See `LRScheduler`."""
        if self._hook is not None:
            detach(self._model, self._hook)
            self._hook = None
        super().restore()

    @property
    def snapshots(self) -> list[keras.Model]:
        """Copies of the model with the weights of the last cycle ends, made at each access."""
        return copies(self.model, self._sets()) if len(self._snapshots) else []

    def ensemble(self) -> keras.Model:
        """Return a model that averages the predictions of all snapshots.

        It takes what the model takes and gives what it gives: the mean of probabilities, if that
        is what the model puts out. It is an ordinary model, not compiled; compile it to evaluate.

        Returns:
            A functional model, which can be saved and loaded without this library, where the
            model's configuration tells all of it; else an `Ensemble` with `members`, each of which
            predicts, is evaluated and saved as the model is.

        Raises:
            RuntimeError: If there is no snapshot yet.
        """
        return ensemble(self.model, self._sets())

    def average(self, x: Any = None, *, batch_size: int | None = None) -> keras.Model:
        """Return a model with the mean of all snapshots' weights (SWA).

        Args:
            x: Training data, as `Model.fit` takes it, for new BatchNorm statistics: those of the
                snapshots belong to other weights. Needed only where there are such layers.
            batch_size: Samples per batch for arrays; None for Keras' 32.

        Returns:
            A copy of the model, not compiled.

        Raises:
            RuntimeError: If there is no snapshot yet.
            ValueError: If the model has BatchNorm layers and `x` is None.
        """
        return average(self.model, self._sets(), x, batch_size, self.owner)

    def _sets(self) -> list[Weights]:
        if len(self._snapshots) == 0:
            rule = "there is no snapshot"
            fix = "Pass snapshots=5 or so, and fit to the end of a cycle"
            raise RuntimeError(complaint(self.owner, rule, fix, snapshots=self._snapshots.keep))
        return self._snapshots.weights(self.model)

    def _report_cycle_ends(self, logs: dict[str, Any] | None) -> None:
        if self._hook is None:
            return
        over, self._hook.over = self._hook.over, []
        if self._on_cycle_end is None or not over:
            return
        _ = self.model  # on JAX, asking for it hands it its weights, which the function may use
        for cycle in over:
            self._on_cycle_end(cycle, logs or {})

    def _inside(self, position: FitPosition) -> bool:
        update = position.update
        if position.run.may_be_part and update == position.run.updates:
            return False  # the next fit of a loop may go on
        over = self._end is not None and update >= self._end
        return update > 0 and update not in self.cycle_ends and not over
