"""The schedule an optimizer was built with, and what it will give."""

from typing import Any

import keras
import numpy as np

from keras_lr._keras.learning_rate import is_scheduled, leaf_optimizers


def in_graph_schedule(model: Any) -> Any:
    """Return the schedule that a model's first optimizer was built with, or None."""
    return schedule_of(leaf_optimizers(model.optimizer)[0])


def schedule_of(leaf: Any) -> Any:
    """Return the schedule that a leaf optimizer was built with, or None."""
    return leaf._learning_rate if is_scheduled(leaf) else None


def schedule_position(model: Any) -> int:
    """Return the step at which a model's schedule stands."""
    leaf = leaf_optimizers(model.optimizer)[0]
    return int(keras.ops.convert_to_numpy(leaf._iterations.value))


def schedule_values(schedule: Any, first: int, count: int) -> np.ndarray:
    """Return what a schedule gives at `count` steps from `first` on, float64[count]."""
    steps = range(first, first + count)
    values = [keras.ops.convert_to_tensor(schedule(step)) for step in steps]
    return np.asarray([float(keras.ops.convert_to_numpy(value)) for value in values])
