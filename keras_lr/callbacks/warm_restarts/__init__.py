"""`CosineWarmRestarts`: cycles of a schedule, snapshots and ensembles."""

from keras_lr.callbacks.warm_restarts.callback import CosineWarmRestarts

__all__ = ["CosineWarmRestarts"]
