"""Reading a schedule ahead: the values of many steps at once cost little more than one value."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lr.schedules.steps import LAST_STEP

ON_TORCH = keras.backend.backend() == "torch"
_BLOCK = 4096  # a few eager operations, however many values: enough that their cost is lost


class LookAhead:
    """The values of a function of whole numbers, read one after another and computed in blocks.

    Args:
        values: Takes an array of whole numbers, returns as many values.
    """

    def __init__(self, values: Callable[[np.ndarray], np.ndarray]) -> None:
        self._values = values
        self._block: tuple[int, list[float]] = (0, [])

    def __call__(self, index: int) -> float:
        """Return the value at one number."""
        first, block = self._block
        if not 0 <= index - first < len(block):
            numbers = np.minimum(np.arange(index, index + _BLOCK), LAST_STEP)
            first, block = self._block = index, self._values(numbers).tolist()
        return block[index - first]


def eager_step(step: Any) -> int | None:
    """Return a step as a number, where an optimizer evaluates its schedule eagerly.

    That is on torch, where each of a dozen operations is a call of its own, and together they take
    as long as the rest of a small model's step.

    Args:
        step: A tensor.

    Returns:
        The step; None on other backends, if it is not a single integer in the host's memory, or if
        the operations are being recorded instead of executed.
    """
    if not ON_TORCH or step.ndim or step.device.type != "cpu" or step.is_floating_point():
        return None
    import torch

    return None if torch.compiler.is_compiling() else int(step)
