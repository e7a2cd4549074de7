"""A model's train function with hooks around each step, for the length of one `fit`."""

from typing import Any

from keras_lr._engine.executions import Executions
from keras_lr._engine.loggers import LoggedRates
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras import jax_state
from keras_lr._keras.backend import ON_JAX
from keras_lr._keras.cut_off import FitWatch
from keras_lr._keras.executions import END_OF_DATA
from keras_lr._keras.models import build, build_optimizer, loss_tracker
from keras_lr._keras.patch import Patch
from keras_lr._keras.running_fit import FitSession
from keras_lr._keras.versions import record_shardings


class TrainFunction:
    """A model's train function with hooks around each single step.

    Whatever the model is compiled to in the middle of the fit gets the same hooks. Where something
    else has taken the place of the train function, and in a loop of the user's own that does
    without one, callbacks run the hooks by `begin_batch` and `end_batch`.

    Attributes:
        plain: The function without hooks; None where it is to be made anew.
        hooks: The hooks, in the order in which they run.
        session: The fit they belong to.
        state: Where they read and write variables.
        is_direct: Whether callbacks ran them around the last batch.
    """

    def __init__(self, model: Any) -> None:
        self.plain = plain_function(model)
        self.hooks: list[StepHook] = []
        self.session = FitSession(model)
        self.state = TrainingState(model)
        self._model = model
        self._executions = Executions(model, self.state, self._made)
        self._history = _history(model)
        self._compiled = _compilation(model)
        self._outer: TrainFunction | None = None
        self.logged_rates = LoggedRates()
        self._patches: dict[str, Patch] = {}
        self._watch: FitWatch | None = None
        self.is_direct = False
        self._suspended = self._begun = self._pending = False

    def __call__(self, *arguments: Any) -> Any:
        """Run the steps of one execution. Takes and returns what Keras' train function does."""
        history = _history(self._model)
        if self._suspended or history is not self._history:
            if self.session.is_fit and not self.session.is_calling:
                if self.is_stale:  # a `fit` of the user's own has not asked for a function
                    self.remove()
                return self._made()(*arguments)
            self._suspended, self._history = False, history
        *carried, batches = arguments
        self.is_direct = False
        try:
            if ON_JAX:
                self.state.carry(carried[0])
            self._follow()
            if not self._begun:
                batches = build(self._model, batches)
                self._begun = True
            begun, self._pending = self._pending, False
            logs = self._executions.run(self.hooks, batches, begun=begun)
        except END_OF_DATA:
            raise
        except BaseException:
            self._interrupted()
            raise
        self.logged_rates.note(logs)
        return (logs, self.state.hand_on()) if ON_JAX else logs

    @property
    def is_stale(self) -> bool:
        """Whether the fit these hooks belong to was cut off outside of a step, and is over."""
        return not self.session.is_running

    def install(self) -> None:
        """Take the place of the model's train function."""
        model, function = self._model, self._model.train_function
        self._outer = function if isinstance(function, TrainFunction) else None
        model.train_function = self
        # Keras asks for a train function when a `fit` begins, and in `train_on_batch`, before it
        # takes the variables' values into its hands: the time to see what has been left behind.
        ours = {"make_train_function": self._make_train_function, "compile": self._compile}
        self._patches = {name: Patch(model, name, method) for name, method in ours.items()}
        self._watch = FitWatch(model, self._cut_off)
        self.session.when_over(self.end)

    def remove(self) -> None:
        """Give the model back the train function that was there before."""
        self.logged_rates.leave()
        if self._model.train_function is self:
            self._model.train_function = self._outer or self.plain
        for patch in self._patches.values():
            patch.remove()
        if self._watch is not None:
            self._watch.remove()

    def end(self) -> None:
        """Take all hooks off, and let them tidy up."""
        hooks, self.hooks = self.hooks, []
        self.remove()
        for hook in hooks:
            hook.on_fit_over()

    def begin_batch(self) -> None:
        """Run the hooks before a step, where nothing will call this: first of its batch to ask."""
        if self._model.train_function is None:
            self._model.train_function = self
            self.plain = None
        called = isinstance(self._model.train_function, TrainFunction)
        if self._pending or (called and self.session.is_fit):
            return
        if ON_JAX:
            self._model.jax_state_sync()
            self.state.release()
        try:
            self._follow()
            for hook in self.hooks:
                hook.before_step(self.state)
        except BaseException:
            self._interrupted()
            raise
        self._pending = self.is_direct = True

    def end_batch(self, logs: dict[str, Any]) -> None:
        """Run them after it, unless a call has done so."""
        if not self._pending:
            return
        self._pending = False
        if ON_JAX:
            self._model.jax_state_sync()
            self.state.release()
        try:
            for hook in self.hooks:
                hook.after_step(self.state, logs)
        except BaseException:
            self._interrupted()
            raise
        self.logged_rates.note(logs)

    def _make_train_function(self, force: bool = False) -> Any:
        if self.is_stale:
            self.end()
            return self._model.make_train_function(force)
        if self.session.is_fit:
            # `train_on_batch` or another `fit`, in a callback, may be about to make steps that do
            # not belong to this fit.
            self._suspended = True
        return self._taking_over("make_train_function", force)

    def _compile(self, *arguments: Any, **named: Any) -> Any:
        if self.is_stale:
            self.end()
            return self._model.compile(*arguments, **named)
        for hook in self.hooks:
            hook.on_compile()
        if ON_JAX:
            self._model.jax_state_sync()
        return self._taking_over("compile", *arguments, **named)

    def _taking_over(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call the model's own method, and get around the train function that it leaves, if any."""
        before = self._model.train_function
        result = self._patches[method].original(*arguments, **named)
        if self._model.train_function is not before:
            self.plain, self._model.train_function = plain_function(self._model), self
        return result

    def _made(self) -> Any:
        """Return the plain function; make it where the model has been compiled since."""
        if self.plain is None:
            self._taking_over("make_train_function", True)
        return self.plain

    def _follow(self) -> None:
        """Tell the hooks if the model has been compiled, or given another optimizer, since."""
        before, present = self._compiled, _compilation(self._model)
        if all(old is new for old, new in zip(before, present, strict=True)):
            return
        self._compiled = present
        carries = self.state.is_carrying
        if carries:
            self.state.give_back()
            jax_state.mark_given_back(self._model)
        if self._model.built and self._model.optimizer is not None:
            build_optimizer(self._model)
        for hook in self.hooks:
            hook.on_compiled(self.state)
        record_shardings(self._model)
        if before[0] is not present[0]:
            self._taking_over("make_train_function", True)
        if carries:
            self.state.carry(jax_state.take(self._model))

    def _interrupted(self) -> None:
        if ON_JAX and self.state.is_carrying:
            self._hand_over()
        self._cut_off()

    def _cut_off(self) -> None:
        """Take all hooks off: an exception is on its way out of the fit."""
        hooks, self.hooks = self.hooks, []
        for hook in hooks:
            hook.on_interrupt()
        self.remove()

    def _hand_over(self) -> None:
        # On its way out `fit` gives the variables back the values of the step before, which the
        # compiled step has consumed. Give it those there are.
        values = self.state.carried()
        if not any(getattr(v, "is_deleted", bool)() for group in values for v in group):
            jax_state.hand_over(self._model, values)


def plain_function(model: Any) -> Any:
    """Return a model's own train function, without hooks; None if it has none yet."""
    function = model.train_function
    return function.plain if isinstance(function, TrainFunction) else function


def _compilation(model: Any) -> tuple[Any, Any]:
    """Return what tells one compilation of a model from another."""
    attributes = vars(model)
    return attributes.get("optimizer"), loss_tracker(model)


def _history(model: Any) -> Any:
    return vars(model).get("history")
