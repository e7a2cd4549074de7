"""`Cooldown`: the learning rate to zero when it is time, and the end of the fit."""

from keras_lr.callbacks.cooldown.callback import Cooldown

__all__ = ["Cooldown"]
