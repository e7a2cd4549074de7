"""The result of a sweep of learning rates: a frozen record of every lane."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keras_lr.errors import complaint
from keras_lr.search.results import FrozenRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SweepResult(FrozenRecord):
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
        stopped_at: int[K], the steps a lane made before it was stopped, or all.
        cost_steps: Training steps made in all.
        method: `"sequential"` or `"lanes"`, how most of the lanes were trained.
        finished: Whether the sweep came to its end, or was interrupted.

    Raises:
        ValueError: If the lengths of the arrays do not agree.

    Example:
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

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray | list):
                object.__setattr__(self, field.name, _locked(value))
        object.__setattr__(self, "final", {name: _locked(v) for name, v in self.final.items()})
        count = len(self.learning_rates)
        for name, value in {"losses": self.losses, **self.final}.items():
            if len(value) != count:
                rule = f"{name} must hold one entry per learning rate ({count})"
                fix = "Pass NaN where there is no value"
                raise ValueError(complaint("SweepResult", rule, fix, shape=value.shape))

    @property
    def best_lr(self) -> float:
        """The learning rate with the lowest final loss, of the validation data if there was any."""
        final = self.final[self.measure]
        return float(self.learning_rates[int(np.argmin(np.where(np.isnan(final), np.inf, final)))])

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

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain Python numbers, strings and lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["final"] = {name: value.tolist() for name, value in self.final.items()}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}

    def __repr__(self) -> str:
        """The range, how many diverged and the best."""
        low, high = self.learning_rates[[0, -1]]
        lost = int(self.diverged.sum())
        cut = "" if self.finished else ", interrupted"
        return (
            f"SweepResult({len(self.learning_rates)} learning rates, {low:.3g} to {high:.3g}; "
            f"{lost} diverged; best {self.best_lr:.3g} by {self.measure}{cut})"
        )


def _locked(array: Any) -> Any:
    copy = np.array(array)
    copy.setflags(write=False)
    return copy
