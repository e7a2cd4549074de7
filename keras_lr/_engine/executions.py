"""The steps of one execution with hooks around them: one at a time, or together."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._engine.writes_ahead import WritesAhead
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.executions import END_OF_DATA, batches_of_execution, execution_of
from keras_lr._keras.given_values import can_give_values, run_given

Hooks = Sequence[StepHook]


class Executions:
    """Runs a model's train function, with hooks around its steps.

    Under `steps_per_execution > 1` one call of the train function makes several steps. Where a hook
    asks for each of them, they are made one at a time by the same compiled step; or together, if
    all that ask foresee what they write.

    Args:
        model: The model in training.
        state: Where the hooks read and write variables.
        function: Returns the train function without hooks.
    """

    def __init__(self, model: Any, state: TrainingState, function: Callable[[], Any]) -> None:
        self._model, self._state, self._function = model, state, function

    def run(self, hooks: Hooks, execution: Any, *, begun: bool = False) -> dict[str, Any]:
        """Run the steps of one execution.

        Args:
            hooks: The hooks.
            execution: What `fit` has handed to the train function.
            begun: Whether the hooks have run already before the only step.

        Returns:
            The logs of the last step.

        Raises:
            StopIteration: If the data has ended; another exception on TensorFlow.
        """
        steps = self._model.steps_per_execution
        asking = [hook for hook in hooks if hook.each_step] if steps > 1 else []
        if not asking:
            return self._step(hooks, execution, self._call, begun=begun)
        if all(hook.foresees(steps) for hook in asking) and can_give_values(self._model):
            return self._foreseen(hooks, execution)
        return self._one_by_one(hooks, execution)

    def _step(
        self,
        hooks: Hooks,
        execution: Any,
        call: Callable[[Any], dict[str, Any]],
        *,
        begun: bool = False,
    ) -> dict[str, Any]:
        if not begun:
            for hook in hooks:
                hook.before_step(self._state)
        try:
            logs = call(execution)
        except END_OF_DATA:
            self._tell_end_of_data(hooks)
            raise
        for hook in hooks:
            hook.after_step(self._state, logs)
        return logs

    def _call(self, execution: Any) -> dict[str, Any]:
        function = self._function()
        if not ON_JAX:
            return dict(function(execution))
        logs, values = function(self._state.carried(), execution)
        self._state.update(values)
        return dict(logs)

    def _one_by_one(self, hooks: Hooks, execution: Any) -> dict[str, Any]:
        batches = batches_of_execution(self._model, execution)
        logs: dict[str, Any] = {}
        with contextlib.suppress(*END_OF_DATA):  # at the first batch this raises above
            for batch in batches:
                logs = self._step(hooks, execution_of(self._model, [batch]), self._call_once)
                if self._model.stop_training:
                    break
        return logs

    def _call_once(self, execution: Any) -> dict[str, Any]:
        several = self._model.steps_per_execution
        attributes = vars(self._model)  # through Keras' own tracking, setting one takes 20 us
        attributes["steps_per_execution"] = 1
        try:
            return self._call(execution)
        finally:
            attributes["steps_per_execution"] = several

    def _foreseen(self, hooks: Hooks, execution: Any) -> dict[str, Any]:
        state, ahead = self._state, WritesAhead(self._state, self._model.steps_per_execution)
        for hook in hooks:
            if hook.each_step:
                hook.foresee(state, ahead)
            else:
                hook.before_step(state)
        self._function()  # what is kept beside it must be that of the present compilation
        try:
            logs, made = run_given(self._model, execution, state, ahead.variables, ahead.columns)
        except END_OF_DATA:
            self._tell_end_of_data(hooks)
            raise
        logs = dict(logs)
        for hook in hooks:
            if hook.each_step:
                hook.after_steps(state, logs, made)
            else:
                hook.after_step(state, logs)
        return logs

    def _tell_end_of_data(self, hooks: Hooks) -> None:
        """Tell the hooks what data of unknown length tell only when asked for a batch."""
        for hook in hooks:
            hook.on_end_of_data(self._state)
