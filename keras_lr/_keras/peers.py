"""The other callbacks of the list that is calling one of them."""

import os
import sys
from types import FrameType
from typing import Any

import keras


def callbacks_of_caller(model: Any = None) -> list[Any]:
    """Return the callbacks of the innermost `CallbackList` that is calling one of them.

    Args:
        model: If given, the list is that of a fit, or of a loop of one's own, over this model.
    """
    frame: FrameType | None = sys._getframe(1)  # its own locals would hold the frame: a cycle
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and (
            model is None or caller._model is model
        ):
            return list(caller.callbacks)
        frame = frame.f_back
    return []


def backup_directory() -> str | None:
    """Return where Keras backs up the running fit, if it does so."""
    for callback in callbacks_of_caller():
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            return str(os.fspath(callback.backup_dir))
    return None


def averages_are_in_model(swap: Any) -> bool:
    """Return whether a `SwapEMAWeights` has put the averages into the model."""
    return bool(swap._ema_weights_in_model)
