"""The settings of a range test, checked."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from keras_lr._engine.batch_loss import Monitor, check_monitor
from keras_lr.errors import GREATEST, check_choice, check_integer, check_number, complaint
from keras_lr.search.given import check_most
from keras_lr.search.progress import Verbosity, check_verbose


@dataclass(frozen=True)
class RangeTestSettings:
    """What a range test is to do, checked. `LRRangeTest` documents the fields."""

    min_lr: float = 1e-6
    max_lr: float = 100.0
    steps: int = 100
    spacing: Literal["exponential", "linear"] = "exponential"
    smoothing: float = 0.98
    stop_factor: float | None = 4.0
    repeats: int = 1
    validation_every_steps: int = 10
    monitor: Monitor | None = None
    verbose: Verbosity = 0

    def __post_init__(self) -> None:
        owner = "LRRangeTest"
        fix = "Pass positive, finite learning rates, min_lr below max_lr"
        check_number(owner, fix, above=0, min_lr=self.min_lr)
        check_number(owner, fix, above=0, at_most=GREATEST, max_lr=self.max_lr)
        if self.min_lr >= self.max_lr:
            rule = "min_lr must be below max_lr"
            raise ValueError(complaint(owner, rule, fix, min_lr=self.min_lr, max_lr=self.max_lr))
        fix = "100 is a good number, 300 a better one"
        check_integer(owner, fix, at_least=2, steps=self.steps)
        check_most(owner, steps=self.steps)
        check_choice(owner, ("exponential", "linear"), spacing=self.spacing)
        fix = "0.98 is what fastai uses; 0 turns smoothing off"
        check_number(owner, fix, at_least=0, below=1, smoothing=self.smoothing)
        if self.stop_factor is not None:
            fix = "4 is usual; pass None to run to max_lr"
            check_number(owner, fix, above=1, stop_factor=self.stop_factor)
        check_integer(owner, "1 runs the sweep once", at_least=1, repeats=self.repeats)
        check_most(owner, repeats=self.repeats)
        fix = "1 evaluates after every step"
        check_integer(owner, fix, at_least=1, validation_every_steps=self.validation_every_steps)
        check_monitor(owner, self.monitor)
        check_verbose(owner, self.verbose)

    def learning_rates(self) -> np.ndarray:
        """Return the learning rate of each step, float64[steps]."""
        space = np.geomspace if self.spacing == "exponential" else np.linspace
        return space(float(self.min_lr), float(self.max_lr), self.steps)
