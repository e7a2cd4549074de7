"""Eighteen tasks with the answer known: data, model, loss, optimizer, batch size, steps.

`truth.json` holds, per task, the validation loss that each of 25 constant learning rates (1e-6
to 30) ends at after all steps (median of seeds 0, 1, 2; the first 600 validation rows), the best
value on the way (looked at every 50 steps: what a checkpoint keeps), and the same grid under 5 %
warm-up and cosine decay.
"""

import dataclasses
from collections.abc import Callable

import keras
from keras import losses, optimizers

from . import data, models


@dataclasses.dataclass(frozen=True)
class Task:
    """One training run whose best learning rate is known.

    Attributes:
        data: Gives `(x_train, y_train, x_validation, y_validation)`.
        model: Builds the model, its weights drawn from Keras' global seed.
        loss: Makes the loss.
        optimizer: Makes the optimizer with Keras' default learning rate.
        batch_size: Samples per step.
        steps: Training steps of the whole run.
    """

    data: Callable[[], data.Arrays]
    model: models.Builder
    loss: Callable[[], keras.Loss]
    optimizer: Callable[[], keras.Optimizer]
    batch_size: int
    steps: int

    def compiled(self, seed: int) -> keras.Model:
        """A fresh model, every random number drawn from `seed`."""
        keras.utils.set_random_seed(seed)
        model = self.model()
        model.compile(optimizer=self.optimizer(), loss=self.loss())
        return model


def _classes() -> keras.Loss:
    return losses.SparseCategoricalCrossentropy(from_logits=True)


def _labels() -> keras.Loss:
    return losses.BinaryCrossentropy(from_logits=True)


_squares = losses.MeanSquaredError


def _momentum() -> keras.Optimizer:
    return optimizers.SGD(momentum=0.9)


def _nesterov() -> keras.Optimizer:
    return optimizers.SGD(momentum=0.9, nesterov=True)


def _clipped_adamw() -> keras.Optimizer:
    return optimizers.AdamW(clipnorm=1.0)


TASKS = {
    "digits_mlp_adam": Task(
        data.digits, models.mlp(64, [64, 32], 10), _classes, optimizers.Adam, 32, 1000
    ),
    "digits_bigbatch_sgdm": Task(
        data.digits, models.mlp(64, [64], 10, "tanh"), _classes, _momentum, 512, 500
    ),
    "digits_cnn_sgdm": Task(data.digits_images, models.image_cnn(), _classes, _momentum, 32, 500),
    "digits_raw_sgd": Task(
        data.digits_not_normalised, models.mlp(64, [48], 10), _classes, optimizers.SGD, 32, 1000
    ),
    "digits_ae_rmsprop": Task(
        data.digits_to_themselves, models.mlp(64, [32], 64), _squares, optimizers.RMSprop, 64, 1000
    ),
    "wine_mlp_sgdm_b8": Task(data.wine, models.mlp(13, [32], 3), _classes, _nesterov, 8, 500),
    "friedman_mlp_adam": Task(
        data.friedman, models.mlp(10, [64, 64], 1), _squares, optimizers.Adam, 32, 1000
    ),
    "teacher_mlp_sgdm": Task(data.teacher, models.mlp(20, [64], 1), _squares, _momentum, 64, 1500),
    "illcond_linear_sgd": Task(
        data.ill_conditioned, models.mlp(30, [], 1), _squares, optimizers.SGD, 32, 1500
    ),
    "deep_narrow_adam": Task(
        data.spirals,
        models.mlp(2, [12] * 8, 1, initializer="he_normal"),
        _labels,
        optimizers.Adam,
        32,
        1500,
    ),
    "imbalanced_adamw": Task(
        data.imbalanced, models.mlp(20, [32, 16], 1), _labels, optimizers.AdamW, 128, 800
    ),
    "multilabel_sgdm_drop": Task(
        data.half_spaces, models.mlp(40, [96], 12, dropout=0.3), _labels, _momentum, 64, 1000
    ),
    "mnist1d_cnn_adam": Task(data.mnist1d, models.signal_cnn(), _classes, optimizers.Adam, 32, 800),
    "mnist1d_mlp_lion": Task(
        data.mnist1d, models.mlp(40, [96, 48], 10), _classes, optimizers.Lion, 64, 1000
    ),
    "recsys_mf_adagrad": Task(
        data.ratings, models.factorization(), _squares, optimizers.Adagrad, 128, 1500
    ),
    "charlm_transf_adamw": Task(
        data.characters, models.transformer(), _classes, _clipped_adamw, 8, 600
    ),
    "sines_gru_adam": Task(data.sines, models.gru(24, 1), _squares, optimizers.Adam, 32, 600),
    "long_teacher_adam": Task(
        data.teacher_long, models.mlp(24, [32, 16], 1), _squares, optimizers.Adam, 16, 8000
    ),
}
