"""The arguments of `Cooldown`, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_lr.callbacks.cooldown.descent import Shape
from keras_lr.callbacks.saved.judge import Judge


@dataclass(frozen=True)
class Wishes:
    """What is asked of a cooldown.

    Attributes:
        steps: Length in updates, or None.
        epochs: Length in epochs, or None.
        shape: How the learning rate falls.
        at_step: The update it begins with, or None.
        at_epoch: The epoch it begins with, or None.
        judge: What compares the monitored metric, or None.
        patience: Epochs without improvement that begin it.
        min_delta: Smallest change that counts as an improvement.
        within: Seconds to end in, or None.
        on_interrupt: Whether Ctrl-C begins it.
        optimizers: Which learning rates come down, as `named_leaves` takes them.
    """

    steps: int | None
    epochs: float | None
    shape: Shape
    at_step: int | None
    at_epoch: int | None
    judge: Judge | None
    patience: int
    min_delta: float
    within: float | None
    on_interrupt: bool
    optimizers: Sequence[Any] | None = None
