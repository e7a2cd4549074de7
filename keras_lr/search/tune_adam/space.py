"""The search space of `tune_adam`: learning rate, decay and further hyperparameters."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_lr.schedules import Schedule
from keras_lr.search.tune_adam.design import SurfaceDesign
from keras_lr.search.tune_adam.shapes import (
    Shape,
    decay_for,
    rates_of,
    schedule_of,
    share_left,
)

Range = tuple[float, float]

_GRID_LEVELS, _GRID_LEVELS_OF_OTHERS = 5, 3


def grid_size(others: int) -> int:
    """How many points the grid has, with so many other values beside lr and share."""
    return _GRID_LEVELS**2 * int(_GRID_LEVELS_OF_OTHERS**others)


@dataclass(frozen=True, kw_only=True)
class AdamSettings:
    """One point of the space: what a run is trained with.

    Attributes:
        lr: Learning rate of the first update; the highest one of the shape "linear".
        shape: How it runs from the first update to the last.
        final_share: The share of it that is left in the last update, in (0, 1]; it matters to the
            shape "decay" alone.
        weight_decay: As Keras' optimizers take it; None to leave it as compiled.
        momentum: `beta_1`, or `momentum` where the optimizer has that; None to leave it.
    """

    lr: float
    shape: Shape = "decay"
    final_share: float = 0.1
    weight_decay: float | None = None
    momentum: float | None = None

    def rates(self, steps: int) -> NDArray[np.float64]:
        """The learning rate of every update of a run, float64[steps]."""
        return rates_of(self.shape, self.lr, self.final_share, steps)

    def schedule(self, steps: int) -> Schedule:
        """The learning rate as a schedule, for a run of so many updates."""
        return schedule_of(self.shape, self.lr, self.final_share, steps)

    def decay(self, steps: int) -> float:
        """The decay per update; 0 for a shape that is no decay."""
        return decay_for(self.final_share, steps) if self.shape == "decay" else 0.0

    def share_left(self, steps: int) -> float:
        """The share of the learning rate that is left in the last update of a run."""
        return share_left(self.shape, self.final_share, steps)


@dataclass(frozen=True, kw_only=True)
class AdamSpace:
    """The ranges that are searched; a range is a lowest and a highest value.

    Attributes:
        lr: Of the learning rate, searched by its logarithm.
        start: The learning rate of the first trial, without decay.
        centres: The learning rates around which the shapes are searched, by their names; none where
            the share left at the end is searched instead.
        spacing: Decades from one learning rate of a shape to the next.
        limited: Whether `lr` was asked for: nothing outside it is run.
        most: How many runs the surface may take; None for as many as it needs.
        own: The weight decay and the momentum that the optimizer was made with, of those that are
            searched. A surface is made with these.
        final_share: Of the share of the learning rate left at the end, by its logarithm.
        weight_decay: Searched by its logarithm; None not to search it.
        momentum: Searched evenly; None not to search it.
    """

    lr: Range
    start: float
    centres: dict[str, float] = field(default_factory=dict)
    spacing: float = 0.5
    limited: bool = False
    most: int | None = None
    own: dict[str, float] = field(default_factory=dict)
    final_share: Range = (0.01, 1.0)
    weight_decay: Range | None = None
    momentum: Range | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "AdamSpace":
        """Make it from its fields, ranges as lists: as a storage gives them back."""
        fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

    def suggest(
        self, trial: Any, lr: Range | None = None, names: Collection[str] | None = None
    ) -> AdamSettings:
        """Ask an Optuna trial for a point of the space.

        Args:
            trial: The trial.
            lr: The learning rates to search; None for all of the space's.
            names: What else to ask for; None for all that is searched.
        """

        def ask(name: str, limits: Range | None) -> float | None:
            if limits is None or (names is not None and name not in names):
                return self.own.get(name)
            return float(trial.suggest_float(name, *limits, log=name != "momentum"))

        found: dict[str, Any] = {"lr": trial.suggest_float("lr", *(lr or self.lr), log=True)}
        if self.centres:
            found["shape"] = trial.suggest_categorical("shape", list(self.centres))
        else:
            found["final_share"] = trial.suggest_float("final_share", *self.final_share, log=True)
        found["weight_decay"] = ask("weight_decay", self.weight_decay)
        found["momentum"] = ask("momentum", self.momentum)
        return self.settings_of(found)

    def design(self) -> SurfaceDesign | None:
        """The runs for a surface; None where there is to be none."""
        if not self.centres:
            return None
        limits = self.lr if self.limited else None
        return SurfaceDesign(
            centres=self.centres, spacing=self.spacing, limits=limits, most=self.most
        )

    def settings_of(self, params: Mapping[str, Any]) -> AdamSettings:
        """Return the settings that the parameters of a trial stand for."""
        shape: Shape = "constant" if params.get("final_share") == 1.0 else "decay"
        return AdamSettings(**{"shape": shape, **self.own, **params})

    def own_within(self) -> dict[str, float]:
        """Return what of the optimizer's own lies within the ranges."""
        ranges = {"weight_decay": self.weight_decay, "momentum": self.momentum}
        return {
            name: value
            for name, value in self.own.items()
            if (limits := ranges[name]) is not None and limits[0] <= value <= limits[1]
        }

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
