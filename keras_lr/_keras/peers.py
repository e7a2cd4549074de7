"""The other callbacks of the list that is calling one of them."""

import os
import sys
from typing import Any

import keras


def callbacks_of_caller() -> list[Any]:
    """Return the callbacks of the innermost `CallbackList` that is calling one of them."""
    frame = sys._getframe(1).f_back
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList):
            return list(caller.callbacks)
        frame = frame.f_back
    return []


def backup_directory() -> str | None:
    """Return where Keras backs up the running fit, if it does so."""
    for callback in callbacks_of_caller():
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            return str(os.fspath(callback.backup_dir))
    return None
