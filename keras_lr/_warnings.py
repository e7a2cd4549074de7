"""Warnings that point at the user's own line and are no longer than an error message."""

import inspect
import warnings
from types import FrameType

from keras_lr.errors import LONGEST, shortened

# This library, what it runs in, and the parts of Python that call functions for either.
_PASSED_OVER = frozenset({"keras_lr", "keras", "tensorflow", "jax", "torch", "optuna"})
_PASSED_OVER |= {"contextlib", "functools", "threading", "concurrent"}


def warn(message: str) -> None:
    """Warn the user at the line that called `fit`, a search or another public function.

    `warnings.warn(skip_file_prefixes=...)` does this from Python 3.12 on.

    Args:
        message: A sentence or two, usually worded by `complaint`. The middle of a longer one than
            an error message may be is left out.
    """
    frame = _line_of_user()
    warnings.warn_explicit(
        shortened(message, LONGEST),
        UserWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _line_of_user() -> FrameType:
    """Return the innermost frame that is the user's; in a thread of Keras' own the outermost."""
    frame = inspect.currentframe()
    if frame is None:
        raise RuntimeError("warn: this Python has no frames.")
    while frame.f_back is not None and _package(frame) in _PASSED_OVER:
        frame = frame.f_back
    return frame


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
