"""The models that costs are measured on, and data for them."""

import keras
import numpy as np
from keras import layers

BATCH = 32


def mlp(width=64, features=64):
    """Return layers of a network of two equal hidden layers."""
    return [keras.Input((features,)), *(layers.Dense(width, "relu") for _ in range(2))]


def cnn():
    """Return layers of a small convolutional network."""
    return [
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
    ]


def transformer(width=64, blocks=2, length=32, words=512, heads=4):
    """Return a network of self-attention on sequences of numbers."""
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(words, width)(inputs)
    for _ in range(blocks):
        normal = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(normal, normal)
        normal = layers.LayerNormalization()(x)
        x = x + layers.Dense(width)(layers.Dense(4 * width, "gelu")(normal))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def built(name):
    """Return a network by its name: `"mlp"`, `"mlp 1e6"`, `"cnn"`, `"transformer"`."""
    keras.utils.set_random_seed(0)
    if name == "transformer":
        return transformer()
    parts = {"mlp": mlp, "mlp 1e6": lambda: mlp(960), "cnn": cnn}[name]()
    return keras.Sequential([*parts, layers.Dense(10)])


def compiled(model, learning_rate=1e-3, **options):
    """Return a model compiled for ten classes, with its optimizer's slots."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, **options)
    model.optimizer.build(model.trainable_variables)
    return model


def data(model, steps):
    """Return samples for so many steps."""
    random = np.random.default_rng(0)
    shape = (steps * BATCH, *model.input_shape[1:])
    is_text = model.inputs[0].dtype == "int32"
    x = random.integers(0, 512, shape) if is_text else random.normal(size=shape)
    return x.astype(model.inputs[0].dtype), random.integers(0, 10, len(x)).astype("int32")


def of_size(weights):
    """Return a network of about so many weights, most of them in one kernel."""
    width = int((weights - 1000) ** 0.5)
    return keras.Sequential([*mlp(8, 16)[:2], layers.Dense(width), layers.Dense(width)])
