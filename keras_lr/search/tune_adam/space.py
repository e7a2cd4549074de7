"""The search space of `tune_adam`: learning rate, decay and further hyperparameters."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]

_GRID_LEVELS, _GRID_LEVELS_OF_OTHERS = 5, 3


def grid_size(others: int) -> int:
    """How many points the grid has, with so many other values beside lr and share."""
    return _GRID_LEVELS**2 * int(_GRID_LEVELS_OF_OTHERS**others)


def decay_for(final_share: float, steps: int) -> float:
    r"""The decay that leaves a given share of the learning rate in the last update.

    Update i = 0, 1, ..., T - 1 uses $\eta / (1 + d i)$, so that $d = (1 / s - 1) / (T - 1)$.

    Args:
        final_share: The share s, above 0 and at most 1.
        steps: Updates T of the run, >= 2.

    Example:
        >>> decay_for(0.1, steps=901)
        0.01
    """
    return (1.0 / final_share - 1.0) / (steps - 1)


@dataclass(frozen=True, kw_only=True)
class AdamSettings:
    """One point of the space: what a run is trained with.

    Attributes:
        lr: Learning rate of the first update.
        final_share: The share of it that is left in the last update, in (0, 1].
        weight_decay: As Keras' optimizers take it; None to leave it as compiled.
        momentum: `beta_1`, or `momentum` where the optimizer has that; None to leave it.
    """

    lr: float
    final_share: float
    weight_decay: float | None = None
    momentum: float | None = None

    def rates(self, steps: int) -> NDArray[np.float64]:
        """The learning rate of every update of a run, float64[steps]."""
        decay = decay_for(self.final_share, steps)
        return self.lr / (1.0 + decay * np.arange(steps, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class AdamSpace:
    """The ranges that are searched; a range is a lowest and a highest value.

    Attributes:
        lr: Of the learning rate, searched by its logarithm.
        start: The learning rate of the first trial, without decay.
        final_share: Of the share of the learning rate left at the end, by its logarithm.
        weight_decay: Searched by its logarithm; None not to search it.
        momentum: Searched evenly; None not to search it.
    """

    lr: Range
    start: float
    final_share: Range = (0.01, 1.0)
    weight_decay: Range | None = None
    momentum: Range | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "AdamSpace":
        """Make it from its fields, ranges as lists: as a storage gives them back."""
        fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

    def suggest(self, trial: Any) -> AdamSettings:
        """Ask an Optuna trial for a point of the space."""

        def ask(name: str, limits: Range | None) -> float | None:
            if limits is None:
                return None
            return float(trial.suggest_float(name, *limits, log=name != "momentum"))

        return AdamSettings(
            lr=trial.suggest_float("lr", *self.lr, log=True),
            final_share=trial.suggest_float("final_share", *self.final_share, log=True),
            weight_decay=ask("weight_decay", self.weight_decay),
            momentum=ask("momentum", self.momentum),
        )

    def first(self) -> dict[str, float]:
        """The point tried first: the learning rate that suits a run without decay."""
        return {"lr": self.start, "final_share": self.final_share[1]}

    def grid(self) -> list[dict[str, float]]:
        """Every point of a grid: five levels of lr and of the share, three of anything else."""
        levels = {
            "lr": np.geomspace(*self.lr, _GRID_LEVELS),
            "final_share": np.geomspace(*self.final_share, _GRID_LEVELS),
        }
        if self.weight_decay is not None:
            levels["weight_decay"] = np.geomspace(*self.weight_decay, _GRID_LEVELS_OF_OTHERS)
        if self.momentum is not None:
            levels["momentum"] = np.linspace(*self.momentum, _GRID_LEVELS_OF_OTHERS)
        rows = itertools.product(*(values.tolist() for values in levels.values()))
        return [dict(zip(levels, row, strict=True)) for row in rows]
