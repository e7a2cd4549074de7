"""The result of `fit`: what was found, what was trained, and what was kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_lr.one_call.picture import FitPicture, picture_of
from keras_lr.one_call.plan import RunPlan
from keras_lr.one_call.training import Training
from keras_lr.schedules import Schedule
from keras_lr.search.range_test.curve import Floats
from keras_lr.search.results import Result
from keras_lr.search.tune.result import TuneResult

if TYPE_CHECKING:
    import pandas as pd


def history_from(values: Mapping[str, Any]) -> keras.callbacks.History:
    """Return the History that `FitResult.to_dict` wrote down, without its model."""
    history = keras.callbacks.History()
    history.epoch, history.history = list(values["epoch"]), dict(values["history"])
    return history


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FitResult(Result):
    """A training run with a learning rate of its own: how it was found, and how it went.

    Attributes:
        history: Keras' History of the training.
        tuning: The trials, and what was read from them; None without trials.
        schedule: The learning rate of each update of the training, from 0 on.
        peak: The highest learning rate, which the optimizer has now.
        peak_source: `"trials"`; `"default"`, the optimizer's, as no trial lowered the loss;
            `"short"`, twice that, as there was no room for trials; `"given"`, by `tune`; or
            `"optimizer"`, its own, by `tune=False`.
        total_steps: Updates there were to spend.
        training_steps: Updates of the training; fewer than are left if something has ended it.
        learning_rates: float32[training_steps], the rate applied in each update.
        epoch_ends: For each epoch the updates made at its end.
        kept: What the model has been left with: `"last"`, the weights of the last update, or such
            as `"average 0.98"`, their moving average. A callback that sets weights at the end, as
            `EarlyStopping(restore_best_weights=True)` does, comes later.
        kept_value: Its value of `monitor`, where weights were chosen by it; else None.
        kept_epoch: The epoch that ended with them, from 0 on, where the best epoch was kept.
        monitor: The metric by which they were chosen.
        interrupted: Whether Ctrl-C has ended the training.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import fit
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((32, 4))
        >>> fit(model, x, x[:, :1], epochs=30, batch_size=8, tune=0.1, verbose=0)
        FitResult(peak=0.1, as given; 0 of 120 updates tuning, 120 training; kept: last weights)
    """

    history: keras.callbacks.History
    tuning: TuneResult | None
    schedule: Schedule
    peak: float
    peak_source: str
    total_steps: int
    training_steps: int
    learning_rates: Floats
    epoch_ends: tuple[int, ...]
    kept: str = "last"
    kept_value: float | None = None
    kept_epoch: int | None = None
    monitor: str = "val_loss"
    interrupted: bool = False

    def __post_init__(self) -> None:
        """Copy and lock the learning rates."""
        object.__setattr__(self, "learning_rates", np.asarray(self.learning_rates, "float32"))
        super().__post_init__()

    picture_type: ClassVar[type] = FitPicture
    _readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "history": history_from,
        "tuning": TuneResult.from_dict,
        "schedule": keras.saving.deserialize_keras_object,
        "epoch_ends": tuple,
    }

    def picture(self) -> FitPicture:
        """What `plot` draws, as plain data."""
        return picture_of(self)

    @property
    def tuning_steps(self) -> int:
        """Updates spent on the trials."""
        return 0 if self.tuning is None else self.tuning.cost_steps

    def plot(self, axes: Any = None) -> "np.ndarray[Any, np.dtype[Any]]":
        """Draw the trials, the learning rate and the loss: see `keras_lr.plot.fit`.

        Args:
            axes: Three axes to draw on; None makes a figure.

        Returns:
            The axes.
        """
        from keras_lr.plot.fit import plot_fit

        return plot_fit(self, axes)

    def to_dataframe(self) -> "pd.DataFrame":
        """A row for each epoch: the updates made at its end, and its logs.

        Raises:
            ImportError: If pandas is not installed.
        """
        return super().to_dataframe()

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        epochs, logs = self.history.epoch, self.history.history
        # Validation is not in every epoch with `validation_freq`; Keras' lists do not say in which.
        columns = {name: each for name, each in logs.items() if len(each) == len(epochs)}
        return ("epoch", epochs), {"update": list(self.epoch_ends)[: len(epochs)], **columns}

    def __repr__(self) -> str:
        """What was found, what was spent, and what was kept."""
        found = {
            "trials": f"{len(self.tuning.trials) if self.tuning else 0} trials",
            "default": "the default, as no trial lowered the loss",
            "short": "twice the default, as the run is short",
            "given": "as given",
            "optimizer": "the optimizer's own",
        }[self.peak_source]
        kept = "last weights" if self.kept == "last" else self.kept
        if self.kept_epoch is not None:
            kept += f" of epoch {self.kept_epoch + 1}"
        if self.kept_value is not None:
            kept += f" ({self.monitor} {self.kept_value:.4g})"
        cut = ", interrupted" if self.interrupted else ""
        return (
            f"FitResult(peak={self.peak:.3g}, {found}; {self.tuning_steps} of {self.total_steps} "
            f"updates tuning, {self.training_steps} training{cut}; kept: {kept})"
        )


def result_of(
    training: Training,
    plan: RunPlan,
    schedule: Schedule,
    history: keras.callbacks.History,
    monitor: str,
) -> FitResult:
    """Return the result of a training that is over."""
    driver, choice = training.driver, training.choice
    kept, value, epoch = "last", None, None
    if choice is not None and choice.chosen is not None:
        decay, value, epoch = choice.chosen
        kept = "equal average" if decay is None else f"average {decay:g}" if decay else "last"
    return FitResult(
        history=history,
        tuning=plan.tuning,
        schedule=schedule,
        peak=plan.peak,
        peak_source=plan.source,
        total_steps=plan.total,
        training_steps=len(driver.learning_rates),
        learning_rates=np.array(driver.learning_rates, "float32"),
        epoch_ends=tuple(driver.epoch_ends),
        kept=kept,
        kept_value=value,
        kept_epoch=epoch,
        monitor=monitor,
        interrupted=training.interrupted,
    )
