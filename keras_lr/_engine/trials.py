"""Short trainings of one model, each from the same state, on the model's own compiled step."""

import contextlib
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from keras_lr._engine.batch_loss import BatchLoss, Monitor, as_float, float_logs, loss_in
from keras_lr._engine.hyperparameters import LearningRates
from keras_lr._engine.movement import StillMatrix, root_mean_square
from keras_lr._engine.optimizer_use import OptimizerUse, check_trainable
from keras_lr._engine.overrides import held_learning_rates
from keras_lr._engine.snapshot import ModelSnapshot
from keras_lr._engine.state import state_variables
from keras_lr._engine.step_loss import LossOfBatches, probe_loss
from keras_lr._engine.train_function import TrainFunction
from keras_lr._keras.backend import ON_JAX, ON_TORCH
from keras_lr._keras.data import Batch, FitData, with_equal_inputs
from keras_lr._keras.executions import execution_of
from keras_lr._keras.fit_effects import fit_effects_kept
from keras_lr._keras.models import build_on
from keras_lr._keras.random import RandomSnapshot, data_peek_undone
from keras_lr._keras.variables import VariableSnapshot, write_variable
from keras_lr._keras.versions import lacks_shardings, record_shardings
from keras_lr._keras.workers import as_global

_CHANGE = 0.1  # of a matrix's size: a loss at its minimum changes by the square
_SAME = 1e-6  # of a loss in float32


class Trials:
    """Trains a model again and again from the state it had when the trials were opened.

    Made by `trials`, which puts everything back afterwards.
    """

    def __init__(
        self, model: Any, owner: str, monitor: Monitor | None, probe_loss: LossOfBatches
    ) -> None:
        model.reset_metrics()
        record_shardings(model)
        self._model, self.owner, self.monitor = model, owner, monitor
        self._train = TrainFunction(model)
        self.state = self._train.state
        self.rates = LearningRates(model)
        # On JAX the model's own arrays are the snapshot: every trial is trained on copies of them.
        read = self.state.value if ON_JAX else None
        self._snapshot, self._random = ModelSnapshot(model, self.state, read), RandomSnapshot()
        self.empty_metrics = [(v, self.state.read(v)) for v in model.metrics_variables]
        self._probe_loss = probe_loss
        self._batch_loss = BatchLoss(model, everything=monitor is not None)
        self.use = OptimizerUse(model, owner)
        self._logs: dict[str, Any] = {}

    def begin(self) -> None:
        """Go back to the state every trial starts from."""
        if ON_JAX:
            self.state.carry([v.value for v in group] for group in state_variables(self._model))
        self._snapshot.restore_values(self.state)
        self._random.restore()
        self.reset_metrics()
        self.rates.hold_decay(self.state)

    def reset_metrics(self) -> None:
        """Empty the compiled metrics: from here on they count afresh."""
        for variable, value in self.empty_metrics:
            self.state.write(variable, value)

    def step(self, batch: Batch, learning_rate: float) -> Any:
        """Make one training step and return the loss of its batch, for `as_float` to read."""
        return self._step(batch, learning_rate)

    def _step(self, batch: Batch, learning_rate: float) -> Any:
        self.use.before_step(self.state.read)
        self._batch_loss.before_step(self.state)
        self.rates.write(self.state, learning_rate)
        execution = execution_of(self._model, [as_global(batch)])
        if ON_JAX:
            if lacks_shardings(self._model):  # a fit or an evaluation has ended since
                record_shardings(self._model)
            self._logs, _ = self._train(self.state.hand_on(), execution)
        else:
            self._logs = self._train(execution)
        self.use.after_step(self.state.read)
        return loss_in(self._logs, self.owner, self.monitor)

    def start_losses(self, batches: Iterable[Batch]) -> list[float]:
        """Return the loss of each batch at the weights every trial starts from.

        By the training step itself, which alone knows it for sure: at a learning rate of zero, the
        state put back after each.
        """
        losses = []
        for batch in batches:
            self.begin()
            losses.append(as_float(self._step(batch, 0.0)))
        self.begin()
        return losses

    def logs(self) -> dict[str, float]:
        """Return the metrics of the steps since they were last emptied."""
        return float_logs(self._logs)

    def probe(self, batches: Iterable[Batch]) -> float:
        """Return the mean loss of batches in training mode, without training on them."""
        return self._probe_loss(self.state, batches)

    def answers_alike(self, batch: Batch) -> bool | None:
        """Return whether the model answers every input of a batch alike, as a dead network does.

        Then the loss is the same if all samples have the inputs of the first. None where that
        cannot be tried.
        """
        equal = with_equal_inputs(batch)
        if equal is None:
            return None
        return math.isclose(self.probe([batch]), self.probe([equal]), rel_tol=_SAME)

    def ignores(self, matrix: StillMatrix, batch: Batch) -> bool:
        """Return whether the loss of a batch stays the same when a matrix is changed a little.

        A matrix that is not nearly zero keeps its norm, and so an L2 penalty.
        """
        variable, loss = matrix.variable, self.probe([batch])
        own = self.state.read(variable)
        change = _CHANGE * matrix.size
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=own.shape)
        changed, size = own.astype(np.float64) + change * signs, root_mean_square(own)
        if own.size > 1 and size > change:
            changed *= size / root_mean_square(changed)
        self.state.write(variable, changed)
        try:
            return math.isclose(loss, self.probe([batch]), rel_tol=_SAME)
        finally:
            self.state.write(variable, own)

    def evaluate(self, validation_data: FitData) -> dict[str, float]:
        """Return `Model.evaluate` of the present weights, the names with `val_` before them."""
        if ON_JAX:
            self._load()
        given = validation_data.arguments
        names = ("x", "y", "sample_weight", "batch_size")
        options = {name: given[name] for name in names} | {"steps": given["steps_per_epoch"]}
        logs = self._model.evaluate(**options, verbose=0, return_dict=True)
        if ON_JAX:  # else the variables would hold one more copy of it all
            self._snapshot.restore_variables()
        if ON_TORCH:
            self._model.train()
        return {f"val_{name}": value for name, value in float_logs(logs).items()}

    def watched(self, validation_logs: dict[str, float]) -> float:
        """Return the loss in what `evaluate` returned, or what `monitor` says of it."""
        plain = {name.removeprefix("val_"): value for name, value in validation_logs.items()}
        return float(loss_in(plain, self.owner, self.monitor, step="test_step"))

    def _load(self) -> None:
        """Write the present values into the model's variables (JAX)."""
        variables = itertools.chain.from_iterable(state_variables(self._model))
        # Other arrays than those that the next step takes: `evaluate` takes over their memory.
        present = VariableSnapshot(variables, self.state.keep)
        present.restore(write_variable)

    def put_back(self) -> None:
        """Put everything back as it was when the trials were opened."""
        self._snapshot.restore()
        self._random.restore()


@contextlib.contextmanager
def trials(
    model: Any, data: FitData, batch: Batch, owner: str, monitor: Monitor | None = None
) -> Iterator[Trials]:
    """Open trials on a compiled model; whatever happens, leave it as it was.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would, and stays built.
        data: What `fit` would be given.
        batch: One batch of it, as a step is given it.
        owner: The public name the user called, for error messages.
        monitor: What to watch in a step's logs; None for its loss.
    """
    with fit_effects_kept(model), data_peek_undone():
        # No epoch, but all that the first fit does before it: it draws random numbers, too, which
        # the next fit will not.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
            warnings.filterwarnings("ignore", message="Calling `PipelineModel`")
            model.fit(**data.arguments, epochs=0, verbose=0)
        model.make_train_function()
        build_on(model, batch)
        check_trainable(model, owner)
        probe = probe_loss(model, owner, monitor)
        with held_learning_rates(model):
            if ON_TORCH:
                model.train()
            opened = Trials(model, owner, monitor, probe)
            try:
                yield opened
            finally:
                opened.put_back()
