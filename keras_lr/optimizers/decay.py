"""Hyperbolic decay inside a Keras optimizer: every update divides the learning rate.

`InverseTimeDecay` is put in front of a Keras optimizer class. Keras multiplies the step and
decoupled weight decay by what `optimizer.learning_rate` is during `apply`; that is the one place
that is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import keras
import numpy as np
from keras import ops

from keras_lr._keras.variables import as_numpy, read_variable
from keras_lr.errors import GREATEST, check_number, complaint
from keras_lr.optimizers.arguments import checked_arguments

_P = ParamSpec("_P")


def backend_class(optimizer: Any) -> Any:
    """Return the class Keras really makes when `optimizer` is called on this backend.

    On torch that is a subclass which updates all weights in one call; deriving from the public
    class would miss it. Making no instance, this creates no variable while modules are imported.
    """
    return type(optimizer.__new__(optimizer))


def _lr_alone_positional(init: Callable[_P, None]) -> Callable[_P, None]:
    """Refuse a second positional argument in the name of the class called, not of this module."""

    @wraps(init)  # so that the signature stays the one written
    def checked(*positional: _P.args, **by_name: _P.kwargs) -> None:
        optimizer, *arguments = positional
        if len(arguments) > 1:
            rule, fix = "only lr is positional", "Pass decay, and all others, by name"
            received = {"arguments": tuple(arguments)}
            raise TypeError(complaint(type(optimizer).__name__, rule, fix, **received))
        init(*positional, **by_name)

    return checked


class InverseTimeDecay(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The part all decaying optimizers share: `lr`, `decay` and the division in each update.

    `decay` is an optimizer variable beside the learning rate, so it can be set in mid-training
    without a retrace, JAX carries it through its state, and it is saved with the moments.
    """

    _applying = False

    @_lr_alone_positional
    def __init__(
        self,
        lr: Any = None,
        *,
        decay: float = 0.0,
        learning_rate: Any = None,
        **keras_arguments: Any,
    ) -> None:
        if lr is not None and learning_rate is not None:
            rule = "lr and learning_rate are one argument under two names"
            received = {"lr": lr, "learning_rate": learning_rate}
            raise ValueError(complaint(type(self).__name__, rule, "Pass one of them", **received))
        start = learning_rate if lr is None else lr
        if start is not None:  # else Keras' own default
            keras_arguments["learning_rate"] = self._checked_rate(start, decay)
        if "epsilon" in keras_arguments and keras_arguments["epsilon"] is None:
            del keras_arguments["epsilon"]  # Keras 2 meant "the default" by None
        super().__init__(**checked_arguments(type(self), keras_arguments))
        self._decay = self.add_variable(shape=(), aggregation="only_first_replica", name="decay")
        self._decay.assign(self._checked("decay", decay))

    @property
    def lr(self) -> float:
        """Base learning rate: what the first update uses. Setting it takes effect at once.

        Reads as the shortest decimal that is the same number in the variable's precision, so that
        `optimizer.lr == 1e-3` holds after `optimizer.lr = 1e-3`.
        """
        return self._read("lr", super()._get_current_learning_rate)

    @lr.setter
    def lr(self, value: float) -> None:
        self._check_attached("lr")
        if callable(self._learning_rate) and not isinstance(self._learning_rate, keras.Variable):
            rule = "lr cannot be set while a schedule gives the learning rate"
            fix = "Make the optimizer with a number, or set learning_rate to another schedule"
            raise TypeError(complaint(type(self).__name__, rule, fix, lr=value))
        self._learning_rate.assign(self._checked("lr", value))

    @property
    def decay(self) -> float:
        """Decay per update, at least 0. Setting it takes effect at once, for the whole past too.

        `decay = d` after n updates goes on with `lr / (1 + d * n)`.
        """
        return self._read("decay", lambda: self._decay)

    @decay.setter
    def decay(self, value: float) -> None:
        self._check_attached("decay")
        number = self._checked("decay", value)
        if number and not isinstance(self._learning_rate, keras.Variable):
            self._refuse_schedule(self._learning_rate, value)
        self._decay.assign(number)

    @property
    def effective_learning_rate(self) -> float:
        """Learning rate of the next update, `lr / (1 + decay * updates so far)`: for logs."""
        return self._read("effective_learning_rate", self._get_current_learning_rate)

    @property
    def learning_rate(self) -> Any:
        """Base learning rate as Keras holds it: a variable, or the value of the schedule now.

        It is the base and not the effective value because Keras' callbacks read it, multiply it
        and write it back; the effective value would then be decayed twice. Only while an update is
        computed does it give the effective value, which is how Keras comes to use it.
        """
        if self._applying:
            return self._get_current_learning_rate()
        return super()._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if not callable(value) or isinstance(value, keras.Variable):
            self.lr = value
            return
        self._check_attached("learning_rate")
        keras.optimizers.Optimizer.learning_rate.fset(self, self._checked_rate(value, self.decay))

    @contextmanager
    def decay_off(self) -> Iterator[None]:
        """Hold the learning rate at `lr`, whatever the update, inside a `with` block.

        Afterwards `decay` is put back bit for bit.
        """
        self._check_attached("decay")
        held = read_variable(self._decay)
        self._decay.assign(np.zeros_like(held))
        try:
            yield
        finally:
            self._check_attached("decay")
            self._decay.assign(held)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the variables by their gradients, at the effective learning rate."""
        self._applying = True
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._applying = False

    def get_config(self) -> dict[str, Any]:
        """Return what makes an equal optimizer: `type(self).from_config(config)`."""
        config: dict[str, Any] = super().get_config()
        if isinstance(self._learning_rate, keras.Variable):
            config["learning_rate"] = self.lr
        return {**config, "decay": self.decay}

    def load_own_variables(self, store: Any) -> None:
        """Load saved variables, also those of the plain Keras optimizer, which have no decay."""
        plain = [variable for variable in self.variables if variable is not self._decay]
        if len(store.keys()) != len(plain):
            super().load_own_variables(store)
            return
        for index, variable in enumerate(plain):
            variable.assign(store[str(index)])

    def _get_current_learning_rate(self) -> Any:
        base = super()._get_current_learning_rate()
        updates = ops.cast(self.iterations, self._decay.dtype)
        return ops.divide(base, ops.add(ops.multiply(self._decay, updates), 1.0))

    def _read(self, name: str, rate: Any) -> float:
        self._check_attached(name)
        return float(str(as_numpy(ops.convert_to_tensor(rate()))))

    def _check_attached(self, name: str) -> None:
        # Between two batches JAX' fit holds the only copy of the variables. A value written here
        # would be overwritten unseen, and a value read would be the one from before the fit.
        if self._decay._value is None:
            rule = f"{name} is out of reach of a kept optimizer while fit trains on JAX"
            fix = f"Use self.model.optimizer.{name} in a callback: self.model fetches the state"
            raise RuntimeError(complaint(type(self).__name__, rule, fix, optimizer=self.name))

    def _checked(self, name: str, value: Any) -> float:
        if ops.is_tensor(value) or isinstance(value, keras.Variable | np.ndarray):
            array = as_numpy(ops.convert_to_tensor(value))
            value = array.item() if array.ndim == 0 else value
        owner, fix = type(self).__name__, "Pass a number of at least 0"
        check_number(owner, fix, at_least=0.0, at_most=GREATEST, **{name: value})
        return float(value)

    def _checked_rate(self, rate: Any, decay: float) -> Any:
        if not callable(rate) or isinstance(rate, keras.Variable):
            return self._checked("lr", rate)
        if decay:
            self._refuse_schedule(rate, decay)
        return rate

    def _refuse_schedule(self, rate: Any, decay: float) -> None:
        rule = "decay works on a learning rate that is a number, not on a schedule"
        fix = (
            "Keep decay=0 and multiply the schedule by the decay: "
            f"schedule * keras_lr.schedules.InverseTime(1.0, {decay!r}), a schedule of Keras after "
            "wrapping it in keras_lr.schedules.FromCallable"
        )
        raise ValueError(complaint(type(self).__name__, rule, fix, learning_rate=rate, decay=decay))
