"""Pictures of the library's results: functions that take an Axes or make one, and return it."""

from keras_lr.plot.history import plot_history
from keras_lr.plot.range_test import plot_range_test
from keras_lr.plot.schedule import plot_schedule
from keras_lr.plot.sweep import plot_sweep

__all__ = ["plot_history", "plot_range_test", "plot_schedule", "plot_sweep"]
