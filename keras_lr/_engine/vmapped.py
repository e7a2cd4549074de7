"""Several learning rates trained at once: one compiled step over a stack of model states (JAX)."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import has_custom_train_step, loss_in
from keras_lr._engine.trials import Trials
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.data import Batch
from keras_lr._keras.kept import kept_with_step
from keras_lr._keras.models import loss_tracker
from keras_lr._keras.optimizers import current_learning_rates, leaf_optimizers, proportions, rate_of

_BYTES_AT_MOST = 2**30


@dataclass
class CompiledLanes:
    """The compiled step of several lanes, and what is known of it.

    Attributes:
        step: The step.
        compiling: How many seconds its first call took; 0 before that.
        step_seconds: How many seconds each further call took; None if they were not timed.
    """

    step: Callable[..., Any]
    compiling: float = 0.0
    step_seconds: float | None = None


def compiled_lanes(model: Any, trials: Trials, count: int) -> CompiledLanes | None:
    """Return the step of so many lanes of this model, if it has been compiled before."""
    compiled: CompiledLanes | None = kept_with_step(model).get(_key(model, trials, count))
    return compiled


def _key(model: Any, trials: Trials, count: int) -> tuple[object, ...]:
    """Return all that tells the compiled step of some lanes from that of others."""
    return "lanes", count, _shares(model), trials.monitor is None


def _shares(model: Any) -> tuple[float, ...]:
    """Return the proportions between the learning rates, which are constants of the step."""
    return proportions(current_learning_rates(model))


def can_stack(model: Any, trials: Trials, lanes: int) -> bool:
    """Return whether lanes can be trained at once: on JAX, compiled, on one device, in memory."""
    if not ON_JAX or model.run_eagerly or not model.jit_compile:
        return False
    if keras.distribution.distribution() is not None:
        return False
    size = sum(int(value.nbytes) for group in trials.state.carried() for value in group)
    return lanes * size <= _BYTES_AT_MOST


class Lanes:
    """A stack of K copies of a model's state, each trained at its own learning rate.

    Args:
        model: The model, in opened trials.
        trials: The trials, at the state to start from.
        count: The number of lanes.
    """

    def __init__(self, model: Any, trials: Trials, count: int) -> None:
        self._trials, self._count = trials, count
        self._state = self._stacked()
        self._no_metrics = [np.asarray(value) for value in self._state[3]]
        self.compiled = _compiled_step(model, trials, count)
        self._places = {id(v): index for index, v in enumerate(model.optimizer.variables)}
        self._owner, self._monitor = trials.owner, trials.monitor
        self._logs: dict[str, Any] = {}

    def start_losses(self, batches: Iterable[Batch]) -> list[float]:
        """Return the loss of each batch at the state the lanes start from, to which they return."""
        losses = []
        for batch in batches:
            losses.append(float(self.step(batch, np.zeros(self._count))[0]))
            self._state = self._stacked()
        return losses

    def step(self, batch: Batch, learning_rates: np.ndarray) -> np.ndarray:
        """Make one step in every lane and return the losses of the batch, float[K]."""
        rates = np.asarray(learning_rates, dtype="float32")
        self._trials.use.before_step(self._read)
        begun = time.perf_counter()
        self._logs, self._state = self.compiled.step(self._state, batch, rates)
        losses = self._losses(len(rates))
        if not self.compiled.compiling:
            self.compiled.compiling = time.perf_counter() - begun
        self._trials.use.after_step(self._read)
        return losses

    def _losses(self, count: int) -> np.ndarray:
        """Return what is watched in each lane, waiting until it is computed."""
        if not callable(self._monitor):
            found = loss_in(self._logs, self._owner, self._monitor)
            return np.asarray(found, dtype=np.float64)
        rows = [self.logs(lane) for lane in range(count)]
        return np.array([loss_in(row, self._owner, self._monitor) for row in rows])

    def reset_metrics(self) -> None:
        """Empty the compiled metrics of every lane."""
        self._state[3] = list(self._no_metrics)

    def logs(self, lane: int) -> dict[str, float]:
        """Return one lane's metrics of the steps since they were last emptied."""
        return {name: float(values[lane]) for name, values in self._logs.items()}

    def state(self, lane: int) -> tuple[list[Any], ...]:
        """Return one lane's state, in the order that `fit` carries it."""
        return tuple([value[lane] for value in group] for group in self._state)

    def _stacked(self) -> list[list[Any]]:
        import jax.numpy as jnp

        def stack(value: Any) -> Any:
            return jnp.repeat(jnp.asarray(value)[None], self._count, axis=0)

        return [[stack(value) for value in group] for group in self._trials.state.carried()]

    def _read(self, variable: Any) -> np.ndarray:
        """Return the first lane's value of a variable of the optimizer."""
        return np.asarray(self._state[2][self._places[id(variable)]][0])


def _compiled_step(model: Any, trials: Trials, count: int) -> CompiledLanes:
    """Return the step of `count` lanes, kept beside the compiled step it is made of.

    A new `compile` drops both.
    """
    kept, key = kept_with_step(model), _key(model, trials, count)
    if key not in kept:
        kept[key] = CompiledLanes(_compile(model, trials))
    compiled: CompiledLanes = kept[key]
    return compiled


def _compile(model: Any, trials: Trials) -> Any:
    import jax

    variables = model.optimizer.variables
    leaves = leaf_optimizers(model.optimizer)
    places = [
        (index, share)
        for leaf, share in zip(leaves, _shares(model), strict=True)
        for index, variable in enumerate(variables)
        if variable is rate_of(leaf)
    ]
    single = trials.monitor is None and not has_custom_train_step(model)
    watched = [loss_tracker(model)] if single else model.metrics
    tracked = {id(variable) for metric in watched for variable in metric.variables}
    empty = [
        (index, value)
        for index, (variable, value) in enumerate(trials.empty_metrics)
        if id(variable) in tracked
    ]

    def step(state: Any, batch: Batch, rate: Any) -> Any:
        trainable, other, optimizer, metrics = (list(group) for group in state)
        for index, share in places:
            optimizer[index] = (rate * share).astype(optimizer[index].dtype)
        for index, value in empty:  # so that the loss is this batch's own
            metrics[index] = jax.numpy.asarray(value)
        logs, state = model.train_step((trainable, other, optimizer, metrics), batch)
        return logs, [list(group) for group in state]

    return jax.jit(jax.vmap(step, in_axes=(0, None, 0)), donate_argnums=0)
