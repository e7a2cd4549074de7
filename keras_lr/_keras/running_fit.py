"""Detection of the running call of `fit`, and of its end.

Keras has no signal for a `fit` that was cut off by an exception, so the call stack is inspected:
every call of `fit` has an iterator over epochs of its own, in a local variable.
"""

import inspect
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from keras.src.backend.common.stateless_scope import in_stateless_scope

from keras_lr._keras.backend import eagerly


class FitSession:
    """One call of `fit`, or a training loop of the user's own, as a callback begins in it.

    Args:
        model: The model in training.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._history = _history(model)  # a new one in each `fit`, unless the user passes one
        run = running_fit(model)
        self._run = None if run is None else weakref.ref(run)

    @property
    def is_fit(self) -> bool:
        """Whether it is a call of `fit`; else it is a loop of the user's own."""
        return self._run is not None

    @property
    def is_running(self) -> bool:
        """Whether `fit` has not returned or raised yet, in whatever thread; True of a loop."""
        if self._run is None:
            return _history(self._model) is self._history
        run = self._run()
        if run is None:
            return False
        frames = sys._current_frames()
        del frames[threading.get_ident()]  # a cycle, which would keep `fit` alive
        stacks = [
            running_fits(self._model),
            *(_runs(each, self._model) for each in frames.values()),
        ]
        return any(other is run for stack in stacks for other in stack)

    def is_same(self, run: Any) -> bool:
        """Return whether `running_fit` has returned this one."""
        return run is not None and self._run is not None and self._run() is run

    @property
    def is_innermost(self) -> bool:
        """Whether no other `fit` of the model runs inside of it."""
        if self._run is None:
            return True
        run = running_fit(self._model)
        return run is not None and run is self._run()

    @property
    def is_calling(self) -> bool:
        """Whether it is this `fit` itself that calls the function that asks."""
        frame: FrameType | None = sys._getframe(2)
        run = None if self._run is None else self._run()
        return run is not None and frame is not None and _run_in(frame, self._model) is run

    def when_over(self, function: Callable[[], Any]) -> None:
        """Call a function when `fit` and all that an exception holds of it are gone."""
        if self._run is None:
            return
        # In mid-epoch the iterator is part of a cycle, and goes only when garbage is collected. The
        # list of callbacks is not, unless the user has made it.
        for held in (self._run(), fit_argument(self._model, "callbacks")):
            if held is not None and not isinstance(held, list | tuple):
                weakref.finalize(held, _unless_tracing, function).atexit = False


def running_fits(model: Any) -> Iterator[Any]:
    """Yield the iterator over epochs of each running `fit` of a model, the innermost first."""
    return _runs(inspect.currentframe(), model)


def running_fit(model: Any) -> Any:
    """Return what `running_fits` yields first, or None."""
    return next(running_fits(model), None)


def fit_argument(model: Any, name: str) -> Any:
    """Return what the running `fit` of a model has been given, or has made, as an argument."""
    frame = inspect.currentframe()
    while frame is not None:
        if _run_in(frame, model) is not None:
            return frame.f_locals.get(name)
        frame = frame.f_back
    return None


def _runs(frame: FrameType | None, model: Any) -> Iterator[Any]:
    while frame is not None:
        run = _run_in(frame, model)
        if run is not None:
            yield run
        frame = frame.f_back


def _run_in(frame: FrameType, model: Any) -> Any:
    if frame.f_code.co_name != "fit" or frame.f_locals.get("self") is not model:
        return None
    return frame.f_locals.get("epoch_iterator")


def _history(model: Any) -> Any:
    return vars(model).get("history")


def _unless_tracing(function: Callable[[], Any]) -> None:
    # The garbage collector may strike while a training step is being compiled, where a variable
    # cannot be set. The next use of the model then finds what there is to clean up.
    if not in_stateless_scope():
        with eagerly():
            function()
