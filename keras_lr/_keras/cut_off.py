"""The moment at which an exception leaves a running `fit`, whatever has raised it.

Keras tells callbacks nothing of an exception in the data, in validation or in another callback. All
of these are called by `fit`, and can be watched.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from keras_lr._keras.backend import ON_JAX, ON_TORCH
from keras_lr._keras.patch import Patch
from keras_lr._keras.running_fit import FitSession, fit_argument, running_fit

_BEGINNINGS = ("on_train_begin", "on_epoch_begin")
_CALLED = ("on_epoch_begin", "on_epoch_end", "on_train_end")
_CALLED_PER_BATCH = ("on_train_batch_begin", "on_train_batch_end")  # else within the data's context


class FitWatch:
    """Calls a function as soon as an exception leaves the running `fit` of a model.

    Ctrl-C between two calls that `fit` makes is not seen.

    Args:
        model: The model, in a callback's `on_train_begin` or `on_epoch_begin`.
        function: What to call; the exception goes on afterwards.
    """

    def __init__(self, model: Any, function: Callable[[], Any]) -> None:
        self._function = function
        self._patches: list[Patch] = []
        self._beginnings: list[Patch] = []
        run, callbacks = running_fit(model), fit_argument(model, "callbacks")
        if run is None or not hasattr(callbacks, "callbacks"):
            return
        self._patch(run, "catch_stop_iteration", self._watched_context)
        for name in (*_CALLED, *(_CALLED_PER_BATCH if ON_TORCH else ())):
            self._patch(callbacks, name, self._watched)
        self._patch(model, "evaluate", self._watched_evaluation)
        for callback in callbacks.callbacks:  # those that the present call has yet to reach
            for name in _BEGINNINGS:
                self._patch(callback, name, self._watched_beginning)

    def remove(self) -> None:
        """End the watch. Can be called again."""
        while self._patches:
            self._patches.pop().remove()
        self._end_beginnings()

    def _patch(self, owner: Any, name: str, watched: Callable[..., Callable[..., Any]]) -> None:
        patch = Patch(owner, name, watched(getattr(owner, name)))
        begins = watched == self._watched_beginning
        (self._beginnings if begins else self._patches).append(patch)

    def _end_beginnings(self) -> None:
        while self._beginnings:
            self._beginnings.pop().remove()

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.remove()
            self._function()
            raise

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            self._end_beginnings()
            with self._watching():
                return original(*arguments, **named)

        return watched

    def _watched_beginning(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            with self._watching():
                return original(*arguments, **named)

        return watched

    def _watched_context(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def watched() -> Iterator[None]:
            self._end_beginnings()
            with self._watching(), original():
                yield

        return watched

    def _watched_evaluation(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            if not named.get("_use_cached_eval_dataset"):  # called by a callback, not by `fit`
                return original(*arguments, **named)
            with self._watching():
                return original(*arguments, **named)

        return watched


def spare_weights(model: Any, session: FitSession) -> None:
    """Keep `fit`, on its way out of an exception, from writing averages over the weights (JAX)."""
    optimizer = model.optimizer
    if not (ON_JAX and session.is_fit and getattr(optimizer, "use_ema", False)):
        return

    def finalize(*arguments: Any, **named: Any) -> Any:
        patch.remove()
        return None if session.is_running else patch.original(*arguments, **named)

    patch = Patch(optimizer, "finalize_variable_values", finalize)
