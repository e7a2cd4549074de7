"""The models of the tasks: each function returns a builder that takes no arguments."""

from collections.abc import Callable

import keras
from keras import layers

Builder = Callable[[], keras.Model]


def mlp(
    features: int,
    widths: list[int],
    outputs: int,
    activation: str = "relu",
    dropout: float = 0.0,
    initializer: str = "glorot_uniform",
) -> Builder:
    def build() -> keras.Model:
        x = inputs = layers.Input((features,))
        for width in widths:
            x = layers.Dense(width, kernel_initializer=initializer)(x)
            x = layers.Activation(activation)(x)
            if dropout:
                x = layers.Dropout(dropout)(x)
        return keras.Model(inputs, layers.Dense(outputs)(x))

    return build


def image_cnn(channels: tuple[int, ...] = (8, 16), outputs: int = 10) -> Builder:
    def build() -> keras.Model:
        x = inputs = layers.Input((8, 8, 1))
        for channel in channels:
            x = layers.Conv2D(channel, 3, padding="same")(x)
            x = layers.MaxPooling2D(2)(layers.ReLU()(x))
        return keras.Model(inputs, layers.Dense(outputs)(layers.Flatten()(x)))

    return build


def signal_cnn(channels: tuple[int, ...] = (12, 16), outputs: int = 10) -> Builder:
    def build() -> keras.Model:
        inputs = layers.Input((40,))
        x = layers.Reshape((40, 1))(inputs)
        for channel in channels:
            x = layers.ReLU()(layers.Conv1D(channel, 5, strides=2, padding="same")(x))
        return keras.Model(inputs, layers.Dense(outputs)(layers.Flatten()(x)))

    return build


def gru(units: int, outputs: int) -> Builder:
    def build() -> keras.Model:
        inputs = layers.Input((None, 1))
        x = layers.GRU(units, return_sequences=True)(inputs)
        return keras.Model(inputs, layers.Dense(outputs)(x))

    return build


def transformer(symbols: int = 31, length: int = 32, width: int = 32, heads: int = 2) -> Builder:
    """One pre-norm block with a causal mask."""

    def build() -> keras.Model:
        inputs = layers.Input((length,), dtype="int32")
        position = layers.Embedding(length, width)(keras.ops.arange(length)[None])
        x = layers.Embedding(symbols, width)(inputs) + position
        normed = layers.LayerNormalization()(x)
        attention = layers.MultiHeadAttention(heads, width // heads)
        x = x + attention(normed, normed, use_causal_mask=True)
        hidden = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(hidden)
        return keras.Model(inputs, layers.Dense(symbols)(x))

    return build


def factorization(users: int = 200, items: int = 150, rank: int = 8) -> Builder:
    def build() -> keras.Model:
        inputs = layers.Input((2,), dtype="int32")
        user, item = inputs[:, 0], inputs[:, 1]
        taste, trait = layers.Embedding(users, rank)(user), layers.Embedding(items, rank)(item)
        user_bias, item_bias = layers.Embedding(users, 1)(user), layers.Embedding(items, 1)(item)
        return keras.Model(inputs, layers.Dot(1)([taste, trait]) + user_bias + item_bias)

    return build
