"""The optimizer that asks a schedule for its learning rate, and the update it stands at."""

import inspect
from typing import Any

import keras
from keras import ops

_KerasSchedule = keras.optimizers.schedules.LearningRateSchedule
_NEAR = 12  # frames: there are more than two where AutoGraph has converted a loop of the user's own


def asking_optimizer(step: Any) -> Any:
    """Return the Keras optimizer that calls a schedule with its own count of steps, or None.

    Keras hands a schedule the count of batches and nothing else. How many of them are accumulated
    for an update, only the optimizer knows, and it is found as the caller whose variable it is.

    Args:
        step: What the schedule was called with.
    """
    if not isinstance(step, keras.Variable):
        return None
    frame = inspect.currentframe()
    for _ in range(_NEAR):
        frame = None if frame is None else frame.f_back
        if frame is None:
            return None
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.optimizers.Optimizer) and _has(caller, step):
            return caller
        if isinstance(caller, _KerasSchedule) and not getattr(caller, "counts_updates", False):
            return None  # one of the user's own around it, which counts batches throughout
    return None


def _has(optimizer: Any, wanted: Any) -> bool:
    return any(variable is wanted for variable in optimizer.variables)


def update_at(step: Any, optimizer: Any) -> Any:
    """Return the number of the update that a step is part of.

    Args:
        step: A tensor, the count of batches before it.
        optimizer: What `asking_optimizer` found.
    """
    accumulation = getattr(optimizer, "gradient_accumulation_steps", None)
    return ops.floor_divide(step, accumulation) if accumulation else step
