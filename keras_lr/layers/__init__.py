"""Learning rates by layer: groups of weights, and factors that fall with the depth."""

from keras_lr.layers.by_layer import by_layer
from keras_lr.layers.depth import geometric, layer_decay

__all__ = ["by_layer", "geometric", "layer_decay"]
