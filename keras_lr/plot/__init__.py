"""Pictures of the library's results: functions that take an Axes or make one, and return it."""

from keras_lr.plot.fit import plot_fit
from keras_lr.plot.history import plot_history
from keras_lr.plot.range_test import plot_range_test
from keras_lr.plot.schedule import plot_schedule
from keras_lr.plot.sweep import plot_sweep
from keras_lr.plot.tune import plot_tune
from keras_lr.plot.tune_adam import plot_tune_adam

__all__ = [
    "plot_fit",
    "plot_history",
    "plot_range_test",
    "plot_schedule",
    "plot_sweep",
    "plot_tune",
    "plot_tune_adam",
]
