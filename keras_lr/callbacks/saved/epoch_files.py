"""A callback's memory on disk, beside the backup that Keras makes of the weights."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from keras_lr._warnings import warn
from keras_lr.callbacks.saved.backups import (
    KEPT_EPOCHS,
    UNREADABLE,
    replacing,
    warn_of_damage,
    writing,
)
from keras_lr.errors import complaint

Arrays = dict[str, np.ndarray]
State = TypeVar("State")


class EpochFiles:
    """The states that the last epochs began with: one `.npz` file for each.

    Args:
        owner: The public name of the callback, for messages.
        directory: The `backup_dir` of `keras.callbacks.BackupAndRestore`, or any other one.
        stem: What the files' names begin with.

    Raises:
        TypeError: If the directory is not a path.
    """

    def __init__(self, owner: str, directory: str | os.PathLike[str], stem: str) -> None:
        if not isinstance(directory, str | os.PathLike):
            rule, fix = "backup_dir must be a path", "Pass the one that BackupAndRestore has"
            raise TypeError(complaint(owner, rule, fix, backup_dir=directory))
        self._owner, self._directory, self._stem = owner, Path(directory), stem

    def save(self, epoch: int, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Write the state that an epoch will begin with; warn if the disk does not take it.

        Args:
            epoch: The coming epoch, counted from 0.
            plain: What JSON can hold.
            arrays: Arrays by names.
        """
        with writing(self._owner, self._directory):
            text = np.array(json.dumps(plain))
            with replacing(self._path(epoch)) as draft, draft.open("wb") as file:
                np.savez(file, plain=text, **arrays)  # type: ignore[arg-type]
            for other in self._epochs():
                if other > epoch or other <= epoch - KEPT_EPOCHS:
                    self._path(other).unlink(missing_ok=True)

    def load(self, epoch: int, make: Callable[[Any, Arrays], State]) -> State | None:
        """Return what an epoch is to begin with.

        Args:
            epoch: The epoch.
            make: Makes the state of what was saved, or raises if that is damaged.

        Returns:
            The state; None, with a warning, if it was not saved or is damaged.
        """
        path = self._path(epoch)
        if not path.exists():
            rule = "there should be a saved state of the epoch to begin with; it begins afresh"
            fix = "List the callback before BackupAndRestore, with the same backup_dir"
            message = complaint(self._owner, rule, fix, saved=self._epochs(), epoch=epoch)
            warn(message)
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            return make(json.loads(str(arrays.pop("plain"))), arrays)
        except UNREADABLE as error:
            warn_of_damage(self._owner, path.name, error)
            return None

    def remove(self) -> None:
        """Delete what was written."""
        for epoch in self._epochs():
            self._path(epoch).unlink(missing_ok=True)
        if self._directory.is_dir() and not any(self._directory.iterdir()):
            self._directory.rmdir()

    def _path(self, epoch: int) -> Path:
        return self._directory / f"{self._stem}-{epoch}.npz"

    def _epochs(self) -> list[int]:
        found = [
            path.stem.rpartition("-")[2] for path in self._directory.glob(f"{self._stem}-*.npz")
        ]
        return sorted(int(number) for number in found if number.isdigit())
