"""Callbacks that drive the learning rate during `fit`, and a plateau controller without Keras."""

from keras_lr.callbacks.cooldown import Cooldown
from keras_lr.callbacks.plateau import ReduceOnPlateauPlus
from keras_lr.callbacks.schedule.cyclical import CyclicLR, OneCycle
from keras_lr.callbacks.schedule.scheduler import LRScheduler
from keras_lr.callbacks.schedule_free.callback import SwapScheduleFreeWeights
from keras_lr.callbacks.unfreeze import Unfreeze
from keras_lr.callbacks.warm_restarts.callback import CosineWarmRestarts
from keras_lr.callbacks.weight_average import WeightAverage

__all__ = [
    "Cooldown",
    "CosineWarmRestarts",
    "CyclicLR",
    "LRScheduler",
    "OneCycle",
    "ReduceOnPlateauPlus",
    "SwapScheduleFreeWeights",
    "Unfreeze",
    "WeightAverage",
]
