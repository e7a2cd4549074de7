"""Find, schedule and tune the learning rate of any Keras 3 model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_lr import _quiet as _quiet  # before Keras is imported
from keras_lr import optimizers, schedules
from keras_lr._version import __version__
from keras_lr.optimizers import Adam, migrate

if TYPE_CHECKING:
    from keras_lr.callbacks import (
        Cooldown,
        CosineWarmRestarts,
        CyclicLR,
        LRScheduler,
        OneCycle,
        ReduceOnPlateauPlus,
        SwapScheduleFreeWeights,
        Unfreeze,
        WeightAverage,
    )
    from keras_lr.layers import by_layer, geometric, layer_decay
    from keras_lr.one_call import FineTuneResult, FitResult, fine_tune, fit
    from keras_lr.plot import (
        plot_fit,
        plot_history,
        plot_range_test,
        plot_schedule,
        plot_sweep,
        plot_tune,
        plot_tune_adam,
    )
    from keras_lr.search import (
        AdamTuneResult,
        LRRangeTest,
        RangeTestResult,
        SuggestionError,
        SweepResult,
        TuneResult,
        lr_find,
        lr_sweep,
        tune_adam,
        tune_lr,
    )

__all__ = [
    "Adam",
    "AdamTuneResult",
    "Cooldown",
    "CosineWarmRestarts",
    "CyclicLR",
    "FineTuneResult",
    "FitResult",
    "LRRangeTest",
    "LRScheduler",
    "OneCycle",
    "RangeTestResult",
    "ReduceOnPlateauPlus",
    "SuggestionError",
    "SwapScheduleFreeWeights",
    "SweepResult",
    "TuneResult",
    "Unfreeze",
    "WeightAverage",
    "__version__",
    "by_layer",
    "fine_tune",
    "fit",
    "geometric",
    "layer_decay",
    "lr_find",
    "lr_sweep",
    "migrate",
    "optimizers",
    "plot_fit",
    "plot_history",
    "plot_range_test",
    "plot_schedule",
    "plot_sweep",
    "plot_tune",
    "plot_tune_adam",
    "schedules",
    "tune_adam",
    "tune_lr",
]

# Imported when first asked for. What a saved model may be made of is imported at once: loading it
# needs the registered classes.
_ROOMS = ("one_call", "callbacks", "layers", "search", "plot")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        for room in _ROOMS:
            names = import_module(f"{__name__}.{room}")
            if name in names.__all__:
                return getattr(names, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
