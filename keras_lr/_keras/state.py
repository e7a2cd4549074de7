"""Everything a run changes, kept in memory and put back bit for bit."""

import contextlib
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state  # where Keras keeps its global seed generator
from keras.src.random.seed_generator import make_default_seed

from keras_lr._checks import complaint
from keras_lr._keras.backend import ON_JAX, ON_TORCH
from keras_lr._keras.build import layers_of
from keras_lr._keras.patch import Patch
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.values import read_variable, rounding, write_variable
from keras_lr._keras.versions import GLOBAL_SEED_GENERATOR
from keras_lr._warnings import warn


class VariableSnapshot:
    """Copies of variables' values, on the host."""

    def __init__(self, variables: Iterable[Any], read: Callable[[Any], np.ndarray]) -> None:
        unique = {id(variable): variable for variable in variables}
        self._values = [(variable, read(variable)) for variable in unique.values()]

    def __iter__(self) -> Iterator[tuple[Any, np.ndarray]]:
        return iter(self._values)

    def restore(self, write: Callable[[Any, np.ndarray], None]) -> None:
        """Hand every variable and its old value to `write`."""
        for variable, value in self._values:
            write(variable, value)


class RandomSnapshot:
    """The states of the global random generators: Python's, NumPy's, Keras' and torch's."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
        held = [self._generator.state] if self._generator else []
        self._keras = VariableSnapshot(held, read_variable)
        self._torch_in_use = "torch" in sys.modules  # on other backends too, by a DataLoader
        if self._torch_in_use:
            import torch

            self._torch = torch.get_rng_state()
            self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore(self) -> None:
        """Put every generator back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        self._keras.restore(write_variable)
        generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
        if generator is not self._generator:
            # Made meanwhile. A compiled step may hold on to it, so it is not dropped, but gets the
            # seed that it would draw from Python's generator, were it made now.
            write_variable(generator.state, np.array([make_default_seed(), 0]))
        if self._torch_in_use:
            import torch

            torch.set_rng_state(self._torch)
            if self._cuda:
                torch.cuda.set_rng_state_all(self._cuda)


def other_optimizers(model: Any) -> list[Any]:
    """Return optimizers that a model holds beside its compiled one, as a GAN does for its critic.

    On JAX there are none: Keras' own `fit` has no way to train with them.
    """
    held = [value for value in vars(model).values() if isinstance(value, keras.Optimizer)]
    compiled = vars(model).get("optimizer")
    return [] if ON_JAX else [each for each in held if each is not compiled]


def uncounted_variables(model: Any) -> list[Any]:
    """Return variables that layers hold and Keras does not count: the states of stateful RNNs.

    On JAX there are none: a training step cannot change what Keras does not count.
    """
    if ON_JAX:
        return []
    held = [_variables_in(value) for layer in layers_of(model) for value in vars(layer).values()]
    return list(chain.from_iterable(held))


def _variables_in(value: Any) -> Iterator[Any]:
    if isinstance(value, keras.Variable):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _variables_in(each)


def make_new(optimizer: Any) -> None:
    """Give an optimizer the values it is built with."""
    new = type(optimizer).from_config(optimizer.get_config())
    new.build(optimizer._trainable_variables)
    for variable, fresh in zip(optimizer.variables, new.variables, strict=True):
        write_variable(variable, read_variable(fresh))


class ModelSnapshot:
    """A model and its optimizer before a run's first step: every variable, every attribute."""

    def __init__(self, model: Any, state: TrainingState) -> None:
        self._model = model
        others = other_optimizers(model)
        held = [variable for each in others if each.built for variable in each.variables]
        self._not_built = [each for each in others if not each.built]
        held += uncounted_variables(model)
        self._variables = VariableSnapshot([*model_variables(model), *held], state.read)
        self._attributes = {
            name: value
            for name, value in vars(model).items()
            if name not in FIT_ATTRIBUTES and not isinstance(value, Patch)
        }

    def restore_values(self, state: TrainingState) -> None:
        """Put the variables back in the middle of `fit`."""
        self._variables.restore(state.write)
        self._renew()

    def present(self, state: TrainingState) -> dict[int, np.ndarray]:
        """Return what the variables hold now, by their `id`."""
        return {id(variable): state.read(variable) for variable, _ in self._variables}

    def restore_unchanged(
        self, owner: str, rates: Mapping[int, float], left: Mapping[int, np.ndarray] | None
    ) -> None:
        """Put back, some time after a run was cut off, what has not been changed since.

        Warn of what was. The attributes of the model are left as they are.

        Args:
            owner: The public name the user called.
            rates: The learning rates that the run wrote last, by the `id` of the variable.
            left: The values that the run has left, if they are known.
        """
        kept = set()
        if vars(self._model).get("optimizer") is not self._attributes.get("optimizer"):
            kept.add("optimizer")
        for variable, value in self._variables:
            if variable._value is not None:  # else a `fit` on JAX has taken it along
                present = read_variable(variable)
                rate = rates.get(id(variable))
                ours = present if left is None else left.get(id(variable), present)
                set_since = rate is not None and abs(present - rate) > rounding(variable, rate)
                if set_since or not np.array_equal(present, ours, equal_nan=_has_nan(present)):
                    kept.add("learning rate" if set_since else variable.name)
                    continue
            write_variable(variable, value)
        if kept:
            rule = "a run that was cut off has been undone, but for what was changed since"
            fix = f"To have all of it undone at once, run it in `with {owner}(...)`"
            warn(complaint(owner, rule, fix, kept=", ".join(sorted(kept))))

    def restore(self) -> None:
        """Put everything back, after `fit` or after whatever cut it off."""
        if hasattr(self._model, "_jax_state"):
            # Else `fit`, on its way out, would write the cut-off step's values back.
            self._model._jax_state = None
        self._variables.restore(write_variable)
        self._renew()
        present = vars(self._model)
        for name, value in self._attributes.items():
            if present.get(name) is not value:
                present[name] = value

    def _renew(self) -> None:
        """Make optimizers new that have been built since."""
        for optimizer in self._not_built:
            if optimizer.built:
                make_new(optimizer)


def _has_nan(value: np.ndarray) -> bool:
    return value.dtype.kind in "fc"


# What `fit` itself sets on a model. These follow their own rules: see `fit_effects_kept`.
FIT_ATTRIBUTES = frozenset(
    {
        "history",
        "stop_training",
        "train_function",
        "make_train_function",
        "compile",
        "test_function",
        "_initial_epoch",
        "_eval_epoch_iterator",
        "_jax_state",
        "_jax_state_synced",
    }
)


@contextlib.contextmanager
def fit_effects_kept(model: Any) -> Iterator[None]:
    """Put back what a `fit` of our own sets: history, stop flag, metrics, the modes of torch.

    A train function made meanwhile stays: it is the one the next `fit` would make.
    """
    attributes = vars(model)
    names = ("history", "stop_training", "_initial_epoch")
    before = {name: attributes[name] for name in names if name in attributes}
    attributes["_initial_epoch"] = None  # BackupAndRestore leaves there where a run went on
    metrics = VariableSnapshot(_readable_metrics(model), read_variable)
    with contextlib.ExitStack() as undo:
        if ON_TORCH:
            undo.enter_context(_modes_kept(model))
        try:
            yield
        finally:
            for name in names:
                attributes.pop(name, None)
            attributes.update(before)
            metrics.restore(write_variable)


@contextlib.contextmanager
def _modes_kept(model: Any) -> Iterator[None]:
    import torch

    modes = [(module, module.training) for module in model.modules()]
    records = torch.is_grad_enabled()  # Ctrl-C in the exit of a `no_grad` would leave it off
    try:
        yield
    finally:
        torch.set_grad_enabled(records)
        for module, mode in modes:
            module.training = mode


def _readable_metrics(model: Any) -> list[Any]:
    if ON_JAX and not vars(model).get("_jax_state_synced", True):
        model.jax_state_sync()  # in a callback of another `fit`, which carries the values
    # After a `fit` that was cut off on JAX they may have none.
    return [variable for variable in model.metrics_variables if variable._value is not None]


def model_variables(model: Any) -> list[Any]:
    """Return every variable of a model: weights, statistics, seeds, optimizer slots, metrics."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]
