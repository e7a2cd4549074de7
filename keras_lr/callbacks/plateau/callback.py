"""`ReduceOnPlateauPlus`: the learning rate follows the loss, and the run survives it."""

import os
from collections.abc import Sequence
from typing import Any, Literal

from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.monitor import check_logged, has_validation_data
from keras_lr._engine.named_optimizers import Wanted, check_wanted
from keras_lr._keras.running_fit import running_fit
from keras_lr.callbacks.plateau.backup import PlateauBackup
from keras_lr.callbacks.plateau.controller import PlateauController
from keras_lr.callbacks.plateau.keras_attributes import KerasAttributes, size_of
from keras_lr.callbacks.plateau.parameters import check_monitor, check_switches
from keras_lr.callbacks.plateau.restore_points import Policy
from keras_lr.callbacks.plateau.run import PlateauRun
from keras_lr.callbacks.plateau.saved_state import check_state
from keras_lr.callbacks.plateau.scaled_rates import ScaledRates
from keras_lr.callbacks.plateau.state import OWNER, PlateauEvent
from keras_lr.callbacks.plateau.steps import PlateauSteps, steps_between
from keras_lr.callbacks.schedule.resumed import warn_of_fresh_optimizer
from keras_lr.errors import check_path, complaint


class ReduceOnPlateauPlus(KerasAttributes):
    """Lower the learning rate when a metric stops improving; recover when training breaks.

    Takes the place of `keras.callbacks.ReduceLROnPlateau`: the same arguments give the same
    learning rates. After `patience` evaluations in a row without improvement

        learning_rate = max(factor * learning_rate, min_lr, min_scale * starting learning rate),

    and an evaluation improves if it is better than the best one so far by more than `min_delta`
    (times the best one's size for `threshold_mode="rel"`).

    On an optimizer with a schedule, or beside `LRScheduler` or another driver of this library in
    the same `fit`, a scale factor on the schedule is reduced instead; `min_lr` and `max_lr` then
    bound the schedule's peak. Each reduction of an optimizer's own schedule recompiles the training
    step.

    Args:
        monitor: Any name in `logs`. If `frequency` is a number, only what training steps report, or
            `"batch_loss"`: the mean of the exact losses of the batches since the last evaluation.
        factor: What a reduction multiplies the learning rate by, between 0 and 1. A sequence gives
            one factor per reduction; its last one is used for all further reductions.
        patience: Evaluations without improvement before a reduction. Epochs without validation are
            not evaluations of a `val_` metric.
        verbose: 1 prints each event, 0 nothing.
        mode: `"min"`, `"max"`, or `"auto"` to infer it from the metric.
        min_delta: Smallest change that counts as an improvement; its sign is ignored, as in Keras.
        cooldown: As in Keras: evaluations after a change before counting resumes. The evaluation
            that made the change is one of them.
        min_lr: Lowest learning rate.
        threshold_mode: `"abs"`, or `"rel"` for `min_delta` as a fraction of the best value's size.
        min_scale: Lowest learning rate as a fraction of the starting one.
        eps: A reduction is skipped if it would change the rate by no more than this.
        max_reductions: Maximum number of reductions; None for no limit.
        stop_after: Stop training when nothing is left to reduce and this many consecutive
            evaluations brought no improvement; None never stops.
        smoothing: What is judged: None for the raw values, a float between 0 and 1 for their
            exponential moving average with this weight on the past, an integer for the average
            of the last N values.
        window_average: `"median"` or `"mean"`: how an integer `smoothing` averages.
        start_after: Evaluations ignored at the start.
        increase_factor: Above 1: multiply after `patience` consecutive improvements, to `max_lr`.
        max_lr: Highest learning rate that an increase may reach.
        restart: When nothing is left to reduce, jump back up instead.
        restart_decay: What the peak is multiplied by at each restart.
        max_rescues: How many times training may recover from a NaN or infinite metric or loss: it
            restores the best state, optimizer included, and cuts the rate. If that state fails
            again, or its training loss had already grown to four times that of the first batch, the
            starting state is restored. The next failure stops training. With 0 such a metric is
            just no improvement, as in Keras. Above 0, both states are kept in memory.
        restore_best_weights: Restore the weights that the best evaluation used, at each reduction
            and at the end of `fit`; also where the optimizer averages its weights.
        restore_optimizer: Restore the optimizer's variables with them, such as momenta.
        frequency: `"epoch"`, or evaluate every this many training steps.
        optimizers: What to scale, by name; None for all. Optimizers, as for `LRScheduler`; or
            groups of layers of an optimizer that `by_layer` has made, `["backbone"]`: only their
            factors are reduced. Several callbacks may each watch over other ones.
        backup_dir: Save the callback's state here each epoch, so that an interrupted run resumes
            exactly. Use the same directory for `keras.callbacks.BackupAndRestore` and list that
            callback after this one.
        reset: Whether each `fit` starts afresh. False continues from the state of the last one.
        strict: If `monitor` is not in the logs, True raises and False warns, as Keras does.

    Attributes:
        events: What happened, in order: a list of `PlateauEvent`.
        best, wait, cooldown_counter, monitor_op: As Keras has them, with `in_cooldown()`. They can
            be set in a fit, and so can Keras' arguments: that counts from the next evaluation on.

    Raises:
        TypeError: At construction if an argument is not of the kind asked for.
        ValueError: At construction if an argument is out of bounds. In `fit` if `monitor` is not in
            the logs or not a scalar, if its direction is not known, or if a name in `optimizers` is
            unknown.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import ReduceOnPlateauPlus
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.1), "mse")
        >>> plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=2, min_delta=1e9)
        >>> history = model.fit(
        ...     np.ones((8, 1)), np.ones((8, 1)), epochs=4, verbose=0, callbacks=[plateau]
        ... )
        >>> [(event.epoch, event.action, round(event.lr_after, 4)) for event in plateau.events]
        [(2, 'reduce', 0.05)]
        >>> np.round(history.history["learning_rate"], 4).tolist()
        [0.1, 0.1, 0.1, 0.05]

    Reference:
        `keras.callbacks.ReduceLROnPlateau`; `PlateauController` names the others it follows.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float | Sequence[float] = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        *,
        threshold_mode: Literal["abs", "rel"] = "abs",
        min_scale: float = 0.0,
        eps: float = 0.0,
        max_reductions: int | None = None,
        stop_after: int | None = None,
        smoothing: float | int | None = None,
        window_average: Literal["median", "mean"] = "median",
        start_after: int = 0,
        increase_factor: float | None = None,
        max_lr: float | None = None,
        restart: bool = False,
        restart_decay: float = 0.5,
        max_rescues: int = 0,
        restore_best_weights: bool = False,
        restore_optimizer: bool = False,
        frequency: Literal["epoch"] | int = "epoch",
        optimizers: Wanted = None,
        backup_dir: str | os.PathLike[str] | None = None,
        reset: bool = True,
        strict: bool = True,
    ) -> None:
        check_monitor(OWNER, monitor)
        check_switches(
            OWNER,
            verbose,
            restore_best_weights=restore_best_weights,
            restore_optimizer=restore_optimizer,
            reset=reset,
            strict=strict,
        )
        if backup_dir is not None:
            check_path(OWNER, "Pass the path of a folder, or None", backup_dir=backup_dir)
        super().__init__(monitor, mode, verbose)
        self._every = steps_between(frequency, monitor)
        self.controller = PlateauController(
            factor=factor,
            patience=patience,
            mode="min" if mode == "auto" else mode,
            min_delta=size_of(min_delta),
            threshold_mode=threshold_mode,
            cooldown=cooldown,
            min_lr=min_lr,
            min_scale=min_scale,
            eps=eps,
            max_reductions=max_reductions,
            stop_after=stop_after,
            smoothing=smoothing,
            window_average=window_average,
            start_after=start_after,
            increase_factor=increase_factor,
            max_lr=max_lr,
            restart=restart,
            restart_decay=restart_decay,
            max_rescues=max_rescues,
            name=OWNER,
        )
        self._policy = Policy(restore_best_weights, restore_optimizer, bool(verbose))
        self._optimizers = check_wanted(OWNER, optimizers)
        named = [getattr(each, "name", each) for each in self._optimizers or ()]
        labels = [monitor, *named]
        self._backup = None if backup_dir is None else PlateauBackup(backup_dir, labels)
        self._reset = reset
        self._strict = strict
        self._run: PlateauRun | None = None
        self._steps: PlateauSteps | None = None
        self._has_validation = False
        self._begun = self._unfinished = self._stepped = False
        self._to_load: dict[str, Any] | None = None

    @property
    def events(self) -> list[PlateauEvent]:
        """What happened since the first epoch of the present or last `fit`."""
        return [] if self._run is None else list(self._run.events)

    def get_state(self) -> dict[str, Any]:
        """Return the callback's state as plain values that JSON can hold.

        The best weights are not included.

        Raises:
            RuntimeError: If no `fit` has begun yet.
        """
        if self._run is None or self._steps is None:
            rule = "there is a state only once a fit has begun"
            raise RuntimeError(complaint(OWNER, rule, "Call fit first", state=None))
        return {**self._run.get_state(), "steps": self._steps.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Make the next `fit` continue from a state, learning rate and events included.

        Args:
            state: What `get_state` returned, in this process or another one.

        Raises:
            TypeError: If it is not a dictionary.
            ValueError: If parts of what `get_state` returns are missing or damaged.
        """
        check_state(state, self.controller.smoothing)
        self._to_load = state

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Get ready. Called by `fit`."""
        self._clean_up()  # after a fit that was cut off
        if self._strict:
            check_logged(OWNER, self.model, self.monitor)
        self._has_validation = has_validation_data(self.model)
        self._begun = self._stepped = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin, at the first epoch: only now has every other callback begun. Called by `fit`."""
        if not self._begun:
            self._begin(epoch)
            self._begun = True
        self._current.follow()
        self._current.begin_epoch(epoch)
        if self._steps is not None:
            self._steps.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin a step of a loop of the user's own. Called by `fit`."""
        if self._steps is not None and self._steps.runner is not None:
            self._steps.runner.begin_batch()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note that there are steps. Called by `fit`.

        Where no callback overrides this, Keras may run batch callbacks in another thread.
        """
        self._stepped = True
        if self._steps is not None and self._steps.runner is not None:
            self._steps.runner.end_batch({} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the learning rate and evaluate. Called by `fit`."""
        logs = {} if logs is None else logs
        run = self._current
        logged = {} if self._steps is None else self._steps.applied()
        for name, rate in logged.items():
            logs.setdefault(name, rate)  # those of a training loop of the user's own lack it
        run.follow()
        if self._steps is not None:
            self._steps.check_updates(stepped=self._stepped)
        if self._steps is not None:
            self._steps.end_epoch(logs, has_data=self._has_validation, strict=self._strict)
        if self._backup is not None:
            self._backup.save(epoch + 1, self.get_state(), self._current.restore_points.states)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the best weights, if asked to, and the learning rate. Called by `fit`."""
        self._clean_up()
        self._unfinished = False
        if self._begun:
            self._current.restore_points.leave_best()
        if self._backup is not None:
            self._backup.remove()

    @property
    def _current(self) -> PlateauRun:
        if self._run is None:
            raise RuntimeError(f"{OWNER}: an epoch ended that has not begun.")
        return self._run

    def _begin(self, epoch: int) -> None:
        earlier, earlier_steps = self._run, self._steps
        kept: tuple[dict[str, Any], dict[str, WeightCheckpoint]] | None = None
        if not self._reset and earlier is not None and earlier_steps is not None:
            # The weights are those of the last fit, or what has been made of them since.
            kept = {**self.get_state(), "went_back": None}, earlier.restore_points.states
        warn_of_fresh_optimizer(model := self.model, OWNER, epoch)
        rates = ScaledRates(model, self._optimizers)
        arguments = (self.monitor, self.controller, self._direction, self._policy)
        self._run = PlateauRun(model, *arguments, rates)
        self._steps = PlateauSteps(model, self._run, self.monitor, self._every)
        if self._to_load is not None:
            kept, self._to_load = (self._to_load, {}), None
        if self._backup is not None and epoch > 0:
            expected = kept is None and (earlier is None or self._unfinished)
            kept = self._backup.load(epoch, expected=expected) or kept
        self._unfinished = True
        if kept is not None:
            state, weights = kept
            check_state(state, self.controller.smoothing)
            self._run.set_state(state, weights)
            self._steps.set_state(state["steps"])
        else:
            self._run.check_floor()
        if self._every or rates.driven or self._run.rescues or running_fit(model) is not None:
            attach(model, self._steps)

    def _clean_up(self) -> None:
        if self._steps is not None and self._begun:
            detach(self.model, self._steps)
