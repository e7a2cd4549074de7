"""`WeightAverage`: an exponential or an equal average of the weights, in any fit."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from keras_lr._engine.hooks import remove_stale_hooks
from keras_lr._engine.restoring import RestoringCallback
from keras_lr._keras.variables import read_variable
from keras_lr.callbacks.saved.epoch_files import EpochFiles
from keras_lr.callbacks.saved.judge import Judge
from keras_lr.callbacks.weight_average.averaging import OWNER, Decay, Timing, decays_of
from keras_lr.callbacks.weight_average.run import AverageRun, Wishes
from keras_lr.callbacks.weight_average.saved import check_state, packed, unpacked
from keras_lr.callbacks.weight_average.statistics import check_batch_norm
from keras_lr.errors import check_choice, check_path, complaint


class WeightAverage(RestoringCallback):
    r"""Average the weights in training, and leave the average in the model.

    With $\theta_t$ the $t$-th set of weights that is averaged, from $t = 0$ on,

    $$a_0 = \theta_0, \quad a_t = d_t a_{t-1} + (1 - d_t) \theta_t, \quad
    d_t = \min\left(d, \frac{1 + t}{10 + t}\right)$$

    is the exponential moving average with decay $d$: the warm-up of $d_t$ lets it forget the first
    weights soon. For `decay=None`, $d_t = t / (t + 1)$: the equal average, as in Polyak averaging,
    or with `start_epochs` and `every_epochs`, SWA. The statistics of BatchNorm layers are averaged
    in the same way. Averages are kept in float32 at least.

    It works with any optimizer, schedule and driver, and does not touch the training: its steps are
    to the bit the same as without the callback. Updates are counted, not batches, under gradient
    accumulation; one that loss scaling skips is left out. In `fit`,

    - validation, and `evaluate` or `predict` in other callbacks,
    - whatever is saved or copied: `ModelCheckpoint`, `EarlyStopping(restore_best_weights=True)`,
    - and the model that `fit` leaves behind

    have the average. `BackupAndRestore` has the training weights, and `backup_dir` keeps the
    averages beside them. Weights that another callback sets are taken for the average, and training
    goes on from them. A direct call of the model has the training weights, and so has a model whose
    fit was cut off by an exception.

    With several decays, each validation evaluates all of them; its results, and what is saved and
    shown until the next one, are those of the best by `monitor`. The others are in the logs as
    `val_loss_decay_0.98` and so on.

    A fit that begins at epoch 0 begins a new average. One that goes on where the last one of this
    callback ended goes on from its training weights, which are put back in first.

    Args:
        decay: Decay of the exponential average in [0, 1), several, or None for the equal average.
        start_epochs: Epochs before the averages begin.
        start_steps: Updates before they begin, instead.
        every_steps: Average the weights after every this many updates, counted from the start.
        every_epochs: Or at the end of every this many epochs.
        keep: What `fit` leaves in the model: `"average"`, the average at its end; `"best"`, the
            average as it was when it evaluated best; `"last"`, the training weights.
        monitor: The metric in the logs by which the best epoch and the best decay are found.
        mode: `"min"`, `"max"`, or `"auto"` to infer it from the metric.
        batch_norm: From what BatchNorm statistics are recomputed at the end of `fit`: training
            inputs as `fit` takes them; how many of the fit's own batches; None for all of them;
            False to keep the averaged statistics. `keep="best"` with None keeps those that
            validation saw.
        backup_dir: Save the averages here each epoch, so that an interrupted run resumes exactly.
            Use the same directory for `keras.callbacks.BackupAndRestore`, listed after this one.

    Attributes:
        kept: The decay of the average that is shown or was kept; None for the equal average.
        averages: For each decay the weights, in the order of `Model.get_weights`.
        best: The best monitored value, with `keep="best"`; None before.
        best_epoch: The epoch, from 0 on, that ended with it; None before.

    Raises:
        TypeError: At construction if an argument is not of the kind asked for.
        ValueError: At construction if an argument is out of bounds, or excludes another one. In
            `fit` if `monitor` is needed and not in the logs; if there are BatchNorm layers and the
            data can be read only once; or if something else shows an average in the same fit.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import WeightAverage
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.1), "mse")
        >>> x = np.ones((32, 4))
        >>> average = WeightAverage(decay=(0.9, 0.99))
        >>> history = model.fit(
        ...     x, x[:, :1], validation_data=(x, x[:, :1]), callbacks=[average], verbose=0
        ... )
        >>> after = model.evaluate(x, x[:, :1], verbose=0)
        >>> bool(np.isclose(history.history["val_loss"][-1], after))
        True

    Reference:
        Polyak & Juditsky 1992, SIAM J. Control Optim. 30(4); Izmailov et al. 2018,
        arXiv 1803.05407 (SWA). The warm-up is that of TensorFlow's
        `tf.train.ExponentialMovingAverage` with `num_updates`.
    """

    def __init__(
        self,
        decay: Decay | Sequence[Decay] = 0.999,
        *,
        start_epochs: int | None = None,
        start_steps: int | None = None,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        keep: Literal["average", "best", "last"] = "average",
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        batch_norm: Any = None,
        backup_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        decays = decays_of(decay)
        check_choice(OWNER, ("average", "best", "last"), keep=keep)
        judge = Judge(OWNER, monitor, mode)
        if len(decays) > 1 and not judge.on_validation:
            rule = "only validation can tell several decays apart"
            raise ValueError(
                complaint(OWNER, rule, 'Pass "val_loss", or one decay', monitor=monitor)
            )
        check_batch_norm(batch_norm)
        self._wishes = Wishes(
            decays=decays,
            timing=Timing(start_epochs, start_steps, every_steps, every_epochs),
            judge=judge,
            keep=keep,
            batch_norm=batch_norm,
        )
        self._files: EpochFiles | None = None
        if backup_dir is not None:
            check_path(OWNER, "Pass the one that BackupAndRestore has", backup_dir=backup_dir)
            self._files = EpochFiles(OWNER, backup_dir, "weight_average")
        self._run: AverageRun | None = None
        self._former: AverageRun | None = None
        self._to_load: Mapping[str, Any] | None = None

    @property
    def kept(self) -> Decay:
        """The decay of the average that is shown, or that `fit` has left in the model."""
        return self._wishes.decays[0] if self._run is None else self._run.kept

    @property
    def best(self) -> float | None:
        """The best monitored value of an average so far, with `keep="best"`."""
        found = None if self._run is None else self._run.averages.best
        return None if found is None else found.value

    @property
    def best_epoch(self) -> int | None:
        """The epoch that ended with the best monitored value, with `keep="best"`."""
        found = None if self._run is None else self._run.averages.best
        return None if found is None else found.epoch

    @property
    def averages(self) -> dict[Decay, list[np.ndarray]]:
        """The average for each decay, as `Model.set_weights` takes it; none before the first."""
        run = self._run
        if run is None or run.averages.taken == 0:
            return {}
        found = {}
        for index, decay in enumerate(self._wishes.decays):
            values = run.averages.values(run.averages.arrays(index))
            found[decay] = [
                values[id(each)] if id(each) in values else read_variable(each)
                for each in self.model.weights
            ]
        return found

    def get_state(self) -> dict[str, Any]:
        """Return the averages, with the training weights, as numbers and NumPy arrays.

        Raises:
            RuntimeError: If no `fit` has begun yet.
        """
        if self._run is None or not self._run.begun:
            rule = "there is a state only once a fit has begun"
            raise RuntimeError(complaint(OWNER, rule, "Call fit first", state=None))
        self.model  # noqa: B018  brings the variables up to date on JAX
        return {**self._run.get_state(), "training": self._run.training_weights()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Make the next `fit` go on from a state, training weights included.

        Args:
            state: What `get_state` returned, in this process or another one.

        Raises:
            TypeError: If it is not a dictionary.
            ValueError: If parts of what `get_state` returns are missing or damaged.
        """
        check_state(state)
        self._to_load = state

    # --- what fit calls -------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the averages, once there are any, in the place of the weights. Called by `fit`."""
        self.restore()
        remove_stale_hooks(self.model)
        wishes = self._wishes
        if wishes.keep == "best" or len(wishes.decays) > 1:
            wishes.judge.check_logged(self.model)
        self._former, self._run = self._run, AverageRun(self.model, self._wishes, self._synced)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin, at the first epoch; follow what has been frozen or unfrozen. Called by `fit`."""
        run = self._run
        if run is None or run.over:
            return
        try:
            if not run.begun:
                given = self.params or {}  # a loop of one's own need not pass any
                run.begin(given.get("epochs") or 1, given.get("steps"))
                self._go_on(run, epoch)
                self._former = None
            run.begin_epoch(epoch)
        except ValueError:
            self.restore()
            raise

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look out for the update, in a loop of the user's own. Called by `fit`."""
        if self._run is not None and self._run.runner is not None:
            self._run.runner.begin_batch()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Average the weights after it. Called by `fit`."""
        if self._run is not None and self._run.runner is not None:
            self._run.runner.end_batch({} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the best average; save all. Called by `fit`."""
        run = self._run
        if run is None or run.over:
            return
        self._synced()
        run.end_epoch(epoch, logs or {})
        if self._files is not None:
            self._files.save(epoch + 1, *packed(run.get_state()))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the average in the model. Called by `fit`."""
        if self._run is None or self._run.over:
            return
        self._synced()
        self._run.end()
        if self._files is not None:
            self._files.remove()

    def restore(self) -> None:
        """Give the model its own methods back; it has the training weights.

        `fit` has this done when it ends. After an exception the next `fit` has it done; to have it
        at once, call this, or put a `with` block around `fit`.
        """
        if self._run is not None:
            self._run.stop()

    # --------------------------------------------------------------------------------------------

    def _synced(self) -> Any:
        return self.model  # which brings the variables up to date on JAX

    def _go_on(self, run: AverageRun, epoch: int) -> None:
        """Load what a former fit has left, if this one goes on from there."""
        if self._to_load is not None:
            state, self._to_load = self._to_load, None
            run.set_state(state)
        elif self._former is not None and run.go_on_from(self._former, epoch):
            return
        elif self._files is not None and epoch > 0:
            saved = self._files.load(epoch, unpacked)
            if saved is not None:
                run.set_state(saved)
