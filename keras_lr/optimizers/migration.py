"""From the arguments of a Keras 2 optimizer to the Keras 3 optimizer with the same trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_lr.errors import GREATEST, check_number, complaint
from keras_lr.optimizers import decayed

# What Keras 2.2.4 accepted, by optimizer, beside lr, clipnorm, clipvalue and name.
_ACCEPTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "SGD": ("momentum", "decay", "nesterov"),
        "RMSprop": ("rho", "epsilon", "decay"),
        "Adagrad": ("epsilon", "decay"),
        "Adadelta": ("rho", "epsilon", "decay"),
        "Adam": ("beta_1", "beta_2", "epsilon", "decay", "amsgrad"),
        "Adamax": ("beta_1", "beta_2", "epsilon", "decay"),
        "Nadam": ("beta_1", "beta_2", "epsilon", "schedule_decay"),
    }
)
# Its learning rates where none was given. All other defaults that Keras 3 changed are set below.
_RATES: Mapping[str, float] = MappingProxyType(
    {
        "SGD": 0.01,
        "RMSprop": 0.001,
        "Adagrad": 0.01,
        "Adadelta": 1.0,
        "Adam": 0.001,
        "Adamax": 0.002,
        "Nadam": 0.002,
    }
)
_EPSILON = 1e-7  # K.epsilon(), in Keras 2 and 3


@dataclass(frozen=True)
class Migration:
    """What `migrate` made of old arguments; prints as the new call and what was done, line by line.

    Attributes:
        optimizer: The new optimizer, ready for `model.compile`.
        call: str, the call that makes it, to paste into the code.
        notes: tuple of str, one sentence for each thing that changed or must be known.

    Example:
        >>> from keras_lr import migrate
        >>> migrate("sgd", lr=0.01, decay=1e-6).call
        'keras_lr.optimizers.SGD(lr=0.01, decay=1e-06)'
    """

    optimizer: Any = field(repr=False)
    call: str
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([self.call, *(f"  - {note}" for note in self.notes)])


def migrate(optimizer: str | type, /, **old_arguments: Any) -> Migration:
    """Turn the arguments of a Keras 2.2 optimizer into the Keras 3 optimizer with its trajectory.

    In update i = 0, 1, ... both use `lr / (1 + decay * i)`. Arguments not given have the defaults
    of Keras 2.2, which are not always those of Keras 3.

    The trajectory is the same up to rounding, however small the gradients are. One exception, on
    TensorFlow: where a batch looks up a row of an `Embedding` n times, Keras 3 squares the n parts
    of its gradient and not their sum, in all but `SGD`, `RMSprop` and `Adagrad`, and in norms to
    clip by. `Adam` then goes up to `sqrt(n)` times as far as it did, and as on JAX and torch.

    Args:
        optimizer: Name (any case) or class: SGD, RMSprop, Adagrad, Adadelta, Adam, Adamax, Nadam.
        **old_arguments: The keyword arguments of the old call, or the `config` dictionary of an old
            model file. `learning_rate` is taken as `lr` and `name` is kept.

    Returns:
        A `Migration`. Its `optimizer` goes to `model.compile`; print it once to see the new call.

    Raises:
        ValueError: If Keras 2.2 had no such optimizer or argument, if both `lr` and `learning_rate`
            are given, if both `clipnorm` and `clipvalue` are, or if a value is out of its range.
        TypeError: If `optimizer` is neither, or a number is not one.

    Example:
        >>> from keras_lr import migrate
        >>> migration = migrate("adam", lr=0.002, decay=1e-4, epsilon=None)
        >>> migration
        keras_lr.optimizers.Adam(lr=0.002, decay=0.0001)
          - decay: per update, not per epoch: the learning rate is halved after 10000 batches.
          - epsilon=None: the default, 1e-07, as before.
        >>> migration.optimizer.decay
        0.0001

    Reference:
        Keras 2.2.4, `keras/optimizers.py`.
    """
    name = _known_name(optimizer)
    old = _known_arguments(name, old_arguments)
    new: dict[str, Any] = {"lr": _RATES[name], **old}
    translations = (_rate, _decay, _epsilon, _root, _accumulator, _momentum, _clipping)
    notes = [note for translate in translations if (note := translate(name, old, new))]
    made = getattr(decayed, name)(**new)  # which checks the rest
    call = ", ".join(f"{argument}={_plain(value)!r}" for argument, value in new.items())
    return Migration(made, f"keras_lr.optimizers.{name}({call})", tuple(notes))


def _plain(value: Any) -> Any:
    """Return a number as one that prints as Python code."""
    is_python = isinstance(value, bool | int | float) and not isinstance(value, np.generic)
    return value if is_python or not isinstance(value, Real) else float(value)


def _known_name(optimizer: str | type) -> str:
    if not isinstance(optimizer, str | type):
        rule, fix = "optimizer must be a name or a class", 'Pass "sgd", for example'
        raise TypeError(complaint("migrate", rule, fix, optimizer=optimizer))
    wanted = optimizer if isinstance(optimizer, str) else optimizer.__name__
    for name in _ACCEPTED:
        if name.lower() == wanted.lower():
            return name
    rule = f"optimizer must be one that Keras 2.2 had: {', '.join(_ACCEPTED)}"
    raise ValueError(complaint("migrate", rule, "Pass its name or class", optimizer=optimizer))


def _known_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if "lr" in arguments and "learning_rate" in arguments:
        rule = "lr and learning_rate are one argument under two names"
        both = {key: arguments[key] for key in ("lr", "learning_rate")}
        raise ValueError(complaint("migrate", rule, "Pass one of them", **both))
    accepted = ("lr", *_ACCEPTED[name], "clipnorm", "clipvalue", "name")
    old = {"lr" if key == "learning_rate" else key: value for key, value in arguments.items()}
    for key, value in old.items():
        if key not in accepted:
            rule = f"{key} was no argument of {name} in Keras 2.2 ({', '.join(accepted)})"
            fix = "Leave it out here and add it to the new call"
            raise ValueError(complaint("migrate", rule, fix, **{key: value}))
    return old


# Each of these puts one thing right in `new` and returns the sentence about it, if there is one.


def _rate(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    return "" if "lr" in old else f"lr: {new['lr']} was the default in Keras 2."


def _decay(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    decay = old.get("decay", 0.0)
    check_number("migrate", "Pass the old decay", at_least=0.0, at_most=GREATEST, decay=decay)
    decay = float(decay)
    if not decay:
        return ""
    updates = f"{1 / decay:.0f}" if decay <= 1 else f"{1 / decay:.2g}"
    return f"decay: per update, not per epoch: the learning rate is halved after {updates} batches."


def _epsilon(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    epsilon = new.pop("epsilon", None)
    number = _EPSILON if epsilon is None else epsilon
    check_number("migrate", "Pass the old epsilon, or None", at_least=0.0, epsilon=number)
    if epsilon is not None:
        new["epsilon"] = number
    if "epsilon" in old and epsilon is None:
        return f"epsilon=None: the default, {_EPSILON:g}, as before."
    return ""


def _root(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    if name not in ("RMSprop", "Adagrad"):
        return ""
    new["epsilon_outside_root"] = True
    change = "Keras 2 divided by sqrt(v) + epsilon, Keras 3 by sqrt(v + epsilon)"
    return f"epsilon_outside_root: {change}."


def _accumulator(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    if name != "Adagrad":
        return ""
    new["initial_accumulator_value"] = 0.0
    return "initial_accumulator_value: sums of squares started at 0 in Keras 2; now 0.1 by default."


def _momentum(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    if name == "SGD" and "momentum" in old:
        check_number("migrate", "Pass the old momentum", at_least=0.0, momentum=old["momentum"])
        new["momentum"] = float(old["momentum"])  # Keras 3 refuses an int
    if name != "Nadam":
        return ""
    new["schedule_decay"] = old.get("schedule_decay", 0.004)
    return (
        f"schedule_decay={new['schedule_decay']}: Keras 3's own Nadam has no such argument and "
        "behaves as with 1.0: its momentum rises 250 times as fast as Keras 2's by default."
    )


def _clipping(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    clipnorm, clipvalue = new.pop("clipnorm", None), old.get("clipvalue")
    if clipnorm is not None and clipvalue is not None:
        rule = "Keras 3 clips by norm or by value, not by one after the other"
        raise ValueError(
            complaint("migrate", rule, "Leave one out", clipnorm=clipnorm, clipvalue=clipvalue)
        )
    if clipvalue is None:
        new.pop("clipvalue", None)
    if clipnorm is None:
        return ""
    new["global_clipnorm"] = clipnorm
    return "clipnorm: Keras 2 clipped by the norm of all gradients together: now global_clipnorm."
