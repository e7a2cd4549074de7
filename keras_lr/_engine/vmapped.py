"""Several learning rates trained at once: one compiled step over a stack of model states (JAX)."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import flat_logs, float_logs, has_custom_train_step, loss_in
from keras_lr._engine.state import state_variables
from keras_lr._engine.trials import Trials
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.data import Batch
from keras_lr._keras.kept import kept_with_step
from keras_lr._keras.models import loss_tracker
from keras_lr._keras.optimizers import current_learning_rates, leaf_optimizers, proportions, rate_of
from keras_lr._keras.versions import lacks_shardings, record_shardings
from keras_lr.errors import complaint

_MOST_BYTES = 2**30


@dataclass
class StackedStep:
    """The step of several lanes, and what is known of it.

    Attributes:
        step: The step.
        compiling: How many seconds it took to compile; None before that.
        memory: How many bytes it needs, the stack of states included; None before it is compiled.
        step_seconds: How many seconds each call takes; None if they were not timed.
    """

    step: Any
    compiling: float | None = None
    memory: int | None = None
    step_seconds: float | None = None


def can_vmap(model: Any) -> bool:
    """Return whether lanes can be trained at once: on JAX, compiled, on one device."""
    compiled = ON_JAX and not model.run_eagerly and bool(model.jit_compile)
    return compiled and keras.distribution.distribution() is None


def memory_limit() -> int:
    """Return how many bytes lanes that are trained at once may take.

    1 GiB, and half of what is free on an accelerator that says how much that is.
    """
    import jax

    device = jax.local_devices()[0]
    known = (device.memory_stats() or {}) if device.platform != "cpu" else {}
    free = known.get("bytes_limit", 0) - known.get("bytes_in_use", 0)
    return free // 2 if free > 0 else _MOST_BYTES


class VmappedTrials:
    """A stack of K copies of a model's state, each trained at its own learning rate.

    Args:
        model: The model, in opened trials.
        trials: The trials, at the state to start from.
        count: The number of lanes.
        batch: A batch of the size that most have; the step is compiled for it.

    Attributes:
        compiled: The step of the stack, which is kept beside the compiled step it is made of.
    """

    def __init__(self, model: Any, trials: Trials, count: int, batch: Batch) -> None:
        self._model, self._trials, self._count, self._batch = model, trials, count, batch
        self.compiled = _stacked_step(model, trials, count, batch)
        self._places = {
            id(variable): (group, index)
            for group, variables in enumerate(state_variables(model))
            for index, variable in enumerate(variables)
        }
        self._owner, self._monitor = trials.owner, trials.monitor
        self._state: list[list[Any]] = []
        self._on_host: list[list[np.ndarray]] | None = None
        self._no_metrics = [np.asarray(value) for value in self._stacked(3)]
        self._logs: dict[str, Any] = {}

    def needed_memory(self) -> int:
        """Return how many bytes the lanes need at their peak, by what XLA says of their step.

        The step is compiled for that, unless the states and gradients alone are too much already.
        """
        sizes = [sum(int(v.nbytes) for v in group) for group in self._trials.state.carried()]
        least = self._count * (sum(sizes) + sizes[0])
        if self.compiled.memory is None and least <= memory_limit():
            begun = time.perf_counter()
            analysis = self._compile().memory_analysis()
            self.compiled.compiling = time.perf_counter() - begun
            self.compiled.memory = _peak(analysis) if analysis is not None else least
        return max(least, self.compiled.memory or 0)

    def check_memory(self) -> None:
        """Raise if the lanes need more memory than they may take."""
        needed, limit = self.needed_memory(), memory_limit()
        if needed > limit:
            rule = "lanes trained at once must not take too much memory"
            fix = 'Pass fewer learning rates, a smaller batch_size, or method="sequential"'
            sizes = {"needed": _gibibytes(needed), "limit": _gibibytes(limit)}
            received = {"method": "lanes", "learning_rates": self._count, **sizes}
            raise ValueError(complaint(self._owner, rule, fix, **received))

    def begin(self) -> None:
        """Put every lane at the state to start from."""
        self._state, self._on_host = [], None  # or there would be two stacks at a time
        self._state = [self._stacked(group) for group in range(4)]

    def start_losses(self, batches: Iterable[Batch]) -> list[float]:
        """Return the loss of each batch at the state the lanes start from, to which they return."""
        losses = []
        for batch in batches:
            losses.append(float(self.step(batch, np.zeros(self._count))[0]))
            self.begin()
        return losses

    def step(self, batch: Batch, learning_rates: np.ndarray) -> np.ndarray:
        """Make one step in every lane and return the losses of the batch, float[K]."""
        rates = np.asarray(learning_rates, dtype="float32")
        self._trials.use.before_step(self.read)
        self._on_host = None
        self._logs, self._state = self.compiled.step(self._state, batch, rates)
        losses = self._losses(len(rates))
        self._trials.use.after_step(self.read)
        return losses

    def reset_metrics(self) -> None:
        """Empty the compiled metrics of every lane."""
        self._state[3] = list(self._no_metrics)

    def logs(self, lane: int) -> dict[str, float]:
        """Return one lane's metrics of the steps since they were last emptied."""
        logs = flat_logs(self._logs)
        return float_logs({name: np.asarray(each)[lane] for name, each in logs.items()})

    def state(self, lane: int) -> tuple[list[Any], ...]:
        """Return one lane's state, in the order that `fit` carries it."""
        if self._on_host is None:  # indexing on the device would be compiled for each shape
            self._on_host = [[np.asarray(value) for value in group] for group in self._state]
        return tuple([value[lane] for value in group] for group in self._on_host)

    def _losses(self, count: int) -> np.ndarray:
        """Return what is watched in each lane, waiting until it is computed."""
        if not callable(self._monitor):
            found = loss_in(self._logs, self._owner, self._monitor)
            return np.asarray(found, dtype=np.float64)
        rows = [self.logs(lane) for lane in range(count)]
        return np.array([loss_in(row, self._owner, self._monitor) for row in rows])

    def _stacked(self, group: int) -> list[Any]:
        """Return a group of the state to start from, each value once for every lane."""
        import jax

        values = [np.asarray(value) for value in self._trials.state.carried()[group]]
        # By way of the host: on the device, stacking would be compiled for each shape.
        return list(jax.device_put([np.broadcast_to(v, self._shape(v)) for v in values]))

    def _shape(self, value: Any) -> tuple[int, ...]:
        return self._count, *value.shape

    def _compile(self) -> Any:
        import jax

        if lacks_shardings(self._model):
            record_shardings(self._model)
        shaped: Any = jax.ShapeDtypeStruct
        state = [
            [shaped(self._shape(value), value.dtype) for value in group]
            for group in self._trials.state.carried()
        ]
        rates = shaped((self._count,), "float32")
        return self.compiled.step.lower(state, self._batch, rates).compile()

    def read(self, variable: Any, lane: int = 0) -> np.ndarray:
        """Return a copy of one lane's value of a variable."""
        group, index = self._places[id(variable)]
        return np.array(np.asarray(self._state[group][index])[lane])


def _stacked_step(model: Any, trials: Trials, count: int, batch: Batch) -> StackedStep:
    """Return the step of `count` lanes, kept beside the compiled step it is made of.

    A new `compile` drops both.
    """
    # The proportions between the learning rates are constants of the step.
    shares = proportions(current_learning_rates(model))
    kept, shapes = kept_with_step(model), tuple(map(_shape_of, keras.tree.flatten(batch)))
    key = ("lanes", count, shares, trials.monitor is None, shapes)
    if key not in kept:
        kept[key] = StackedStep(_made_step(model, trials, shares))
    stacked: StackedStep = kept[key]
    return stacked


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


def _peak(analysis: Any) -> int:
    made = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return int(analysis.argument_size_in_bytes + analysis.temp_size_in_bytes + made)


def _shape_of(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _made_step(model: Any, trials: Trials, shares: tuple[float, ...]) -> Any:
    import jax

    variables = model.optimizer.variables
    places = [
        (index, share)
        for leaf, share in zip(leaf_optimizers(model.optimizer), shares, strict=True)
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
