"""The training step that `fit` runs: one update at a time, with hooks before and after."""

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

from keras_lr._checks import complaint
from keras_lr._keras.backend import ON_JAX, ON_TENSORFLOW
from keras_lr._keras.build import build
from keras_lr._keras.running_fit import calling_fit, running_fit, running_fits
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.versions import record_shardings

END_OF_DATA: tuple[type[BaseException], ...] = (StopIteration,)
if ON_TENSORFLOW:
    import tensorflow as tf

    END_OF_DATA += (tf.errors.OutOfRangeError,)


class StepHook:
    """What is done around every training step: nothing, where a subclass does not say what.

    Attributes:
        owner: The public name of what the hook belongs to, for error messages.
        drives_learning_rate: Whether it writes the learning rate itself; only one hook of a `fit`
            may.
    """

    owner: str
    drives_learning_rate = False

    def before_step(self, state: TrainingState) -> None:
        """Run before a step: write what it is to read."""

    def after_step(self, state: TrainingState, logs: dict[str, Any]) -> None:
        """Run after a step: read what it wrote; add to its logs."""

    def on_end_of_data(self, state: TrainingState) -> None:
        """Run instead of `after_step` where the data had ended: undo what `before_step` did."""

    def on_interrupt(self) -> None:
        """Run when the step or a hook raised, Ctrl-C included, before the exception goes on."""

    def on_left_behind(self) -> None:
        """Run at the beginning of the next `fit`, where something else raised or was cut off."""


class TrainFunction:
    """A model's train function with hooks around each single step.

    Under `steps_per_execution > 1` one call of the train function makes several steps. Here they
    are made one at a time by the same compiled step, so that the hooks see, and may change, each
    of them.
    """

    def __init__(self, model: Any) -> None:
        self.plain = _plain(model)
        self.hooks: list[StepHook] = []
        self._model = model
        self._state = TrainingState(model)
        self._history = _history(model)  # a new one in each `fit`, unless the user passes one
        run = running_fit(model)
        self._run = None if run is None else weakref.ref(run)
        self._outer: TrainFunction | None = None
        self._asked_aside = False
        self._begun = False

    def __call__(self, *arguments: Any) -> Any:
        """Run the steps of one execution. Takes and returns what Keras' train function does."""
        history = _history(self._model)
        if self._asked_aside or history is not self._history:
            run = None if self._run is None else self._run()
            if run is None or calling_fit(self._model) is not run:
                if self.is_left_behind:  # a `fit` of the user's own has not asked for a function
                    self.remove()
                return self.plain(*arguments)
            self._asked_aside, self._history = False, history
        *carried, batches = arguments
        if ON_JAX:
            self._state.carry(carried[0])
        if not self._begun:
            build(self._model, batches)
            self._begun = True
        several = self._model.steps_per_execution
        try:
            logs = self._step(batches) if several == 1 else self._several_steps(batches)
        except END_OF_DATA:
            raise
        except BaseException:
            if ON_JAX:
                self._hand_over()
            hooks, self.hooks = self.hooks, []
            for hook in hooks:
                hook.on_interrupt()
            self.remove()
            raise
        return (logs, self._state.hand_on()) if ON_JAX else logs

    @property
    def is_left_behind(self) -> bool:
        """Whether the fit these hooks belong to was cut off outside of a step, and is over.

        Keras tells callbacks nothing of an exception in the data or in another callback.
        """
        if self._run is None:
            return _history(self._model) is not self._history
        run = self._run()
        return run is None or all(other is not run for other in running_fits(self._model))

    @property
    def is_outer(self) -> bool:
        """Whether the fit these hooks belong to waits while another one of the model runs."""
        return self._run is not None and running_fit(self._model) is not self._run()

    def install(self) -> None:
        """Take the place of the model's train function."""
        function = self._model.train_function
        self._outer = function if isinstance(function, TrainFunction) else None
        self._model.train_function = self
        # Keras asks for a train function when a `fit` begins, and in `train_on_batch`, before it
        # takes the variables' values into its hands: the time to see what has been left behind.
        vars(self._model)["make_train_function"] = self._make_train_function

    def remove(self) -> None:
        """Give the model back the train function that was there before."""
        outer = self._outer
        if self._model.train_function is self:  # else it has been compiled since, and has none
            self._model.train_function = outer or self.plain
        vars(self._model).pop("make_train_function", None)
        if outer is not None:
            vars(self._model)["make_train_function"] = outer._make_train_function

    def end(self) -> None:
        """Take all hooks off, and let them tidy up."""
        hooks, self.hooks = self.hooks, []
        self.remove()
        for hook in hooks:
            hook.on_left_behind()

    def _make_train_function(self, force: bool = False) -> Any:
        if self.is_left_behind:
            self.end()
        elif self._run is not None:
            # `train_on_batch` or another `fit`, in a callback, is about to make steps that are none
            # of this fit's.
            self._asked_aside = True
        return type(self._model).make_train_function(self._model, force)

    def _hand_over(self) -> None:
        # On its way out `fit` gives the variables back the values of the step before, which the
        # compiled step has consumed. Give it those there are.
        values = self._state.carried()
        if not any(getattr(v, "is_deleted", bool)() for group in values for v in group):
            names = ("trainable", "non_trainable", "optimizer", "metrics")
            groups = zip(names, values, strict=True)
            self._model._jax_state = {f"{name}_variables": group for name, group in groups}
            self._model._jax_state_synced = False

    def _several_steps(self, batches: Any) -> dict[str, Any]:
        batches = iter(batches)  # on torch Keras hands over a list
        logs = self._step(_one(batches))
        for _ in range(self._model.steps_per_execution - 1):
            if self._model.stop_training:
                break
            try:
                logs = self._step(_one(batches))
            except END_OF_DATA:
                break
        return logs

    def _step(self, batches: Any) -> dict[str, Any]:
        for hook in self.hooks:
            hook.before_step(self._state)
        try:
            if ON_JAX:
                logs, values = self._plain_step(self._state.carried(), batches)
                self._state.carry(values)
            else:
                logs = self._plain_step(batches)
        except END_OF_DATA:  # which data of unknown length tell only when asked for a batch
            for hook in self.hooks:
                hook.on_end_of_data(self._state)
            raise
        logs = dict(logs)
        for hook in self.hooks:
            hook.after_step(self._state, logs)
        return logs

    def _plain_step(self, *arguments: Any) -> Any:
        several = self._model.steps_per_execution
        if several == 1:
            return self.plain(*arguments)
        attributes = vars(self._model)  # through Keras' own tracking, setting one takes 20 us
        attributes["steps_per_execution"] = 1
        try:
            return self.plain(*arguments)
        finally:
            attributes["steps_per_execution"] = several


def _history(model: Any) -> Any:
    return vars(model).get("history")


def _one(batches: Any) -> Iterator[Any]:
    # Keras loops over a dataset inside the graph, but over any other iterator outside of it.
    return iter([next(batches)])


def tidy_up(model: Any) -> None:
    """Take off what a fit that was cut off has left around a model's training step."""
    function = getattr(model, "train_function", None)
    if isinstance(function, TrainFunction) and function.is_left_behind:
        function.end()


def attach(model: Any, hook: StepHook) -> None:
    """Put a hook around each training step of the running `fit`.

    Raises:
        ValueError: If two hooks would drive the learning rate.
    """
    tidy_up(model)
    if model.train_function is None:  # in a loop of the user's own, before its first batch
        model.make_train_function()
    function = model.train_function
    if not isinstance(function, TrainFunction) or function.is_outer:
        function = TrainFunction(model)
        function.install()
    drivers = [other.owner for other in function.hooks if other.drives_learning_rate]
    if hook.drives_learning_rate and drivers:
        rule = "only one callback of a fit can drive the learning rate"
        fix = "Keep one of them; ReduceOnPlateauPlus can be combined with any"
        raise ValueError(complaint(hook.owner, rule, fix, also=drivers[0]))
    function.hooks.append(hook)


def detach(model: Any, hook: StepHook) -> None:
    """Take a hook off again; with the last one the plain train function returns."""
    function = model.train_function
    if isinstance(function, TrainFunction) and hook in function.hooks:
        function.hooks.remove(hook)
        if not function.hooks:
            function.remove()


def is_attached(model: Any, hook: StepHook) -> bool:
    """Return whether a hook is still around the model's training steps.

    After a fit that was cut off, it is until another fit has trained.
    """
    function = model.train_function
    return isinstance(function, TrainFunction) and hook in function.hooks


def compile_anew(model: Any) -> None:
    """Make the training step be traced again, also in the middle of `fit`; hooks stay around it."""
    wrapper = model.train_function
    step = model.train_step

    def fresh_train_step(*arguments: Any, **named: Any) -> Any:
        return step(*arguments, **named)  # JAX would find the old method in its cache

    record_shardings(model)
    own = vars(model).get("train_step")
    vars(model)["train_step"] = fresh_train_step
    try:
        model.train_function = None
        model.make_train_function()
    finally:
        del vars(model)["train_step"]
        if own is not None:
            vars(model)["train_step"] = own
    if isinstance(wrapper, TrainFunction):
        wrapper.plain = model.train_function
        model.train_function = wrapper


@contextlib.contextmanager
def compiled_anew(model: Any) -> Iterator[None]:
    """Trace the training step anew for the length of a context; then the old one comes back."""
    before = _plain(model)
    compile_anew(model)
    ours = _plain(model)
    try:
        yield
    finally:
        if _plain(model) is not ours:  # something else has compiled it since
            compile_anew(model)
        elif isinstance(model.train_function, TrainFunction):
            model.train_function.plain = before
        else:
            model.train_function = before


def _plain(model: Any) -> Any:
    function = model.train_function
    return function.plain if isinstance(function, TrainFunction) else function
