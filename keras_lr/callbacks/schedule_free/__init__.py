"""`SwapScheduleFreeWeights`: averaged weights for evaluation."""

from keras_lr.callbacks.schedule_free.callback import SwapScheduleFreeWeights

__all__ = ["SwapScheduleFreeWeights"]
