"""A callback's memory on disk, beside the backup that Keras makes of the weights."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_lr._warnings import warn
from keras_lr.errors import complaint

KEPT_EPOCHS = 2
"""A run may be killed between Keras' backup and this one, so one epoch more than the last."""


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
        """Write the state that an epoch will begin with, whole or not at all.

        Args:
            epoch: The coming epoch, counted from 0.
            plain: What JSON can hold.
            arrays: Arrays by names.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(epoch)
        draft = path.with_suffix(".draft")
        try:
            with draft.open("wb") as file:
                np.savez(file, plain=np.array(json.dumps(plain)), **arrays)  # type: ignore[arg-type]
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)  # there only if the disk is full
        epochs = self._epochs()
        for other in epochs:
            if other > epoch or other <= epoch - KEPT_EPOCHS:
                self._path(other).unlink(missing_ok=True)

    def load(self, epoch: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return what an epoch is to begin with; None, with a warning, if it was not saved.

        Raises:
            ValueError: If the file is damaged.
        """
        path = self._path(epoch)
        if not path.exists():
            rule = "there should be a saved state of the epoch to begin with; it begins afresh"
            fix = "List the callback before BackupAndRestore, with the same backup_dir"
            message = complaint(self._owner, rule, fix, saved=self._epochs(), epoch=epoch)
            warn(message)
            return None
        try:
            with np.load(path, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            plain = json.loads(str(arrays.pop("plain")))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            rule, fix = "the saved state is damaged", "Delete the file to begin afresh"
            received = {"file": path.name}
            raise ValueError(complaint(self._owner, rule, fix, **received)) from error
        return plain, arrays

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
