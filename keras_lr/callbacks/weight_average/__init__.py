"""`WeightAverage`: averages of the weights in training, and the best of them after it."""

from keras_lr.callbacks.weight_average.callback import WeightAverage

__all__ = ["WeightAverage"]
