"""Find, schedule and tune the learning rate of any Keras 3 model."""

from typing import TYPE_CHECKING, Any

from keras_lr import optimizers, schedules
from keras_lr._version import __version__
from keras_lr.callbacks import (
    CosineWarmRestarts,
    CyclicLR,
    LRScheduler,
    OneCycle,
    ReduceOnPlateauPlus,
    SwapScheduleFreeWeights,
)
from keras_lr.optimizers import Adam, migrate
from keras_lr.search.find import lr_find
from keras_lr.search.range_test import LRRangeTest
from keras_lr.search.result import RangeTestResult
from keras_lr.search.sweep import lr_sweep
from keras_lr.search.sweep_result import SweepResult
from keras_lr.search.tune import tune_lr
from keras_lr.search.tune_adam import tune_adam
from keras_lr.search.tune_result import TuneResult

if TYPE_CHECKING:
    from keras_lr.plot import plot_history as plot_history
    from keras_lr.plot import plot_range_test as plot_range_test
    from keras_lr.plot import plot_schedule as plot_schedule
    from keras_lr.plot import plot_sweep as plot_sweep

__all__ = [
    "Adam",
    "CosineWarmRestarts",
    "CyclicLR",
    "LRRangeTest",
    "LRScheduler",
    "OneCycle",
    "RangeTestResult",
    "ReduceOnPlateauPlus",
    "SwapScheduleFreeWeights",
    "SweepResult",
    "TuneResult",
    "__version__",
    "lr_find",
    "lr_sweep",
    "migrate",
    "optimizers",
    "plot_history",
    "plot_range_test",
    "plot_schedule",
    "plot_sweep",
    "schedules",
    "tune_adam",
    "tune_lr",
]

_PLOTS = frozenset(name for name in __all__ if name.startswith("plot_"))


def __getattr__(name: str) -> Any:
    # The plots are imported when first asked for: matplotlib takes longer than all the rest.
    if name in _PLOTS:
        from keras_lr import plot

        return getattr(plot, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
