"""Kinds of models that `fit` trains, small, each with its data.

The training steps of users' own are written for TensorFlow, as Keras' guides have them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

try:
    import keras_hub  # needs tensorflow-text
except ImportError:
    keras_hub = None

SAMPLES = 512


@dataclass(frozen=True)
class Case:
    """A model and what `fit` is given to train it.

    Attributes:
        make: Returns the compiled model, with the same weights each time.
        data: The arguments of `fit` that are data.
        monitor: The name of the loss in the logs.
        lower_is_better: Whether a low `monitor` is a good one; in a GAN it is not.
    """

    make: Callable[[], keras.Model]
    data: dict[str, Any]
    monitor: str = "loss"
    lower_is_better: bool = True


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normal random numbers in float32."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


X = numbers(SAMPLES, 8)
Y = X[:, :1] * X[:, 1:2] + 0.1 * numbers(SAMPLES, 1, seed=1)
CLASSES = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)


def dense(*sizes: int) -> list[Any]:
    """Return dense layers, the last one linear."""
    return [*(layers.Dense(size, "relu") for size in sizes[:-1]), layers.Dense(sizes[-1])]


class PairStep(keras.Model):
    """A training step that unpacks `x, y = data`, as Keras' guide does."""

    def __init__(self) -> None:
        super().__init__()
        self.network = keras.Sequential(dense(32, 1))

    def call(self, x: Any) -> Any:
        return self.network(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class Autoencoder(keras.Model):
    """A training step whose data is `x` alone, in a model without `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = keras.Sequential(dense(16, 4))
        self.decoder = keras.Sequential(dense(16, 8))

    def train_step(self, data: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((data - self.decoder(self.encoder(data))) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class VAE(Autoencoder):
    """A variational autoencoder in the form of Keras' example: own losses, no `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = keras.Sequential(dense(16, 8))
        self.noise = keras.random.SeedGenerator(1)

    def train_step(self, data: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(self.encoder(data), 2, axis=1)
            noise = keras.random.normal(tf.shape(mean), seed=self.noise)
            decoded = self.decoder(mean + tf.exp(0.5 * log_variance) * noise)
            reconstruction = tf.reduce_mean(tf.reduce_sum((data - decoded) ** 2, axis=1))
            divergence = 1 + log_variance - mean**2 - tf.exp(log_variance)
            divergence = -0.05 * tf.reduce_mean(tf.reduce_sum(divergence, axis=1))
            loss = reconstruction + divergence
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss, "reconstruction": reconstruction, "divergence": divergence}


class GAN(keras.Model):
    """A generator and a critic; the compiled optimizer trains the critic, another the generator."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential([keras.Input((4,)), *dense(16, 8)])
        self.critic = keras.Sequential([keras.Input((8,)), *dense(16, 1)])
        self.generator_optimizer = keras.optimizers.Adam(1e-3)

    def train_step(self, data: Any) -> dict[str, Any]:
        made = self.generator(tf.random.normal((tf.shape(data)[0], 4)))
        bce = keras.losses.BinaryCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            real, fake = self.critic(data), self.critic(made)
            d_loss = bce(tf.ones_like(real), real) + bce(tf.zeros_like(fake), fake)
        gradients = tape.gradient(d_loss, self.critic.trainable_variables)
        self.optimizer.apply(gradients, self.critic.trainable_variables)
        with tf.GradientTape() as tape:
            fake = self.critic(self.generator(tf.random.normal((tf.shape(data)[0], 4))))
            g_loss = bce(tf.ones_like(fake), fake)
        gradients = tape.gradient(g_loss, self.generator.trainable_variables)
        self.generator_optimizer.apply(gradients, self.generator.trainable_variables)
        return {"d_loss": d_loss, "g_loss": g_loss}


class Siamese(keras.Model):
    """Triplets: anchor, positive, negative, and a `call` for one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = keras.Sequential(dense(32, 8))

    def call(self, x: Any) -> Any:
        return self.embedding(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        anchor, positive, negative = data[0] if len(data) == 1 else data
        with tf.GradientTape() as tape:
            a, p, n = self(anchor), self(positive), self(negative)
            near, far = tf.reduce_sum((a - p) ** 2, 1), tf.reduce_sum((a - n) ** 2, 1)
            loss = tf.reduce_mean(tf.nn.softplus(near - far))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class TwoTowers(keras.Model):
    """In-batch negatives: the labels are the places in the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = keras.Sequential(dense(32, 8)), keras.Sequential(dense(32, 8))

    def call(self, pair: Any) -> Any:
        return self.left(pair["query"]) @ tf.transpose(self.right(pair["item"]))

    def compute_loss(self, x: Any, y: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        labels = tf.range(tf.shape(y_pred)[0])
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, y_pred))


def compiled(model: Any, loss: Any = "mse", optimizer: Any = None, **arguments: Any) -> Any:
    """Compile with Adam at its default rate."""
    model.compile(optimizer or keras.optimizers.Adam(), loss, **arguments)
    return model


def sequential(
    shape: tuple[int | None, ...], build: Callable[[], list[Any]], loss: Any = "mse"
) -> Callable[[], keras.Model]:
    """Return a function that makes a compiled sequential model."""
    return lambda: compiled(keras.Sequential([keras.Input(shape), *build()]), loss)


def triplets() -> tf.data.Dataset:
    anchor = X + 0.1 * numbers(*X.shape, seed=3)
    return tf.data.Dataset.from_tensor_slices((X, anchor, np.roll(X, 1, axis=0))).batch(32)


def ragged_batches() -> tf.data.Dataset:
    generator = np.random.default_rng(0)
    rows = [
        generator.normal(size=(int(n), 3)).astype("float32") for n in generator.integers(4, 20, 256)
    ]
    means = np.array([row.mean() for row in rows], "float32")[:, None]
    data = tf.data.Dataset.from_generator(
        lambda: zip(rows, means, strict=True),
        output_signature=(tf.TensorSpec((None, 3)), tf.TensorSpec((1,))),
    )
    return data.padded_batch(32).apply(tf.data.experimental.assert_cardinality(8))


def stateful() -> keras.Model:
    parts = [keras.Input(batch_shape=(20, 6, 3)), layers.GRU(8, stateful=True), layers.Dense(1)]
    return compiled(keras.Sequential(parts))


def unet() -> keras.Model:
    inputs = keras.Input((16, 16, 1))
    down = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    deep = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(down))
    up = layers.Concatenate()([layers.UpSampling2D()(deep), down])
    return compiled(keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(up)))


def several() -> keras.Model:
    left, right = keras.Input((8,), name="left"), keras.Input((8,), name="right")
    joined = layers.Dense(16, "relu")(layers.Concatenate()([left, right]))
    outputs = {"value": layers.Dense(1)(joined), "kind": layers.Dense(3, "softmax")(joined)}
    losses = {"value": "mse", "kind": "sparse_categorical_crossentropy"}
    return compiled(keras.Model([left, right], outputs), losses)


WORDS = ["learning", "rate", "warm", "restart", "cold", "plateau", "cycle", "step"]
SENTENCES = [" ".join(np.random.default_rng(i).choice(WORDS, 5)) for i in range(SAMPLES)]
TEXTS = np.array(SENTENCES, dtype=object)
WARM = np.array([[float("warm" in text)] for text in TEXTS], "float32")


def text() -> keras.Model:
    vectorizer = layers.TextVectorization(max_tokens=20, output_sequence_length=5)
    vectorizer.adapt(TEXTS)
    parts = [keras.Input((), dtype="string"), vectorizer, layers.Embedding(20, 8)]
    parts += [layers.GlobalAveragePooling1D(), layers.Dense(1)]
    return compiled(keras.Sequential(parts), keras.losses.BinaryCrossentropy(from_logits=True))


def fine_tuning() -> keras.Model:
    backbone = keras.Sequential([keras.Input((8,)), *dense(32, 16), layers.BatchNormalization()])
    backbone.trainable = False
    return compiled(keras.Sequential([backbone, layers.Dense(1)]))


def transformer() -> keras.Model:
    inputs = keras.Input((12,), dtype="int32")
    x = layers.Embedding(16, 32)(inputs) + layers.Embedding(12, 32)(np.arange(12))
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 8)(normal, normal)
        x = x + keras.Sequential(dense(64, 32))(layers.LayerNormalization()(x))
    outputs = layers.Dense(16)(layers.LayerNormalization()(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(keras.Model(inputs, outputs), loss)


TOKENS = np.random.default_rng(0).integers(0, 16, (SAMPLES, 12))
RARE = (np.random.default_rng(5).random((4096, 1)) < 0.005).astype("float32")
RARE_X = numbers(4096, 8, seed=6) + 2 * RARE
COUNTS = np.where(X[:, :1] > 1, np.exp(X[:, 1:2]), 0).astype("float32")
IMAGES = numbers(128, 16, 16, 1)
SEQUENCES = numbers(400, 6, 3)

CASES = {
    "own step, (x, y)": Case(lambda: compiled(PairStep()), {"x": X, "y": Y}),
    "own step, x alone": Case(lambda: compiled(Autoencoder(), None), {"x": X}),
    "VAE": Case(lambda: compiled(VAE(), None), {"x": X}),
    "GAN": Case(lambda: compiled(GAN(), None), {"x": X}, "d_loss", lower_is_better=False),
    "Siamese": Case(lambda: compiled(Siamese(), None), {"x": triplets()}),
    "two towers": Case(
        lambda: compiled(TwoTowers(), None), {"x": {"query": X, "item": X[:, ::-1].copy()}, "y": Y}
    ),
    "stateful RNN": Case(
        stateful, {"x": SEQUENCES, "y": SEQUENCES.mean((1, 2))[:, None], "batch_size": 20}
    ),
    "lengths that differ": Case(
        sequential((None, 3), lambda: [layers.GRU(8), layers.Dense(1)]), {"x": ragged_batches()}
    ),
    "U-Net": Case(unet, {"x": IMAGES, "y": (IMAGES > 0).astype("float32"), "batch_size": 8}),
    "imbalanced": Case(
        sequential(
            (8,), lambda: [*dense(32, 1), layers.Activation("sigmoid")], "binary_crossentropy"
        ),
        {"x": RARE_X, "y": RARE, "class_weight": {0: 0.5, 1: 100.0}},
    ),
    "zero-inflated": Case(sequential((8,), lambda: dense(32, 1)), {"x": X, "y": COUNTS}),
    "several inputs and outputs": Case(several, {"x": [X, X], "y": {"value": Y, "kind": CLASSES}}),
    "strings": Case(text, {"x": TEXTS, "y": WARM}),
    "fine-tuning, frozen backbone": Case(fine_tuning, {"x": X, "y": Y}),
    "transformer": Case(transformer, {"x": TOKENS, "y": np.cumsum(TOKENS, axis=1) % 16}),
}


def classifier(*, lora: bool) -> keras.Model:
    """Return keras-hub's text classifier with its preprocessor, small and from no preset."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=vocabulary)
    preprocess = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(vocabulary), max_sequence_length=8, **sizes
    )
    if lora:
        backbone.enable_lora(2)
    model = keras_hub.models.BertTextClassifier(backbone, 2, preprocessor=preprocess)
    return compiled(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True))


if keras_hub is not None:
    HUB_DATA = {"x": TEXTS, "y": WARM[:, 0].astype("int32")}
    CASES["keras-hub, with its preprocessor"] = Case(lambda: classifier(lora=False), HUB_DATA)
    CASES["keras-hub, LoRA"] = Case(lambda: classifier(lora=True), HUB_DATA)
