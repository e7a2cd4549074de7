"""Models that people bring, in small: training steps of their own, and data that suit no `call`."""

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


class OwnStep(keras.Model):
    """A model whose training step is its own: a subclass says the losses of a batch by name.

    The first one is trained on. It has a `call` only where a subclass has.
    """

    def __init__(self, **networks):
        super().__init__()
        for name, network in networks.items():
            setattr(self, name, network)
        if BACKEND != "tensorflow":  # where `fit` asks this of every model
            self.built = True

    def losses_of(self, data):
        raise NotImplementedError

    def train_step(self, *arguments):
        step = {"jax": self._jax_step, "torch": self._torch_step}
        return step.get(BACKEND, self._tensorflow_step)(*arguments)

    def _first(self, losses):
        return next(iter(losses.values()))

    def _tensorflow_step(self, data):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            losses = self.losses_of(data)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(self._first(losses), weights), weights, strict=True)
        )
        return losses

    def _torch_step(self, data):
        import torch

        self.zero_grad()
        losses = self.losses_of(data)
        self._first(losses).backward()
        weights = self.trainable_variables
        with torch.no_grad():
            self.optimizer.apply([weight.value.grad for weight in weights], weights)
        return {name: loss.detach() for name, loss in losses.items()}

    def _jax_step(self, state, data):
        import jax

        trainable, other, optimizer, metrics = state

        def loss(values):
            mapping = [
                *zip(self.trainable_variables, values, strict=True),
                *zip(self.non_trainable_variables, other, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                losses = self.losses_of(data)
            new = [scope.get_current_value(each) for each in self.non_trainable_variables]
            new = [a if b is None else b for a, b in zip(other, new, strict=True)]
            return self._first(losses), (losses, new)

        (_, (losses, other)), gradients = jax.value_and_grad(loss, has_aux=True)(trainable)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return losses, (trainable, other, optimizer, metrics)


def network(inputs, *units):
    layers = [keras.layers.Dense(each, activation="tanh") for each in units[:-1]]
    return keras.Sequential([keras.Input((inputs,)), *layers, keras.layers.Dense(units[-1])])


class Pairs(OwnStep):
    """`x, y = data`, as in Keras' guide."""

    def losses_of(self, data):
        x, y = data
        return {"loss": ops.mean((self.inner(x) - y) ** 2)}


class Autoencoder(OwnStep):
    """`data` is x alone."""

    def losses_of(self, data):
        return {"loss": ops.mean((self.decoder(self.encoder(data)) - data) ** 2)}


class VAE(OwnStep):
    """With a seed generator, and no `call`."""

    def losses_of(self, data):
        mean, log_variance = ops.split(self.encoder(data), 2, axis=1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        code = mean + ops.exp(0.5 * log_variance) * noise
        rebuilt = ops.mean((self.decoder(code) - data) ** 2)
        spread = -0.5 * ops.mean(1 + log_variance - mean**2 - ops.exp(log_variance))
        return {"loss": rebuilt + 0.1 * spread, "rebuilt": rebuilt}


class Critic(OwnStep):
    """Half of a GAN: it reports "d_loss" and "g_loss", and no "loss"."""

    def losses_of(self, data):
        fake = self.generator(data[:, :3])
        real, made = self.critic(data), self.critic(fake)
        return {
            "d_loss": ops.mean((real - 1) ** 2) + ops.mean(made**2),
            "g_loss": ops.mean((made - 1) ** 2),
        }


class Triplets(OwnStep):
    """Its data are three x, of which its `call` takes one."""

    def call(self, x):
        return self.embedding(x)

    def losses_of(self, data):
        x = data[0] if len(data) == 1 else data
        anchor, positive, negative = (self(part) for part in x)
        near = ops.sum((anchor - positive) ** 2, axis=1)
        far = ops.sum((anchor - negative) ** 2, axis=1)
        return {"loss": ops.mean(ops.relu(near - far + 9.0))}


class TwoTowers(OwnStep):
    """In-batch negatives: the labels are the places in the batch."""

    def losses_of(self, data):
        query, item = data
        scores = self.left(query) @ ops.transpose(self.right(item))
        labels = ops.arange(ops.shape(scores)[0])
        loss = keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits=True)
        return {"loss": ops.mean(loss)}


def made(model, optimizer=None):
    model.compile(optimizer or keras.optimizers.Adam(1e-3), jit_compile=BACKEND == "jax")
    return model


def vae():
    model = VAE(encoder=network(6, 8, 4), decoder=network(2, 8, 6))
    model.seeds = keras.random.SeedGenerator(7)
    return made(model)


# By name: a function that returns a compiled model, the data of its `fit`, and what to watch.
MODELS = {
    "x and y": lambda: (made(Pairs(inner=network(6, 8, 1))), {"x": X, "y": Y}, None),
    "x alone": lambda: (
        made(Autoencoder(encoder=network(6, 3), decoder=network(3, 6))),
        {"x": X},
        None,
    ),
    "VAE": lambda: (vae(), {"x": X}, None),
    "GAN": lambda: (
        made(Critic(generator=network(3, 8, 6), critic=network(6, 8, 1))),
        {"x": X},
        "d_loss",
    ),
    "triplets": lambda: (
        made(Triplets(embedding=network(6, 8, 4))),
        {"x": (X, X + 0.1, X[::-1].copy())},
        None,
    ),
    "in-batch negatives": lambda: (
        made(TwoTowers(left=network(6, 8, 4), right=network(6, 8, 4))),
        {"x": X, "y": X[:, ::-1].copy()},
        None,
    ),
}
