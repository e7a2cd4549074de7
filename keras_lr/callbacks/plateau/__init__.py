"""`ReduceOnPlateauPlus`, and the pure controller it is made of."""

from keras_lr.callbacks.plateau.callback import ReduceOnPlateauPlus

__all__ = ["ReduceOnPlateauPlus"]
