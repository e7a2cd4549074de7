"""The schedule an optimizer was built with, and what it will give."""

from typing import Any

import keras
import numpy as np

from keras_lr._cpu import on_cpu
from keras_lr._keras.backend import ON_TENSORFLOW
from keras_lr._keras.optimizers import is_scheduled, leaf_optimizers


def in_graph_schedule(model: Any) -> Any:
    """Return the schedule that a model's first optimizer was built with, or None."""
    return schedule_of(leaf_optimizers(model.optimizer)[0])


def schedule_of(leaf: Any) -> Any:
    """Return the schedule that a leaf optimizer was built with, or None."""
    return leaf._learning_rate if is_scheduled(leaf) else None


def batches_per_step(leaf: Any) -> int:
    """Return how many batches make one step of a leaf optimizer's schedule.

    Under gradient accumulation Keras' schedules count batches, and those of this library updates.
    """
    counts_updates = getattr(leaf._learning_rate, "counts_updates", False)
    return (leaf.gradient_accumulation_steps or 1) if counts_updates else 1


def values_by_batch(leaf: Any, first: int, count: int) -> np.ndarray:
    """Return what a leaf optimizer's schedule gives at `count` batches from `first` on."""
    per = batches_per_step(leaf)
    steps = np.arange(first, first + count) // per
    begin = first // per
    return schedule_values(schedule_of(leaf), begin, int(steps[-1]) - begin + 1)[steps - begin]


def depends_on_position(leaf: Any) -> bool:
    """Return whether a leaf optimizer's learning rate depends on how many updates it has made."""
    return is_scheduled(leaf) or bool(getattr(leaf, "decay", 0.0))


def schedule_values(schedule: Any, first: int, count: int) -> np.ndarray:
    """Return what a schedule gives at `count` steps from `first` on, float64[count].

    Args:
        schedule: One of this library, one of Keras, or any function of the step.
        first: The first step.
        count: How many.
    """
    steps = np.arange(first, first + count)
    try:
        if hasattr(schedule, "values"):
            return np.asarray(schedule.values(steps), np.float64)
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            return _mapped(schedule, steps)
    except Exception:  # each backend has its own for code that takes no tensors
        pass  # then it is called as a function of one number, and what is wrong raises again
    return np.array([_number(schedule(step)) for step in steps.tolist()], np.float64)


def _mapped(schedule: Any, steps: np.ndarray) -> np.ndarray:
    """Call a schedule on each step, inside one graph.

    Keras' own do not all take a vector. Called eagerly, one by one, they take up to a millisecond a
    step on TensorFlow, and on JAX those with a condition in them are compiled each time.
    """

    def every(steps: Any) -> Any:
        return keras.ops.map(lambda step: keras.ops.cast(schedule(step), "float32"), steps)

    if ON_TENSORFLOW:
        import tensorflow as tf

        spec = tf.TensorSpec(steps.shape, steps.dtype)
        every = tf.function(every).get_concrete_function(spec)
    with on_cpu():
        values = every(keras.ops.convert_to_tensor(steps))
    return np.asarray(keras.ops.convert_to_numpy(values), np.float64)


def _number(value: Any) -> float:
    return float(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value)))
