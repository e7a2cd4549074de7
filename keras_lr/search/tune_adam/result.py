"""The result of `tune_adam`: a learning rate, its decay, and every trial."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from keras_lr.schedules import Schedule
from keras_lr.search.results import Result
from keras_lr.search.tune_adam.map_picture import map_of
from keras_lr.search.tune_adam.picture import AdamTunePicture, curves_of
from keras_lr.search.tune_adam.run import State
from keras_lr.search.tune_adam.shapes import Shape, schedule_of
from keras_lr.search.tune_adam.space import Range
from keras_lr.search.tune_adam.surface import Surface

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class AdamTrial:
    """One training run of the search.

    Attributes:
        number: Its number in the study.
        lr: Learning rate of the first update; of the shape "linear" the highest one.
        decay: Decay per update; 0 for a shape that is no decay.
        final_share: Share of the learning rate left in the last update of a whole run.
        weight_decay: None if it was not searched.
        momentum: None if it was not searched.
        repeat: 0 in the search; 1, 2, ... where a leading setting was run again on other batches.
        state: `"complete"`, `"pruned"` or `"diverged"`.
        loss: Validation loss where it ended; infinite if it diverged.
        steps: Updates made.
        shape: How the learning rate ran: `"constant"`, `"decay"`, or `"linear"`, warm-up through
            5 % of the run and a straight line to zero.
    """

    number: int
    lr: float
    decay: float
    final_share: float
    weight_decay: float | None
    momentum: float | None
    repeat: int
    state: State
    loss: float
    steps: int
    shape: Shape = "decay"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AdamTuneResult(Result):
    """A learning rate and its shape for a run of a given length, and the trials they came from.

    Attributes:
        lr: The learning rate of the first update; of the shape "linear" the highest one.
        decay: The decay per update: update i uses `lr / (1 + decay * i)`. 0 for other shapes.
        final_share: The share of `lr` left in the last update.
        weight_decay: None if it was not searched.
        momentum: `beta_1`, or `momentum` where the optimizer has that; None if not searched.
        loss: Validation loss at the end of the run: what the surface says there, or the mean over
            the repeats.
        standard_error: Of the difference between the best shape's lowest loss on the surface and
            another's, or of two settings' mean losses; None if the noise is not known.
        within_noise: Whether another setting is as good as far as can be told: within one standard
            error of the lowest loss. None if the noise is not known. It is the noise of other
            batches from the same weights: that of other weights to begin with, and of other
            validation data, is not in it and may be larger.
        ties: The settings that are as good as the best as far as can be told, the chosen one
            included: their first runs.
        chosen: The chosen setting's first run; of a surface the run nearest to its lowest point.
        trials: Every run, in the order of their numbers.
        lr_range: The learning rates searched.
        total_steps: Updates of the run that was tuned for.
        cost_steps: Training steps spent, by all processes.
        finished: Whether the search came to its end, or was interrupted.
        momentum_name: What the optimizer calls its momentum; None if it was not searched.
        study: The Optuna study, for all of Optuna's own plots.
        shape: How the learning rate runs: `"constant"`, `"linear"` or `"decay"`; see `tune_adam`.
        surface: The fitted `Surface`; None where another sampler was asked for.

    Example:
        >>> from keras_lr import AdamTuneResult
        >>> from keras_lr.search.tune_adam.result import AdamTrial
        >>> trial = AdamTrial(
        ...     number=0, lr=0.01, decay=0.09, final_share=0.1, weight_decay=None, momentum=None,
        ...     repeat=0, state="complete", loss=0.5, steps=100)
        >>> AdamTuneResult(
        ...     lr=0.01, decay=0.09, final_share=0.1, weight_decay=None, momentum=None, loss=0.5,
        ...     standard_error=None, within_noise=None, ties=(trial,), chosen=trial,
        ...     trials=(trial,), lr_range=(0.003, 0.3), total_steps=100, cost_steps=100,
        ...     finished=True, momentum_name=None, study=None)
        AdamTuneResult(lr=0.01, decay=0.09; 10% of lr left after 100 steps; loss 0.5,
        noise not known; 1 trials, cost 100 steps)
    """

    lr: float
    decay: float
    final_share: float
    weight_decay: float | None
    momentum: float | None
    loss: float
    standard_error: float | None
    within_noise: bool | None
    ties: tuple[AdamTrial, ...]
    chosen: AdamTrial
    trials: tuple[AdamTrial, ...]
    lr_range: Range
    total_steps: int
    cost_steps: int
    finished: bool
    momentum_name: str | None
    study: Any = field(default=None, compare=False)
    shape: Shape = "decay"
    surface: Surface | None = None

    picture_type: ClassVar[type] = AdamTunePicture
    _readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "trials": lambda trials: tuple(AdamTrial(**trial) for trial in trials),
        "ties": lambda ties: tuple(AdamTrial(**tie) for tie in ties),
        "chosen": lambda trial: AdamTrial(**trial),
        "lr_range": tuple,
        "surface": Surface.from_dict,
    }

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a schedule of the run, for any optimizer."""
        return schedule_of(self.shape, self.lr, self.final_share, self.total_steps)

    @property
    def as_good(self) -> Range | None:
        """The learning rates of this shape that one run cannot tell from `lr`, by the surface.

        None if there is no surface, or its noise is not known.
        """
        return None if self.surface is None else self.surface.as_good(self.shape)

    @property
    def arguments(self) -> dict[str, Any]:
        """What was chosen, for `keras_lr.Adam(**result.arguments)` and its kin.

        `lr` is a number, or for the shape "linear" a schedule.
        """
        rate = self.schedule if self.shape == "linear" else self.lr
        found: dict[str, Any] = {"lr": rate, "decay": self.decay}
        if self.weight_decay is not None:
            found["weight_decay"] = self.weight_decay
        if self.momentum_name is not None and self.momentum is not None:
            found[self.momentum_name] = self.momentum
        return found

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the map of losses over lr and decay: see `keras_lr.plot.tune_adam`.

        Args:
            ax: Where to draw; None makes a figure.
        """
        from keras_lr.plot.tune_adam import plot_tune_adam

        return plot_tune_adam(self, ax)

    def picture(self) -> AdamTunePicture:
        """What `plot` draws, as plain data: curves of a result with a surface, else a map."""
        return map_of(self) if self.surface is None else curves_of(self, self.surface)

    def to_dataframe(self) -> "pd.DataFrame":
        """The trials as a pandas DataFrame, one row each, indexed by their numbers.

        Raises:
            ImportError: If pandas is not installed.
        """
        return super().to_dataframe()

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        rows = [vars(trial) for trial in self.trials]
        names = [each.name for each in fields(AdamTrial) if each.name != "number"]
        columns = {name: [row[name] for row in rows] for name in names}
        return ("number", [row["number"] for row in rows]), columns

    def __repr__(self) -> str:
        """The choice, how sure it is, and what it cost."""
        numbers = {**self.arguments, "lr": self.lr}
        found = ", ".join(f"{name}={value:.3g}" for name, value in numbers.items())
        cut = "" if self.finished else ", interrupted"
        return (
            f"AdamTuneResult({found}; {self._shape_in_words()}; loss {self.loss:.4g}, "
            f"{self._noise_in_words()}; {len(self.trials)} trials, cost {self.cost_steps} "
            f"steps{cut})"
        )

    def _shape_in_words(self) -> str:
        if self.shape == "constant":
            return "constant"
        if self.shape == "linear":
            return f"warm-up and linear to zero in {self.total_steps} steps"
        return f"{self.final_share:.0%} of lr left after {self.total_steps} steps"

    def _noise_in_words(self) -> str:
        if self.within_noise is None:
            words = "noise not known"
        elif self.within_noise:
            kind, others = (
                "shape" if self._is_read_off else "setting",
                len(self.ties) - 1,
            )
            words = f"within the noise of {others} other {kind}{'s' * (others > 1)}"
        else:
            words = "better than the others by more than the noise of batches"
        if self._is_read_off and self.as_good is not None:
            words += f", lr as good from {self.as_good[0]:.2g} to {self.as_good[1]:.2g}"
        return words

    @property
    def _is_read_off(self) -> bool:
        """Whether the choice is the surface's lowest point, and not a run."""
        return self.surface is not None and self.lr == self.surface.lowest(self.shape).lr
