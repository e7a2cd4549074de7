"""The view of a model in a fit whose evaluation uses an average in the place of its weights."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.step import StepHook
from keras_lr._keras.backend import ON_TORCH
from keras_lr._keras.cut_off import FitWatch
from keras_lr._keras.patch import Patch
from keras_lr._keras.running_fit import FitSession

READERS = (
    "evaluate",
    "test_on_batch",
    "predict",
    "predict_on_batch",
    "save",
    "save_weights",
    "export",
    "get_weights",
    "get_state_tree",
)
WRITERS = ("set_weights", "load_weights", "set_state_tree")

Read = Callable[[Any], np.ndarray]
Values = dict[int, np.ndarray]  # by the variable's `id`


class AveragedWeights(Protocol):
    """An average that evaluation in a fit uses in the place of the training weights."""

    def averaged_values(self, read: Read) -> Values:
        """Return the average of each variable that has one; `read` reads a variable."""

    def training_values(self, averages: Mapping[int, np.ndarray], read: Read) -> Values:
        """Return the training weights that belong to averages, where these are made of them."""

    def place(self, variable: Any) -> Any:
        """Return the variable that holds what is this one's in training: it, unless swapped."""

    def go_back_to(self, averages: Mapping[int, np.ndarray]) -> None:
        """Take over earlier averages, where no variable of the optimizer holds them."""


class ShownWeights(AveragedWeights, Protocol):
    """An average that a view puts in the place of the training weights, and back."""

    def to_average(self) -> list[tuple[Any, Any]]:
        """Put the average in; return the variables with their training weights."""

    def to_training(self) -> list[tuple[Any, Any]]:
        """Take what has been set in the model for the average, and make training go on from it."""


class AveragedView:
    """Shows a model's averaged weights to whatever asks for its weights in the middle of a fit.

    The methods that evaluate, predict, save or hand out weights do so with the average in place,
    and put the training weights back bit for bit, also when they raise. What is set or loaded by
    the others is taken for an average.

    Args:
        model: The model in training.
        weights: Its two sets of weights.
        synced: Returns the model with its variables up to date.
        patches: Others, to be taken off with the view.

    Attributes:
        weights: As above.
    """

    def __init__(
        self,
        model: Any,
        weights: ShownWeights,
        synced: Callable[[], Any],
        patches: Sequence[Patch] = (),
    ) -> None:
        self._model, self.weights, self._synced = model, weights, synced
        self._inside = False
        self._session = FitSession(model)
        self._session.when_over(self.remove)
        former = view_of(model)
        if former is not None:  # left behind by a fit that was cut off
            former.remove()
        around = dict.fromkeys(READERS, self._shown) | dict.fromkeys(WRITERS, self._replaced)
        self._patches = [*patches]
        self._patches += [
            Patch(model, name, self._method(name, getattr(model, name), entered))
            for name, entered in around.items()
        ]
        self._watch = FitWatch(model, self.remove)
        self._step_watch = _StepWatch(self.remove)
        if ON_TORCH and self._session.is_fit:  # where the step is called past the other watch
            attach(model, self._step_watch)

    @property
    def is_current(self) -> bool:
        """Whether the fit it was made in is running."""
        return self._session.is_fit and self._session.is_innermost

    def remove(self) -> None:
        """Give the model its own methods back. Can be called again."""
        self._watch.remove()
        detach(self._model, self._step_watch)
        for patch in self._patches:
            patch.remove()

    def _method(
        self, name: str, original: Callable[..., Any], around: Callable[[], Any]
    ) -> Callable[..., Any]:
        def method(*arguments: Any, **named: Any) -> Any:
            if not self.is_current:  # left behind by a fit that was cut off
                self.remove()
            elif not self._inside:
                return self._call(name, around, original, arguments, named)
            return original(*arguments, **named)

        vars(method)["view"] = self
        return method

    def _call(
        self,
        name: str,
        around: Callable[[], Any],
        original: Callable[..., Any],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        """Call a method of the model. A subclass may make exceptions."""
        with around():
            return original(*arguments, **named)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        self._synced()
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        with self._entered():
            before = self.weights.to_average()
            try:
                yield
            finally:
                self._synced()  # an evaluation cut off on JAX has yet to hand its weights back
                for variable, value in before:
                    variable.assign(value)

    @contextlib.contextmanager
    def _replaced(self) -> Iterator[None]:
        with self._entered():
            yield
            self.weights.to_training()


class _StepWatch(StepHook):
    """Calls a function when a training step raises."""

    owner = "AveragedView"
    each_step = False

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def on_interrupt(self) -> None:
        self._function()


def view_of(model: Any) -> AveragedView | None:
    """Return the view that is on a model, if there is one."""
    patch = vars(model).get("set_weights")
    while isinstance(patch, Patch):
        view = getattr(patch.function, "view", None)
        if isinstance(view, AveragedView) and not patch.removed:
            return view
        patch = patch.before
    return None
