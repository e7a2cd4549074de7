"""A network with three groups of layers, which the tests of this folder share."""

import keras
import numpy as np
from keras import ops

FACTORS = {"body": 0.125, "mid": 0.5, "head": 1.0}


def network(*, seed=1, outputs=2):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="body"),
            keras.layers.Dense(3, activation="tanh", name="mid"),
            keras.layers.Dense(outputs, name="head"),
        ]
    )


def data(samples=32, seed=0):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(samples, 6)), generator.normal(size=(samples, 2))
    return x.astype("float32"), y.astype("float32")


def weights(model):
    return [np.array(ops.convert_to_numpy(v.value)) for v in model.trainable_variables]
