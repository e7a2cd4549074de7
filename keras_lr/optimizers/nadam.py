"""Nadam with the momentum schedule as published; Keras 3 runs through it 250 times as fast."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_lr.errors import GREATEST, check_number


class ScheduledNadam(keras.optimizers.Nadam):  # type: ignore[misc]
    """Nadam whose momentum rises as `beta_1 * (1 - 0.5 * 0.96 ** (schedule_decay * t))`."""

    def __init__(self, *, schedule_decay: float = 1.0, **keras_arguments: Any) -> None:
        fix = "Pass 0.004 for Keras 2 and the paper, 1.0 for Keras 3"
        check_number("Nadam", fix, at_least=0.0, at_most=GREATEST, schedule_decay=schedule_decay)
        super().__init__(**keras_arguments)
        self.schedule_decay = float(schedule_decay)

    def get_config(self) -> dict[str, Any]:
        """Return what makes an equal optimizer."""
        return {**super().get_config(), "schedule_decay": self.schedule_decay}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its two moments."""
        dtype = variable.dtype
        gradient = ops.cast(gradient, dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        self.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))

        step = self.iterations + 1
        now, after = self._momentum(step, dtype), self._momentum(step + 1, dtype)
        product = ops.cast(self._u_product, dtype)  # of the momenta up to and with this step
        mean = ops.add(
            ops.multiply(m, after / (1 - product * after)),
            ops.multiply(gradient, (1 - now) / (1 - product)),
        )
        square = ops.divide(v, 1 - ops.power(self.beta_2, ops.cast(step, dtype)))
        rate = ops.cast(learning_rate, dtype)
        root = ops.add(ops.sqrt(square), self.epsilon)
        self.assign_sub(variable, ops.divide(ops.multiply(mean, rate), root))

    def _backend_update_step(
        self, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        momentum = self._momentum(self.iterations + 1, self._u_product.dtype)
        self.assign(self._u_product, ops.multiply(self._u_product, momentum))
        # Past Keras' Nadam, which would multiply by its own momentum as well.
        super(keras.optimizers.Nadam, self)._backend_update_step(
            grads, trainable_variables, learning_rate
        )

    def _momentum(self, step: Any, dtype: str) -> Any:
        exponent = ops.multiply(ops.cast(step, dtype), self.schedule_decay)
        return ops.multiply(1.0 - 0.5 * ops.power(0.96, exponent), self.beta_1)
