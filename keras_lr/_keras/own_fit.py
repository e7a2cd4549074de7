"""The batches that a model's own `fit` makes, where it is not Keras': seen, and not trained on.

Such a `fit` may do anything to the data, as that of a KerasHub task with a preprocessor does; so
what a step is given is taken from it as it comes to the step.
"""

import sys
import warnings
from typing import Any

import keras

from keras_lr._keras.data import Batch, FitData
from keras_lr._keras.executions import batches_of_execution
from keras_lr._keras.fit_effects import fit_effects_kept
from keras_lr._keras.patch import Patch
from keras_lr._keras.random import random_state_kept, seed_generators


def has_own_fit(model: Any) -> bool:
    """Return whether a model's `fit` is the user's own, or another library's, instead of Keras'."""
    if model is None:
        return False
    owner = next(base for base in type(model).__mro__ if "fit" in vars(base))
    return "fit" in vars(model) or not owner.__module__.startswith("keras.")


def batches_of_own_fit(
    model: Any, data: FitData, count: int, seed: int
) -> tuple[list[Batch], int | None]:
    """Return the first batches of an epoch, and how many an epoch has, None where `fit` cannot say.

    The model is not trained, and the global random generators are not touched.

    Args:
        model: A compiled model.
        data: What to hand to its `fit`.
        count: How many batches at most.
        seed: Of the generators that `fit` shuffles by.
    """
    reader = _Reader(model, count)
    attributes, before = vars(model), model.train_function
    # At its end `fit` reads the metrics, which no step has built, and may put averages into the
    # weights; there is nothing to average.
    metrics = Patch(model, "get_metrics_result", dict)
    averages = Patch(model.optimizer, "finalize_variable_values", lambda variables: None)
    with fit_effects_kept(model), random_state_kept(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        seed_generators(seed)
        attributes["train_function"] = reader
        try:
            model.fit(**data.arguments, epochs=1, verbose=0, callbacks=[reader])
        finally:
            metrics.remove()
            averages.remove()
            attributes["train_function"] = before
    return reader.batches, reader.steps


def prepared_by_own_fit(model: Any, data: FitData) -> FitData:
    """Return data as a model's own `fit` prepares it for a step; unchanged, if that is Keras'."""
    if not has_own_fit(model):
        return data
    batches, _ = batches_of_own_fit(model, data, data.steps_per_epoch or sys.maxsize, 0)
    return FitData(x=Listed(batches), steps_per_epoch=data.steps_per_epoch)


class Listed(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches that are there already."""

    def __init__(self, batches: list[Batch]) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        batch = self._batches[index]
        return batch if isinstance(batch, tuple | dict) else (batch,)


class _Reader(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes the place of a model's train function, and keeps the batches it is called with."""

    def __init__(self, model: Any, count: int) -> None:
        super().__init__()
        self._trained = model  # on JAX, asking for `model` would sync
        self._count = count
        self.batches: list[Batch] = []
        self.steps: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Note the number of steps. Called by `fit`."""
        self.steps = self.params.get("steps")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """End the fit when there are enough batches. Called by `fit`."""
        if len(self.batches) >= self._count:
            self.model.stop_training = True

    def __call__(self, *arguments: Any) -> Any:
        """Take what `fit` hands to its train function, and return what that would."""
        *carried, execution = arguments
        found = list(batches_of_execution(self._trained, execution))
        self.batches += found[: self._count - len(self.batches)]
        return ({}, carried[0]) if carried else {}
