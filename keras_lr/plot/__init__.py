"""Pictures of the library's results: functions that take an Axes or make one, and return it."""

from keras_lr.plot.range_test import plot_range_test

__all__ = ["plot_range_test"]
