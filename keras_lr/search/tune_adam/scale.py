"""The scale of the learning rate that `tune_adam` searches, kept with its study."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_lr._engine.batch_loss import Monitor
from keras_lr._engine.hyperparameters import momentum_name
from keras_lr._keras.data import FitData
from keras_lr._keras.optimizers import leaf_optimizers
from keras_lr.errors import complaining_as
from keras_lr.search.data import TrainingData
from keras_lr.search.tune.tune import tune_lr
from keras_lr.search.tune_adam.arguments import OWNER
from keras_lr.search.tune_adam.design import MOST_OF_A_SHAPE
from keras_lr.search.tune_adam.shapes import Shape
from keras_lr.search.tune_adam.space import Range

# Around what `tune_lr` suggests for a constant learning rate, where a share is searched. A learning
# rate that decays may start higher.
_DECADES_BELOW, _DECADES_ABOVE = 0.75, 1.25
_SPACING = 0.5  # decades between the runs of a shape
_CLIMB_TRIALS, _LONGEST_CLIMB_TRIAL, SHORTEST_CLIMB_TRIAL = 4, 50, 10


def climb_cost(total: int) -> int:
    """Return how many updates may go into the scale of a run of so many."""
    trial = min(_LONGEST_CLIMB_TRIAL, max(SHORTEST_CLIMB_TRIAL, total // _CLIMB_TRIALS))
    return _CLIMB_TRIALS * trial


def find_space(
    study: Any,
    model: keras.Model,
    data: TrainingData,
    validation_data: FitData,
    total: int,
    seed: int,
    asked: dict[str, Range | None],
    shapes: Sequence[Shape],
    most: int | None,
    monitor: Monitor | None,
) -> None:
    """Find what is to be searched and keep it with the study."""
    limits, cost, spacing = asked["lr"], 0, _SPACING
    if limits is not None:
        start = peak = math.sqrt(limits[0] * limits[1])
        spacing = math.log10(limits[1] / limits[0]) / (MOST_OF_A_SHAPE - 1)
    else:
        given = {**data.for_fit.arguments, "monitor": monitor, "max_cost": climb_cost(total)}
        given["validation_data"] = validation_data
        with complaining_as(OWNER, "tune_lr"):
            best = tune_lr(model, **given, steps=total, seed=seed, verbose=0)
        if not best.finished:
            raise KeyboardInterrupt
        start, peak, cost = best.learning_rate, best.short_run_peak, best.cost_steps
    centres = {shape: start if shape == "constant" else peak for shape in shapes}
    space: dict[str, Any] = {**asked, "start": start, "limited": limits is not None, "most": most}
    space |= {"centres": centres, "spacing": spacing, "own": _own(model, asked)}
    if limits is None:
        reach = MOST_OF_A_SHAPE * spacing  # further than any run of a surface
        limits = start / 10**_DECADES_BELOW, start * 10**_DECADES_ABOVE
        if centres:
            limits = min(centres.values()) / 10**reach, max(centres.values()) * 10**reach
    study.set_user_attr("climb_steps", cost)
    study.set_user_attr("space", {**space, "lr": limits})


def _own(model: keras.Model, asked: dict[str, Range | None]) -> dict[str, float]:
    leaf, found = leaf_optimizers(model.optimizer)[0], {}
    for name in ("weight_decay", "momentum"):
        if asked[name] is not None:
            own = getattr(leaf, momentum_name(leaf, OWNER) if name == "momentum" else name, None)
            found[name] = float(own or 0.0)  # without weight decay Keras has None
    return found
