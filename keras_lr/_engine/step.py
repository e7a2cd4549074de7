"""The interface of what is done around each training step."""

from typing import Any

from keras_lr._engine.state import TrainingState
from keras_lr._engine.writes_ahead import WritesAhead


class StepHook:
    """Called before and after every training step. The default methods do nothing.

    Attributes:
        owner: The public name of what the hook belongs to, for error messages.
        drives_learning_rate: Whether it writes the learning rate itself; only one hook of a `fit`
            may.
        each_step: Whether it must run around each single step under `steps_per_execution`. If no
            hook of a `fit` must, they run around the steps of one execution together.
        runner: What runs it, from `attach` on.
        goes_last: Whether it runs after those that do not, whichever was put on first.
    """

    owner: str
    drives_learning_rate = False
    goes_last = False
    each_step = True
    runner: Any = None

    def optimizers(self) -> dict[str, Any]:
        """Return the leaf optimizers whose learning rate it writes, by their names in logs."""
        return {}

    def before_step(self, state: TrainingState) -> None:
        """Run before a step: write what it is to read."""

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Run after a step: read what it wrote; add to its logs."""

    def foresees(self, steps: int) -> bool:
        """Return whether what it writes before each of so many steps depends on none of them.

        If so for all hooks that must run around each step, those of an execution are made together,
        each with what `foresee` has written for it.
        """
        return False

    def foresee(self, state: TrainingState, ahead: WritesAhead) -> None:
        """Run before the steps of an execution: write what each of them is to read, in turn."""

    def after_steps(self, state: TrainingState, logs: dict[str, Any], made: int) -> None:
        """Run after them: there may have been less data than for the steps foreseen."""

    def on_end_of_data(self, state: TrainingState) -> None:
        """Run instead of `after_step` where the data had ended: undo what `before_step` did."""

    def on_compile(self) -> None:
        """Run before the model is compiled in the middle of the fit; may raise to prevent it."""

    def on_compiled(self, state: TrainingState) -> None:
        """Run before the first step after it has been compiled: go over to its new optimizer.

        The variables hold their values, also on JAX.
        """

    def on_interrupt(self) -> None:
        """Run when the step or a hook raised, Ctrl-C included, before the exception goes on."""

    def on_fit_over(self) -> None:
        """Run when the fit is over, or at its model's next use, where something else raised."""
