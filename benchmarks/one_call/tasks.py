"""The tasks: the 18 of `lr_suggestion`, and five of other kinds, made here."""

import functools

import keras
import numpy as np
from keras import layers, losses, optimizers
from numpy.random import RandomState
from sklearn.datasets import load_digits

from ..lr_suggestion.data import Arrays, split
from ..lr_suggestion.tasks import TASKS as PUBLIC
from ..lr_suggestion.tasks import Task


def _classes() -> keras.Loss:
    return losses.SparseCategoricalCrossentropy(from_logits=True)


def _labels() -> keras.Loss:
    return losses.BinaryCrossentropy(from_logits=True)


# --- a transformer: which of four marked symbols is the most frequent in a sequence ---------------


@functools.cache
def sequences(count: int = 5000, length: int = 24, symbols: int = 16) -> Arrays:
    random = RandomState(7)
    x = random.randint(0, symbols, (count, length))
    counts = np.stack([(x == symbol).sum(1) for symbol in range(4)], 1)
    y = (counts + 1e-3 * np.arange(4)).argmax(1)
    return split(x.astype("int32"), y.astype("int32"))


def encoder() -> keras.Model:
    inputs = layers.Input((24,), dtype="int32")
    x = layers.Embedding(16, 32)(inputs)
    x = x + layers.Embedding(24, 32)(keras.ops.arange(24)[None])
    for _ in range(2):
        normed = layers.LayerNormalization()(x)
        x = x + layers.Dropout(0.1)(layers.MultiHeadAttention(4, 8)(normed, normed))
        hidden = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dropout(0.1)(layers.Dense(32)(hidden))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(4)(x))


# --- fine-tuning: a network that knows the digits 0 to 4 learns 5 to 9 ----------------------------


@functools.cache
def _digits(low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    chosen = (y >= low) & (y <= high)
    return (x[chosen] / 16).astype("float32").reshape(-1, 8, 8, 1), (y[chosen] - low).astype(
        "int32"
    )


def unknown_digits() -> Arrays:
    return split(*_digits(5, 9))


def _features() -> keras.Sequential:
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
        ]
    )


@functools.cache
def _pretrained() -> list[np.ndarray]:
    keras.utils.set_random_seed(1234)
    features = _features()
    model = keras.Sequential([features, layers.Dense(5)])
    model.compile(optimizers.Adam(1e-3), _classes())
    model.fit(*_digits(0, 4), epochs=20, verbose=0)
    return [np.array(weight) for weight in features.get_weights()]


def fine_tuned() -> keras.Model:
    weights = _pretrained()
    features = _features()
    features.set_weights(weights)
    return keras.Sequential([features, layers.Dense(5)])


# --- a table with categories: embeddings beside numbers -------------------------------------------


@functools.cache
def table(count: int = 8000) -> Arrays:
    random = RandomState(11)
    sizes = (40, 12, 7)
    categories = np.stack([random.zipf(1.3, count) % size for size in sizes], 1)
    numbers = random.randn(count, 6)
    effects = [random.randn(size) for size in sizes]
    slopes = random.randn(sizes[1], 6) * 0.6
    score = sum(effect[column] for effect, column in zip(effects, categories.T, strict=True))
    score = score + (slopes[categories[:, 1]] * numbers).sum(1) + np.sin(2 * numbers[:, 0])
    y = (score + random.logistic(size=count) > np.median(score)).astype("float32")
    x = np.concatenate([categories, numbers], 1).astype("float32")
    return split(x, y[:, None])


def embedding_network() -> keras.Model:
    inputs = layers.Input((9,))
    parts = [
        layers.Embedding(size, 6)(keras.ops.cast(inputs[:, column], "int32"))
        for column, size in enumerate((40, 12, 7))
    ]
    x = layers.Concatenate()([*parts, inputs[:, 3:]])
    for width in (64, 32):
        x = layers.Dropout(0.1)(layers.Dense(width, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(1)(x))


# --- a time series: the next eight values of a trend with two seasons and correlated noise --------


@functools.cache
def series(length: int = 6000, window: int = 48, ahead: int = 8) -> Arrays:
    random = RandomState(5)
    time = np.arange(length)
    noise = np.zeros(length)
    for step in range(1, length):
        noise[step] = 0.7 * noise[step - 1] + 0.25 * random.randn()
    values = np.sin(2 * np.pi * time / 24) * (1 + 0.3 * np.sin(2 * np.pi * time / 500))
    values = (values + 0.5 * np.sin(2 * np.pi * time / 168) + noise).astype("float32")
    starts = np.arange(length - window - ahead)
    x = values[starts[:, None] + np.arange(window)][..., None]
    y = values[starts[:, None] + window + np.arange(ahead)]
    cut = int(len(starts) * 0.75)  # the future is for validation
    return x[:cut], y[:cut], x[cut + window + ahead :], y[cut + window + ahead :]


def forecaster() -> keras.Model:
    inputs = layers.Input((48, 1))
    x = layers.Conv1D(16, 5, strides=2, padding="causal", activation="relu")(inputs)
    x = layers.GRU(24)(x)
    return keras.Model(inputs, layers.Dense(8)(x))


# --- images: a residual network with BatchNorm, on shifted digits ---------------------------------


@functools.cache
def shifted_digits() -> Arrays:
    x, y = load_digits(return_X_y=True)
    random = RandomState(2)
    images = np.zeros((len(x), 12, 12, 1), "float32")
    places = random.randint(0, 5, (len(x), 2))
    for image, digit, (row, column) in zip(images, x.reshape(-1, 8, 8), places, strict=True):
        image[row : row + 8, column : column + 8, 0] = digit / 16
    return split(images + 0.1 * random.randn(*images.shape).astype("float32"), y.astype("int32"))


def residual_network() -> keras.Model:
    inputs = layers.Input((12, 12, 1))
    x = layers.Conv2D(12, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for channels in (12, 24):
        y = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
        x = layers.Conv2D(channels, 1, strides=2, use_bias=False)(x)
        x = layers.ReLU()(x + layers.BatchNormalization()(y))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def _momentum() -> keras.Optimizer:
    return optimizers.SGD(momentum=0.9)


OWN = {
    "majority_transformer_adam": Task(sequences, encoder, _classes, optimizers.Adam, 32, 1200),
    "digits_fine_tuning_adam": Task(unknown_digits, fine_tuned, _classes, optimizers.Adam, 16, 500),
    "table_embeddings_adamw": Task(table, embedding_network, _labels, optimizers.AdamW, 64, 1000),
    "series_gru_rmsprop": Task(
        series, forecaster, losses.MeanSquaredError, optimizers.RMSprop, 32, 800
    ),
    "shifted_digits_resnet_sgdm": Task(
        shifted_digits, residual_network, _classes, _momentum, 32, 800
    ),
}

TASKS = {**PUBLIC, **OWN}
