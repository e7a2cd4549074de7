"""The weights that evaluation in a fit uses, where an optimizer keeps an average of them."""

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import keras
import numpy as np

from keras_lr._keras.averaged_view import AveragedWeights, Read, Values, view_of
from keras_lr._keras.learning_rate import leaf_optimizers
from keras_lr._keras.schedule_free import is_schedule_free, weights_and_slots


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
        if self._swap._ema_weights_in_model:
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
            for pair in zip(*_moving_averages(leaf), strict=True)
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
        for callback in running_callbacks(model)
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
        slots += _moving_averages(leaf)[1]
        if is_schedule_free(leaf):
            slots += weights_and_slots(leaf, "_momentums")[1]
    return {id(slot) for slot in slots}


def running_callbacks(model: Any) -> list[Any]:
    """Return all callbacks of the fit, or loop of one's own, that is calling one of them now."""
    frame: FrameType | None = sys._getframe(1)  # its own locals would hold the frame: a cycle
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and caller._model is model:
            return list(caller.callbacks)
        frame = frame.f_back
    return []


def _moving_averages(leaf: Any) -> tuple[list[Any], list[Any]]:
    return weights_and_slots(leaf, "_model_variables_moving_average") if leaf.use_ema else ([], [])
