"""One rule for what callbacks save beside Keras' backup: it never ends a run.

What cannot be written or read is warned of, and training goes on without it: the callback begins
afresh. A file is written whole or not at all.
"""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from keras_lr._warnings import warn
from keras_lr.errors import complaint

KEPT_EPOCHS = 2
"""A run may be killed between Keras' backup and this one, so one epoch more than the last."""

UNREADABLE = (
    *(AttributeError, EOFError, LookupError, OSError, TypeError, ValueError),
    zipfile.BadZipFile,
)
"""Errors of reading a file that is damaged, cut short, of another kind, or not there."""


@contextlib.contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
    """Hand out a draft that takes a file's place once it is whole, and is gone if it is not.

    A kill leaves the old file or the new one, never half of it.

    Args:
        path: The file.
        ending: What the draft's name must end in, where the writer asks for that.
    """
    draft = path.with_name(f"{path.name}.draft{ending}")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(owner: str, directory: Path) -> Iterator[None]:
    """Warn if the disk does not take what is written in the context."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        rule = "the state could not be saved; a run that is killed now resumes without it"
        fix = "Make room, or pass a backup_dir that can be written to"
        received = {"backup_dir": str(directory), "error": error.strerror or str(error)}
        warn(complaint(owner, rule, fix, **received))


def warn_of_damage(owner: str, file: str, error: Exception, what: str = "state") -> None:
    """Warn that a file cannot be read.

    Args:
        owner: The public name of the callback.
        file: The file's name.
        error: What reading it has raised.
        what: What is in it.
    """
    rule = f"the saved {what} is damaged; it begins afresh"
    fix = "Put back an undamaged copy, or go on"
    warn(complaint(owner, rule, fix, file=file, error=str(error)))
