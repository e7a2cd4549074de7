"""The statistics of BatchNorm layers at the end of a run."""

from itertools import islice
from typing import Any

import keras

from keras_lr._engine.averages.batch_norm import batch_norm_layers, recompute_batch_norm_alone
from keras_lr._engine.batch_loss import has_custom_train_step
from keras_lr._keras.fit_data import fit_batches
from keras_lr._keras.workers import are_several

_AT_MOST = 200  # batches: more say the same


class FreshStatistics(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes the statistics of BatchNorm layers anew when the training ends.

    Moving averages with Keras' momentum of .99 look back over a hundred updates, when the weights
    were others; those of an averaged model never saw its weights at all. After a short run the loss
    that they give can be several times that of the weights.

    They stay as they are where the data can be read only once, where the training step is the
    user's own, which may not call the model with its data, and where several devices train it.
    """

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Run an epoch of training data, or a part of it, through the model. Called by `fit`."""
        model = self.model
        strategy = getattr(model, "distribute_strategy", None)
        on_several = are_several() or (strategy and strategy.num_replicas_in_sync > 1)
        if on_several or has_custom_train_step(model) or not batch_norm_layers(model):
            return
        batches = fit_batches(model)
        if batches is not None:
            recompute_batch_norm_alone(model, islice(batches(), _AT_MOST))
