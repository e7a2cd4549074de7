"""Find, schedule and tune the learning rate of any Keras 3 model."""

from typing import TYPE_CHECKING, Any

from keras_lr import optimizers, schedules
from keras_lr._version import __version__
from keras_lr.optimizers import Adam, migrate
from keras_lr.search.range_test import LRRangeTest, lr_find
from keras_lr.search.result import RangeTestResult

if TYPE_CHECKING:
    from keras_lr.plot import plot_range_test as plot_range_test

__all__ = [
    "Adam",
    "LRRangeTest",
    "RangeTestResult",
    "__version__",
    "lr_find",
    "migrate",
    "optimizers",
    "plot_range_test",
    "schedules",
]

_PLOTS = frozenset(name for name in __all__ if name.startswith("plot_"))


def __getattr__(name: str) -> Any:
    # The plots are imported when first asked for: matplotlib takes longer to import than all the
    # rest together.
    if name in _PLOTS:
        from keras_lr import plot

        return getattr(plot, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
