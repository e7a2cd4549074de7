"""Several processes that train one model together: what they decide, and what they feed it.

Each process runs the same program. A decision that one of them takes alone, by a clock, a key that
was pressed or a metric that differs in its last bit, leaves the others waiting for it forever.
"""

from typing import Any

import keras
import numpy as np

from keras_lr._keras.backend import ON_JAX


def are_several() -> bool:
    """Return whether other processes train the same model, each on a part of the data."""
    if not ON_JAX or keras.distribution.distribution() is None:
        return False
    import jax

    return bool(jax.process_count() > 1)


def are_apart(model: Any) -> bool:
    """Return whether a model is spread over processes by a strategy of TensorFlow.

    Keras' own `fit` fails there, in words about `PerReplica`, before it calls any callback.
    """
    resolver = getattr(getattr(model, "distribute_strategy", None), "cluster_resolver", None)
    cluster = resolver.cluster_spec().as_dict() if resolver is not None else {}
    return sum(map(len, cluster.values())) > 1


def agreed(value: float) -> float:
    """Return the number that the first process has, in every process, to the bit.

    All processes must call it at the same point of the program.
    """
    if not are_several():
        return value
    from jax.experimental import multihost_utils

    # As bytes: JAX would make a float32 of a number.
    own = np.frombuffer(np.float64(value).tobytes(), np.uint8)
    shared = np.asarray(multihost_utils.broadcast_one_to_all(own), np.uint8)
    return float(np.frombuffer(shared.tobytes(), np.float64)[0])


def is_agreed(wish: bool) -> bool:
    """Return what the first process wishes, in every process; to be called by all at one point."""
    return bool(agreed(float(wish)))


def as_global(batch: Any) -> Any:
    """Return the batch that all processes train on together, of which each has a part.

    It is the one given, unless there are several. What is spread already stays as it is.
    """
    if not are_several():
        return batch
    from keras.src.backend.jax.trainer import _distribute_data

    leaves = [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]
    if all(getattr(leaf, "is_fully_addressable", True) for leaf in leaves):
        return _distribute_data(batch)
    return batch
