"""The measured costs of a sweep's two ways, kept beside the compiled step, and what they say."""

from dataclasses import replace

import keras

from keras_lr._engine.step_cost import step_operations
from keras_lr._engine.trials import Trials
from keras_lr._engine.vmapped import StackedStep
from keras_lr._keras.data import Batch
from keras_lr._keras.kept import kept_with_step
from keras_lr._keras.optimizers import batches_seen
from keras_lr.search.sweep.choice import Way, WayCost, quicker_way

_ALONE, _OPERATIONS = "cost of one lane", "operations of a step"
_ACCELERATED = 1000.0  # times the operations of a CPU in the same time, roughly


class SweepCosts:
    """What is known of the costs of training lanes one after the other, or all at once (JAX).

    Args:
        model: The model, in opened trials.
        trials: The trials.
    """

    def __init__(self, model: keras.Model, trials: Trials) -> None:
        self._model, self._trials = model, trials
        # JAX does not tell what is compiled. An optimizer that counts has been in such a function.
        self._has_trained = batches_seen(model) > 0

    @property
    def alone(self) -> WayCost:
        """What lanes one after the other cost."""
        known: WayCost = kept_with_step(self._model).get(_ALONE, WayCost())
        return replace(known, is_compiled=known.step is not None or self._has_trained)

    def note_alone(self, *, compiling: float | None = None, step: float | None = None) -> None:
        """Note how many seconds compiling the step of one lane took, or such a step."""
        known = self.alone
        kept_with_step(self._model)[_ALONE] = replace(
            known, compiling=compiling or known.compiling, step=step or known.step
        )

    def quicker(
        self,
        lanes: int,
        steps: int,
        stacked: StackedStep,
        batch: Batch,
        step_seconds: float | None = None,
    ) -> Way:
        """Return the quicker way for what is left of a sweep.

        Args:
            lanes: The number of learning rates to come.
            steps: The steps to come of each.
            stacked: The step of all lanes at once.
            batch: A batch, should the operations of a step have to be counted.
            step_seconds: How long a step of all lanes takes, by the present run.
        """
        known = stacked.compiling is not None
        together = WayCost(stacked.compiling, step_seconds or stacked.step_seconds, known)
        # Without any arithmetic, all lanes at once gain the most: if not even then, why count it.
        if quicker_way(lanes, steps, 0.0, self.alone, together) == "sequential":
            return "sequential"
        return quicker_way(lanes, steps, self._operations(batch), self.alone, together)

    def _operations(self, batch: Batch) -> float:
        import jax

        kept = kept_with_step(self._model)
        if _OPERATIONS not in kept:
            state = self._trials.state.carried()
            kept[_OPERATIONS] = step_operations(self._model, state, batch)
        on_cpu = jax.default_backend() == "cpu"
        operations: float = kept[_OPERATIONS]
        return operations if on_cpu else operations / _ACCELERATED
