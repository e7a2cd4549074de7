"""RMSprop and Adagrad with `epsilon` outside the root, as in Keras 2; Keras 3 has it inside.

Steps are `rate * g / (sqrt(a) + epsilon)` in the first and `rate * g / sqrt(a + epsilon)` in the
second, which divides by no less than the root of `epsilon`: 3e-4, with the default of 1e-7.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_lr.errors import check_choice, complaint
from keras_lr.optimizers.decay import backend_class


class KerasTwoEpsilon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The step both share, if asked for; else everything is left to the Keras optimizer behind."""

    def __init__(self, *, epsilon_outside_root: bool = False, **keras_arguments: Any) -> None:
        owner = type(self).__name__
        if not isinstance(epsilon_outside_root, np.bool_):
            check_choice(owner, (True, False), epsilon_outside_root=epsilon_outside_root)
        super().__init__(**keras_arguments)
        self.epsilon_outside_root = bool(epsilon_outside_root)

    def get_config(self) -> dict[str, Any]:
        """Return what makes an equal optimizer."""
        return {**super().get_config(), "epsilon_outside_root": self.epsilon_outside_root}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and what is kept of its squared gradients."""
        if not self.epsilon_outside_root:
            super().update_step(gradient, variable, learning_rate)
            return
        # On TensorFlow an Embedding's gradient is a list of rows, which may repeat. What is squared
        # must be their sum: reshaping makes it.
        gradient = ops.reshape(ops.cast(gradient, variable.dtype), variable.shape)
        rate = ops.cast(learning_rate, variable.dtype)
        kept = self._keep(ops.square(gradient), self._get_variable_index(variable))
        root = ops.add(ops.sqrt(kept), self.epsilon)
        self.assign_sub(variable, ops.divide(ops.multiply(gradient, rate), root))

    def _keep(self, square: Any, index: int) -> Any:
        """Take the newest squared gradient in; return what the root is taken of."""
        raise NotImplementedError

    def _backend_update_step(
        self, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        if self.epsilon_outside_root:
            # Past torch's own, which updates all variables in one call and not by `update_step`.
            keras.optimizers.Optimizer._backend_update_step(
                self, grads, trainable_variables, learning_rate
            )
        else:
            super()._backend_update_step(grads, trainable_variables, learning_rate)


class RMSpropOutsideRoot(KerasTwoEpsilon, backend_class(keras.optimizers.RMSprop)):  # type: ignore[misc]
    """RMSprop: the root is that of the mean, `a = rho * a + (1 - rho) * g ** 2`."""

    def __init__(self, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        if self.epsilon_outside_root and (self.momentum or self.centered):
            rule = "epsilon_outside_root is for the plain update, as Keras 2 had no other"
            fix = "Leave it out, or momentum and centered"
            received = {"momentum": self.momentum, "centered": self.centered}
            raise ValueError(complaint(type(self).__name__, rule, fix, **received))

    def _keep(self, square: Any, index: int) -> Any:
        mean = self._velocities[index]
        self.assign_add(mean, ops.multiply(ops.subtract(square, mean), 1 - self.rho))
        return mean


class AdagradOutsideRoot(KerasTwoEpsilon, backend_class(keras.optimizers.Adagrad)):  # type: ignore[misc]
    """Adagrad: the root is that of the sum, `a = a + g ** 2`."""

    def _keep(self, square: Any, index: int) -> Any:
        total = self._accumulators[index]
        self.assign_add(total, square)
        return total
