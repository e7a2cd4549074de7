"""The result of `tune_lr`: a learning rate for the whole run, and the trials behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from keras.saving import deserialize_keras_object

from keras_lr.schedules import Schedule
from keras_lr.search.results import Result
from keras_lr.search.tune.climb import ProbeClimb, Trial
from keras_lr.search.tune.picture import TunePicture, picture_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TuneResult(Result):
    """A learning rate for a run of a given length, and the trials it was read from.

    Attributes:
        learning_rate: The learning rate to train with: constant, or the peak of `schedule`.
        trials: Every short trial, in the order they were run: log10 of its learning rate, and its
            score: the probe's loss after it, or the mean of that and the validation loss.
        untrained: The score of the untrained model.
        short_run_learning_rate: What suits a run as long as a trial: the lowest point of the
            parabola, before the correction for the length of the run.
        trial_steps: Updates per trial.
        total_steps: Updates of the run that was tuned for.
        beta: The exponent of the correction: how fast the best learning rate falls with length.
        cost_steps: Training steps spent, a range test included.
        schedule: What to compile the optimizer with, if a schedule was tuned, else None: the
            schedule times a factor, as one of `keras_lr.schedules`.
        finished: Whether the trials came to their end, or were interrupted.
        validated: Whether the trials were scored by validation data, too.

    Example:
        >>> from keras_lr import TuneResult
        >>> result = TuneResult(
        ...     learning_rate=0.02, trials=(), untrained=2.3, short_run_learning_rate=0.03,
        ...     trial_steps=50, total_steps=1000, beta=0.1, cost_steps=150)
        >>> result
        TuneResult(learning_rate=0.02, 0 trials of 50 steps for a run of 1000, cost 150 steps)
        >>> result.cost_share
        0.15
    """

    learning_rate: float
    trials: tuple[Trial, ...]
    untrained: float
    short_run_learning_rate: float
    trial_steps: int
    total_steps: int
    beta: float
    cost_steps: int
    schedule: Schedule | None = None
    finished: bool = True
    validated: bool = False

    picture_type: ClassVar[type] = TunePicture
    _readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "trials": lambda trials: tuple(Trial(*trial) for trial in trials),
        "schedule": deserialize_keras_object,
    }

    @property
    def cost_share(self) -> float:
        """Training steps spent, as a share of the run that was tuned for."""
        return self.cost_steps / self.total_steps

    @property
    def short_run_peak(self) -> float:
        """What suits a run as long as a trial that warms up and decays: see `ProbeClimb.peak`."""
        climb = ProbeClimb(self.trials[0].x, self.untrained, trials=self.trials)
        return float(10 ** climb.peak())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw trials, parabola, correction and choice: see `keras_lr.plot.tune`.

        Args:
            ax: Where to draw; None makes a figure.
        """
        from keras_lr.plot.tune import plot_tune

        return plot_tune(self, ax)

    def picture(self) -> TunePicture:
        """What `plot` draws, as plain data."""
        return picture_of(self)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per trial, in the order they were run: its learning rate and its score.

        Raises:
            ImportError: If pandas is not installed.
        """
        return super().to_dataframe()

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        rates = [10**trial.x for trial in self.trials]
        scores = [trial.score for trial in self.trials]
        return ("trial", range(len(rates))), {"learning_rate": rates, "score": scores}

    def __repr__(self) -> str:
        """The choice and what it cost."""
        cut = "" if self.finished else ", interrupted"
        return (
            f"TuneResult(learning_rate={self.learning_rate:.3g}, {len(self.trials)} trials of "
            f"{self.trial_steps} steps for a run of {self.total_steps}, "
            f"cost {self.cost_steps} steps{cut})"
        )
