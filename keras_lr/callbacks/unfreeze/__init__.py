"""Gradual unfreezing: groups of layers begin to train at given epochs of one fit."""

from keras_lr.callbacks.unfreeze.callback import Unfreeze

__all__ = ["Unfreeze"]
