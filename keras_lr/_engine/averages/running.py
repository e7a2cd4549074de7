"""Averages of a model's variables, moved on the device in one call."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from keras_lr._engine.averages.batch_norm import batch_norm_layers
from keras_lr._engine.state import TrainingState
from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW
from keras_lr._keras.variables import as_numpy, move_towards


def averaged_variables(model: Any) -> list[Any]:
    """Return what is averaged: floating weights in training, and the statistics of BatchNorm."""
    statistics = [each for layer in batch_norm_layers(model) for each in layer.variables]
    unique = {id(each): each for each in (*model.trainable_variables, *statistics)}
    return [each for each in unique.values() if "float" in each.dtype]


class RunningAverages:
    """Several averages of the same variables, in single precision at least.

    Args:
        variables: What is averaged.
        count: How many averages.
    """

    def __init__(self, variables: Sequence[Any], count: int) -> None:
        self.variables = list(variables)
        self.count = count
        kind = _JaxAverages if ON_JAX else _TensorFlowAverages if ON_TENSORFLOW else _TorchAverages
        self._held: _Held = kind(self.variables, count)

    def move(self, state: TrainingState, weights: Sequence[float]) -> None:
        """Do `average += weight * (value - average)` for every variable and average.

        With a weight of 1 it is the value to the bit: so the last weights are an average, too.

        Args:
            state: Where the values are.
            weights: One for each of the averages.
        """
        self._held.move(state, np.asarray(weights, "float32"))

    def read(self, index: int) -> list[np.ndarray]:
        """Return copies of one average's arrays, in the precision they are kept in."""
        return [np.array(as_numpy(each)) for each in self._held.averages[index]]

    def clear(self) -> None:
        """Set all to 0: one that is not finite would stay so, whatever its weight."""
        for index in range(self.count):
            self._held.write(index, _zeros(self.variables))

    def write(self, index: int, arrays: Sequence[np.ndarray]) -> None:
        """Set one average."""
        self._held.write(index, arrays)


class _Held(Protocol):
    averages: list[list[Any]]

    def move(self, state: TrainingState, weights: np.ndarray) -> None: ...

    def write(self, index: int, arrays: Sequence[np.ndarray]) -> None: ...


def _precision(variable: Any) -> str:
    return "float64" if variable.dtype == "float64" else "float32"


def _zeros(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.zeros(tuple(each.shape), _precision(each)) for each in variables]


class _JaxAverages:
    def __init__(self, variables: Sequence[Any], count: int) -> None:
        import jax

        self._variables = variables
        self.averages: list[list[Any]] = [_zeros(variables) for _ in range(count)]
        self._moved = jax.jit(_jax_moved)

    def move(self, state: TrainingState, weights: np.ndarray) -> None:
        values = [state.value(each) for each in self._variables]
        self.averages = self._moved(self.averages, values, weights)

    def write(self, index: int, arrays: Sequence[np.ndarray]) -> None:
        pairs = zip(self._variables, arrays, strict=True)
        self.averages[index] = [np.array(array, _precision(each)) for each, array in pairs]


def _jax_moved(averages: Any, values: Any, weights: Any) -> Any:
    import jax

    def one(average: Any, value: Any, weight: Any) -> Any:
        value = value.astype(average.dtype)
        moved = average + weight.astype(average.dtype) * (value - average)
        return jax.numpy.where(weight == 1.0, value, moved)

    return [
        [one(each, value, weights[index]) for each, value in zip(group, values, strict=True)]
        for index, group in enumerate(averages)
    ]


class _TensorFlowAverages:
    def __init__(self, variables: Sequence[Any], count: int) -> None:
        import tensorflow as tf

        self._tf, self._variables = tf, variables
        with tf.init_scope():
            self.averages: list[list[Any]] = [
                [tf.Variable(zeros, trainable=False) for zeros in _zeros(variables)]
                for _ in range(count)
            ]
        self._moved = tf.function(self._move_all)

    def move(self, state: TrainingState, weights: np.ndarray) -> None:
        self._moved(self._tf.constant(weights))

    def _move_all(self, weights: Any) -> None:
        cast = self._tf.cast
        for index, group in enumerate(self.averages):
            for average, variable in zip(group, self._variables, strict=True):
                kind = average.dtype
                value = cast(variable.value, kind)
                moved = average + cast(weights[index], kind) * (value - average)
                average.assign(self._tf.where(weights[index] == 1.0, value, moved))

    def write(self, index: int, arrays: Sequence[np.ndarray]) -> None:
        for average, array in zip(self.averages[index], arrays, strict=True):
            average.assign(array)


class _TorchAverages:
    def __init__(self, variables: Sequence[Any], count: int) -> None:
        import torch

        self._torch, self._variables = torch, variables
        self.averages: list[list[Any]] = [self._tensors(_zeros(variables)) for _ in range(count)]

    def move(self, state: TrainingState, weights: np.ndarray) -> None:
        with self._torch.no_grad():
            values = [each.value.detach() for each in self._variables]
            for group, weight in zip(self.averages, weights.tolist(), strict=True):
                wide = [value.to(each.dtype) for each, value in zip(group, values, strict=True)]
                move_towards(group, wide, weight)

    def write(self, index: int, arrays: Sequence[np.ndarray]) -> None:
        self.averages[index] = self._tensors(arrays)

    def _tensors(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        pairs = zip(self._variables, arrays, strict=True)
        return [
            self._torch.tensor(np.asarray(array, _precision(each)), device=each.value.device)
            for each, array in pairs
        ]
