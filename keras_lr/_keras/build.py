"""Building what Keras on TensorFlow leaves to the first step, to see it before it changes."""

from typing import Any

import keras

from keras_lr._keras.backend import strategy_scope


def layers_of(model: Any) -> list[Any]:
    """Return a model and the layers in it, at any depth."""
    return list(model._flatten_layers())


def build(model: Any, batches: Any) -> None:
    """Create the variables that `fit`'s first step would create: the model's, then the optimizer's.

    On JAX and torch `fit` has done so before any callback runs, and this finds nothing to do.

    Args:
        model: A compiled model.
        batches: The `tf.data` iterator that `fit` hands to the train function. No batch is taken
            from it.
    """
    if not all(layer.built for layer in layers_of(model)):
        model._symbolic_build(data_batch=_symbolic_batch(batches))
    if not model.optimizer.built:
        with strategy_scope(model):
            model.optimizer.build(model.trainable_variables)


def _symbolic_batch(batches: Any) -> Any:
    import tensorflow as tf

    def symbolic(spec: Any) -> Any:
        if isinstance(spec, tf.OptionalSpec):
            return None  # stands for a None in the data
        return keras.KerasTensor(tuple(spec.shape), dtype=spec.dtype.name)

    return keras.tree.map_structure(symbolic, batches.element_spec)
