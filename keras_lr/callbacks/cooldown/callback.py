"""`Cooldown`: the learning rate down to zero on demand, then the end of the fit."""

import os
from collections.abc import Mapping
from typing import Any, Literal

from keras_lr._engine.hooks import remove_stale_hooks
from keras_lr._engine.named_optimizers import Wanted, check_wanted
from keras_lr._engine.restoring import RestoringCallback
from keras_lr.callbacks.cooldown.descent import OWNER, SHAPES, Shape, seconds_of
from keras_lr.callbacks.cooldown.run import CooldownRun
from keras_lr.callbacks.cooldown.saved import checked_state
from keras_lr.callbacks.cooldown.wishes import Wishes
from keras_lr.callbacks.saved.epoch_files import EpochFiles
from keras_lr.callbacks.saved.judge import MODES, Judge
from keras_lr.errors import (
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_path,
    complaint,
)


class Cooldown(RestoringCallback):
    r"""Let the learning rate fall to zero over the last updates of a fit, whenever these begin.

    From the update on at which it begins, where the learning rate stands at $\eta$, update $k$ of
    the $n$ updates of the cooldown has

    $$\eta \left(1 - \frac{k}{n}\right) \quad \text{or} \quad
    \eta \left(1 - \sqrt{k / n}\right), \qquad k = 0 \ldots n - 1,$$

    and then the fit stops. Whatever of these comes first begins it: `at_step`, `at_epoch`, a metric
    that has stalled, the time limit `within`, Ctrl-C, or a call of `begin()`. If less than $n$
    updates are left of the fit, or of the time, those that are left are its length.

    It works on top of any optimizer and driver. $\eta$ is the rate that a driver or a schedule in
    the optimizer gives at its first update, and their further course counts no more; a plateau's
    reductions made before do. Momentum and weight decay stay with their driver. Each update has its
    own rate, also under `steps_per_execution`; only a beginning on demand waits there for the next
    execution. A schedule in the optimizer is exchanged once for the cooldown, which compiles the
    step once more. The applied rate is in the logs as `learning_rate`. After the fit, and in
    whatever is saved during the cooldown, the optimizer has the rate or the schedule from before.

    **Ctrl-C** during `fit` in the main thread begins the cooldown; pressed again, or during the
    cooldown, it stops at once as without the callback.

    A fit that goes on past `at_step` or `at_epoch` goes on in the cooldown; where that began on
    demand, the same callback, `backup_dir` or `get_state` remembers. So a loop of fits over single
    epochs comes down in all of them together; it should end once `model.stop_training` is True. A
    fit from epoch 0 on begins afresh.

    Args:
        steps: Length of the cooldown in updates.
        epochs: Or in epochs; a fraction is possible.
        shape: `"linear"`, or `"1-sqrt"`, which falls faster at first.
        at_step: Begin it before this update, counted from 0 at the beginning of epoch 0.
        at_epoch: Begin it with this epoch, counted from 0.
        monitor: Begin it when this metric in the logs of epochs has stalled.
        patience: Epochs without improvement that make it stalled.
        mode: `"min"`, `"max"`, or `"auto"` to infer it from the metric.
        min_delta: Smallest change that counts as an improvement.
        within: Begin it in time for the fit to end within so long from its beginning, in seconds or
            as `"2h"`, `"1h30m"`, `"45s"`, by the measured time of steps and of what lies between
            epochs. If steps become slower meanwhile it is shortened; with a schedule in the
            optimizer, cut off.
        on_interrupt: Whether Ctrl-C begins it.
        optimizers: Whose learning rates come down, as for `LRScheduler`. Default: those that
            another callback drives, and those of all that the model is compiled with.
        backup_dir: Save its state here each epoch, so that an interrupted run resumes exactly. Use
            the same directory for `keras.callbacks.BackupAndRestore`, listed after this one.

    Attributes:
        begun_at: The update at which it began; None before.
        reason: What began it: `"step"`, `"epoch"`, `"stalled"`, `"within"`, `"interrupt"` or
            `"begin"`; None before.

    Raises:
        TypeError: At construction if an argument is not of the kind asked for.
        ValueError: At construction if an argument is out of bounds, or not one of `steps` and
            `epochs` is given, or `patience` or `monitor` without the other. In `fit` if a length in
            epochs meets data of unknown length, if `monitor` is not in the logs, or if there are
            two of these callbacks.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import Cooldown
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.1), "mse")
        >>> x = np.ones((32, 4))
        >>> history = model.fit(
        ...     x, x[:, :1], epochs=9, batch_size=32, callbacks=[Cooldown(4, at_step=2)], verbose=0
        ... )
        >>> print(np.round(history.history["learning_rate"], 3))
        [0.1   0.1   0.1   0.075 0.05  0.025]

    Reference:
        Hägele et al. 2024, arXiv 2405.18392, for both shapes.
    """

    def __init__(
        self,
        steps: int | None = None,
        epochs: float | None = None,
        *,
        shape: Shape = "linear",
        at_step: int | None = None,
        at_epoch: int | None = None,
        monitor: str | None = None,
        patience: int | None = None,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
        within: str | float | None = None,
        on_interrupt: bool = True,
        optimizers: Wanted = None,
        backup_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        fix = "Pass steps=1000, or epochs=2"
        if (steps is None) == (epochs is None):
            rule = "it needs a length, in updates or in epochs"
            raise ValueError(complaint(OWNER, rule, fix, steps=steps, epochs=epochs))
        if steps is not None:
            check_integer(OWNER, fix, at_least=1, steps=steps)
        else:
            check_number(OWNER, fix, above=0.0, epochs=epochs)
        check_choice(OWNER, SHAPES, shape=shape)
        for name, value in {"at_step": at_step, "at_epoch": at_epoch}.items():
            if value is not None:
                check_integer(OWNER, "Count from epoch 0 on", at_least=0, **{name: value})
        if (monitor is None) != (patience is None):
            rule = "monitor and patience belong together"
            fix = 'Pass both, such as monitor="val_loss", patience=5'
            raise ValueError(complaint(OWNER, rule, fix, monitor=monitor, patience=patience))
        check_number(OWNER, "Pass 0 for any change", at_least=0.0, min_delta=min_delta)
        check_choice(OWNER, MODES, mode=mode)
        judge = None
        if monitor is not None:
            check_integer(OWNER, "Count in epochs", at_least=1, patience=patience)
            judge = Judge(OWNER, monitor, mode)
        check_bool(OWNER, on_interrupt=on_interrupt)
        self._wishes = Wishes(
            steps=steps,
            epochs=epochs,
            shape=shape,
            at_step=at_step,
            at_epoch=at_epoch,
            judge=judge,
            patience=patience or 1,
            min_delta=min_delta,
            within=None if within is None else seconds_of(within),
            on_interrupt=bool(on_interrupt),
            optimizers=check_wanted(OWNER, optimizers),
        )
        self._files: EpochFiles | None = None
        if backup_dir is not None:
            check_path(OWNER, "Pass the one that BackupAndRestore has", backup_dir=backup_dir)
            self._files = EpochFiles(OWNER, backup_dir, "cooldown")
        self._to_load: Mapping[str, Any] | None = None
        self._run: CooldownRun | None = None
        self._former: CooldownRun | None = None
        self._asked = False

    @property
    def begun_at(self) -> int | None:
        """The update at which the cooldown began; None before."""
        return None if self._run is None else self._run.begun_at

    @property
    def reason(self) -> str | None:
        """What began the cooldown; None before."""
        return None if self._run is None else self._run.reason

    def begin(self) -> None:
        """Begin the cooldown with the next update; under `steps_per_execution`, execution.

        Can be called from another callback or thread. Outside of a fit, the next begins with it.
        """
        if self._run is None or self._run.over:
            self._asked = True
        else:
            self._run.asked = "begin"

    def get_state(self) -> dict[str, Any]:
        """Return the callback's state as plain values that JSON can hold.

        Raises:
            RuntimeError: If no `fit` has begun yet.
        """
        if self._run is None or self._run.steps is None:
            rule = "there is a state only once a fit has begun"
            raise RuntimeError(complaint(OWNER, rule, "Call fit first", state=None))
        return self._run.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Make the next `fit` go on from a state.

        Args:
            state: What `get_state` returned, in this process or another one.

        Raises:
            TypeError: If it is not a dictionary.
            ValueError: If parts of what `get_state` returns are missing or damaged.
        """
        self._to_load = checked_state(state)

    # --- what fit calls -------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look at the clock, and wait for Ctrl-C. Called by `fit`."""
        self.restore()
        model = self.model
        remove_stale_hooks(model)
        if self._wishes.judge is not None:
            self._wishes.judge.check_logged(model)
        given = self.params or {}  # a loop of one's own need not pass any
        self._former = self._run
        self._run = CooldownRun(model, self._wishes, given.get("epochs"), given.get("steps"))
        if self._asked:
            self._run.asked, self._asked = "begin", False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go to the epoch's first step, or on from a former fit. Called by `fit`."""
        run = self._run
        if run is None or run.over:
            return
        self.model  # noqa: B018  brings the variables up to date on JAX
        try:
            if run.begin_epoch(epoch):
                self._go_on(run, epoch)
                run.check_goes_on(epoch)
        except ValueError:
            self.restore()
            raise

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the cooldown if it is time to. Called by `fit`."""
        run = self._run
        if run is None or run.over:
            return
        if run.pace is not None:
            run.pace.begin_batch(batch)
        self._look(run)
        if run.steps is not None:
            run.steps.runner.begin_batch()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the clock. Called by `fit`."""
        run = self._run
        if run is None or run.over:
            return
        if run.pace is not None:
            run.pace.end_batch()
        if run.steps is not None and not run.steps.runner.session.is_fit:
            run.steps.runner.end_batch({} if logs is None else logs)
            self._look(run)  # before another callback begins the next batch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """See whether the metric has stalled; save the state. Called by `fit`."""
        if self._run is None or self._run.over:
            return
        self.model  # noqa: B018  brings the variables up to date on JAX
        try:
            self._run.end_epoch({} if logs is None else logs)
        except ValueError:
            self.restore()
            raise
        if self._files is not None:
            self._files.save(epoch + 1, self._run.get_state(), {})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give the optimizers their own rates back. Called by `fit`."""
        if self._run is not None:
            self._run.ended = not self._run.over
        self.restore()
        if self._files is not None:
            self._files.remove()

    def restore(self) -> None:
        """Give the optimizers their own rates back, and Ctrl-C its own meaning.

        `fit` has this done when it ends, and when a training step raises; where another callback
        or the data raises, the next `fit` or `train_on_batch` has it done. To have it at once, call
        this, or put a `with` block around `fit`.
        """
        if self._run is not None:
            self._run.stop()

    def _look(self, run: CooldownRun) -> None:
        """Begin the cooldown if it is time to."""
        begin = run.due()
        if begin is not None:
            self.model  # noqa: B018  brings the variables up to date on JAX
            run.prepare(begin)

    def _go_on(self, run: CooldownRun, epoch: int) -> None:
        """Go on from what a former fit has left, if this one is to."""
        state, self._to_load = self._to_load, None
        former, self._former = self._former, None
        if state is not None:
            run.set_state(state)
        elif former is not None and former.ended:
            if run.asked is None:
                run.go_on_from(former, epoch)
        elif self._files is not None and epoch > 0:
            saved = self._files.load(epoch, lambda plain, _: checked_state(plain))
            if saved is not None:
                run.set_state(saved)
