"""The weights that evaluation in a fit uses, where an optimizer keeps an average of them."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_lr._engine.averages.schedule_free import is_schedule_free
from keras_lr._engine.averages.view import AveragedWeights, Read, Values, view_of
from keras_lr._keras.optimizers import leaf_optimizers, momentum_slots, moving_averages
from keras_lr._keras.peers import averages_are_in_model, callbacks_of_caller


class EMAWeights:
    """The moving averages of `use_ema=True` in a fit with `keras.callbacks.SwapEMAWeights`.

    Args:
        model: The model in `fit`.
        swap: The callback, which exchanges weights and averages for each evaluation, and with
            `swap_on_epoch=True` also at the end of each epoch.
    """

    def __init__(self, model: Any, swap: keras.callbacks.SwapEMAWeights) -> None:
        self._model, self._swap = model, swap

    def averaged_values(self, read: Read) -> Values:
        """Return the average of each variable that has one. See `AveragedWeights`."""
        return {id(variable): read(self.place(slot)) for variable, slot in self._pairs()}

    def training_values(self, averages: Mapping[int, np.ndarray], read: Read) -> Values:
        """Return nothing: the training weights are not made of the averages."""
        return {}

    def place(self, variable: Any) -> Any:
        """Return the variable that holds a weight's or an average's value at present."""
        if averages_are_in_model(self._swap):
            for weight, average in self._pairs():
                if variable is weight:
                    return average
                if variable is average:
                    return weight
        return variable

    def go_back_to(self, averages: Mapping[int, np.ndarray]) -> None:
        """Do nothing: the averages are variables of the optimizer. See `AveragedWeights`."""

    def _pairs(self) -> list[tuple[Any, Any]]:
        return [
            pair
            for leaf in leaf_optimizers(self._model.optimizer)
            for pair in zip(*moving_averages(leaf), strict=True)
        ]


def average_in_use(model: Any) -> AveragedWeights | None:
    """Return the average that evaluation in the running fit uses; None if it uses the weights.

    To be called in an epoch's callbacks, when all of them have begun.

    Args:
        model: The model in `fit`.
    """
    view = view_of(model)
    if view is not None and view.is_current:
        return view.weights
    swaps = [
        callback
        for callback in callbacks_of_caller(model)
        if isinstance(callback, keras.callbacks.SwapEMAWeights)
    ]
    return EMAWeights(model, swaps[0]) if swaps else None


def evaluated_values(
    model: Any, read: Read, average: AveragedWeights | None = None
) -> list[np.ndarray]:
    """Return one array per weight of a model: the values that evaluation uses.

    Args:
        model: The model in training.
        read: Reads a variable.
        average: What `average_in_use` returned.
    """
    averages = {} if average is None else average.averaged_values(read)
    return [
        averages[id(variable)] if id(variable) in averages else read(variable)
        for variable in model.weights
    ]


def weights_in_optimizer(model: Any) -> set[int]:
    """Return the `id`s of the optimizer variables that are weights: averages, and what moves them.

    They belong to the model's weights, and go back with these.
    """
    slots: list[Any] = []
    for leaf in leaf_optimizers(model.optimizer):
        slots += moving_averages(leaf)[1]
        if is_schedule_free(leaf):
            slots += momentum_slots(leaf)[1]
    return {id(slot) for slot in slots}
