"""The result of a sweep of learning rates: a frozen record of every lane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keras_lr.errors import complaint
from keras_lr.search.results import Result
from keras_lr.search.sweep.picture import SweepPicture, picture_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SweepResult(Result):
    """K learning rates trained from one start on the same batches, and how each of them ended.

    Arrays are copied and made read-only; lists will do, as `to_dict` makes them.

    Attributes:
        learning_rates: float64[K], increasing. Factors of the optimizer's schedule if the sweep
            was one of factors.
        losses: float64[K, steps], the loss of each step's batch before the step; with repeats
            their median. NaN after a lane has stopped.
        repeat_losses: float64[repeats, K, steps].
        final: How each lane ended, float64[K] by name as in Keras' History: `"loss"` and the
            compiled metrics over the last quarter of the steps, `"val_..."` at the end, if there
            was validation data; the median over the repeats. Infinite where a lane diverged.
        diverged: bool[K], whether a lane was stopped, or ended with losses above twice those of
            the same batches at the starting weights, or with a validation loss that is not finite.
        dead: bool[K], whether the network had died at the end of a lane, as when every ReLU has: it
            answers every input alike, and the loss no longer depends on some matrix, which stands
            still. None where not known.
        stopped_at: int[K], the steps a lane made before it was stopped, or all.
        cost_steps: Training steps made in all.
        method: `"sequential"` or `"lanes"`, how most of the lanes were trained.
        finished: Whether the sweep came to its end, or was interrupted.

    Raises:
        ValueError: If the lengths of the arrays do not agree.

    Example:
        >>> import numpy as np
        >>> from keras_lr import SweepResult
        >>> losses = np.array([[2.0, 1.9], [2.0, 0.5], [2.0, np.inf]])
        >>> result = SweepResult(
        ...     learning_rates=np.array([0.001, 0.1, 10.0]), losses=losses,
        ...     repeat_losses=losses[None], final={"loss": losses[:, -1]},
        ...     diverged=np.isinf(losses[:, -1]), stopped_at=np.array([2, 2, 1]), cost_steps=5)
        >>> result
        SweepResult(3 learning rates, 0.001 to 10; 1 diverged; best 0.1 by loss)
    """

    learning_rates: Floats
    losses: Floats
    repeat_losses: Floats
    final: Mapping[str, Floats]
    diverged: NDArray[np.bool_]
    stopped_at: NDArray[np.int64]
    cost_steps: int
    method: str = "sequential"
    finished: bool = True
    dead: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.learning_rates)
        for name, value in {"losses": self.losses, **self.final}.items():
            if len(value) != count:
                rule = f"{name} must hold one entry per learning rate ({count})"
                fix = "Pass NaN where there is no value"
                raise ValueError(complaint("SweepResult", rule, fix, shape=value.shape))

    @property
    def best_lr(self) -> float:
        """The learning rate with the lowest final loss, of the validation data if there was any.

        Of those whose network has not died, unless all have.
        """
        final = self.final[self.measure]
        unfit = np.isnan(final)
        if self.dead is not None and not self.dead.all():
            unfit = unfit | self.dead
        return float(self.learning_rates[int(np.argmin(np.where(unfit, np.inf, final)))])

    @property
    def measure(self) -> str:
        """What `best_lr` goes by: `"val_loss"` or `"loss"`."""
        return "val_loss" if "val_loss" in self.final else "loss"

    def plot(self, axes: "tuple[Axes, Axes] | None" = None) -> "tuple[Axes, Axes]":
        """Draw the U-curve and the fan of losses: see `keras_lr.plot_sweep`.

        Args:
            axes: Where to draw the two; None makes a figure.

        Returns:
            The two matplotlib Axes.
        """
        from keras_lr.plot.sweep import plot_sweep

        return plot_sweep(self, axes)

    def _told(self) -> dict[str, Any]:
        lost = f"{int(self.diverged.sum())} of {len(self.diverged)}"
        return {"best learning rate": self.best_lr, "diverged": lost, "steps": self.cost_steps}

    picture_type: ClassVar[type] = SweepPicture

    def picture(self) -> SweepPicture:
        """What `plot` draws, as plain data.

        Raises:
            ValueError: If there is no finite loss to draw.
        """
        return picture_of(self)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per learning rate: how it ended.

        Returns:
            A pandas DataFrame indexed by learning rate, a column for each measure of `final`,
            `diverged`, `stopped_at` and `dead`.

        Raises:
            ImportError: If pandas is not installed.
        """
        return super().to_dataframe()

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        ends = {"diverged": self.diverged, "stopped_at": self.stopped_at}
        if self.dead is not None:
            ends["dead"] = self.dead
        return ("learning_rate", self.learning_rates.tolist()), {**self.final, **ends}

    def __repr__(self) -> str:
        """The range, how many diverged and the best."""
        low, high = self.learning_rates[[0, -1]]
        lost = int(self.diverged.sum())
        dead = "" if self.dead is None or not self.dead.any() else f", {int(self.dead.sum())} dead"
        cut = "" if self.finished else ", interrupted"
        return (
            f"SweepResult({len(self.learning_rates)} learning rates, {low:.3g} to {high:.3g}; "
            f"{lost} diverged{dead}; best {self.best_lr:.3g} by {self.measure}{cut})"
        )
