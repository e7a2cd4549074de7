"""A plateau's memory on disk, beside the backup that Keras makes of the weights."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_lr._checks import complaint
from keras_lr._keras.rollback import Rollback
from keras_lr._warnings import warn
from keras_lr.callbacks.plateau.state import OWNER

KEPT_EPOCHS = 2
"""A run may be killed between Keras' backup and this one, so one epoch more than the last."""


class PlateauBackup:
    """The states that the last epochs began with, by epoch.

    Args:
        directory: The `backup_dir` of `keras.callbacks.BackupAndRestore`, or any other one.
        labels: What tells this callback's files from those of another one in the same fit.
    """

    def __init__(self, directory: str | os.PathLike[str], labels: Sequence[str]) -> None:
        self._directory = Path(directory)
        self._stem = re.sub(r"\W+", "_", "_".join(["plateau", *labels]))
        self._path = self._directory / f"{self._stem}.json"
        self._files: dict[str, tuple[Rollback, str]] = {}

    def save(self, epoch: int, state: dict[str, Any], weights: Mapping[str, Rollback]) -> None:
        """Write the state that an epoch will begin with.

        Args:
            epoch: The coming epoch, counted from 0.
            state: Plain values.
            weights: What to go back to, by name; written only when it is other than before.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        files = {label: self._write(epoch, label, one) for label, one in weights.items()}
        entries = {**self._read(), str(epoch): {"state": state, "weights": files}}
        past = sorted((key for key in entries if int(key) <= epoch), key=int)
        kept = {key: entries[key] for key in past[-KEPT_EPOCHS:]}
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(kept))
        os.replace(draft, self._path)  # a kill leaves the old file or the new one, never half of it
        used = {file for entry in kept.values() for file in entry["weights"].values()}
        for path in self._directory.glob(f"{self._stem}-*.npz"):
            if path.name not in used:
                path.unlink()

    def load(self, epoch: int) -> tuple[dict[str, Any], dict[str, Rollback]] | None:
        """Return the state that an epoch is to begin with, and the weights to go back to.

        Args:
            epoch: The epoch that `fit` begins with.

        Returns:
            State and weights; None if nothing was saved.
        """
        entries = self._read()
        past = sorted((key for key in entries if int(key) <= epoch), key=int)
        if not past:
            return None
        if int(past[-1]) < epoch:
            rule = "the saved state should be that of the epoch to begin with"
            fix = "List the callback before BackupAndRestore, so that it is saved first"
            received = {"saved": int(past[-1]), "epoch": epoch}
            warn(complaint(OWNER, rule, fix, **received))
        entry = entries[past[-1]]
        self._files = {
            label: (Rollback.load(self._directory / file), file)
            for label, file in entry["weights"].items()
        }
        return entry["state"], {label: one for label, (one, _) in self._files.items()}

    def remove(self) -> None:
        """Delete what was written."""
        for path in [self._path, *self._directory.glob(f"{self._stem}-*.npz")]:
            path.unlink(missing_ok=True)
        if self._directory.is_dir() and not any(self._directory.iterdir()):
            self._directory.rmdir()

    def _write(self, epoch: int, label: str, weights: Rollback) -> str:
        """Write weights once, under a name of their own, and return the name."""
        if label not in self._files or self._files[label][0] is not weights:
            file = f"{self._stem}-{label}-{epoch}.npz"
            draft = self._directory / f"{file}.draft"
            weights.save(draft)
            os.replace(draft, self._directory / file)
            self._files[label] = weights, file
        return self._files[label][1]

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        entries: dict[str, Any] = json.loads(self._path.read_text())
        return entries
