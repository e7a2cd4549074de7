"""A plateau's memory on disk, beside the backup that Keras makes of the weights."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._warnings import warn
from keras_lr.callbacks.plateau.saved_state import check_state
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.callbacks.saved.backups import (
    KEPT_EPOCHS,
    UNREADABLE,
    replacing,
    warn_of_damage,
    writing,
)
from keras_lr.errors import complaint


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
        self._files: dict[str, tuple[WeightCheckpoint, str]] = {}

    def save(
        self, epoch: int, state: dict[str, Any], weights: Mapping[str, WeightCheckpoint]
    ) -> None:
        """Write the state that an epoch will begin with; warn if the disk does not take it.

        The files of the epochs before then stay as they are.

        Args:
            epoch: The coming epoch, counted from 0.
            state: Plain values.
            weights: What to go back to, by name; written only when it is other than before.
        """
        with writing(OWNER, self._directory):
            self._save(epoch, state, weights)

    def load(
        self, epoch: int, *, expected: bool = True
    ) -> tuple[dict[str, Any], dict[str, WeightCheckpoint]] | None:
        """Return the state that an epoch is to begin with, and the weights to go back to.

        Args:
            epoch: The epoch that `fit` begins with.
            expected: Whether to warn if nothing was saved.

        Returns:
            State and weights; None, with a warning, if there is nothing that can be used.
        """
        try:
            entries = self._read()
        except UNREADABLE as error:
            warn_of_damage(OWNER, self._path.name, error)
            return None
        past = [saved for saved in sorted(entries) if saved <= epoch]
        if not past:
            if expected:
                rule = "no state was saved for this epoch; the plateau begins anew"
                fix = "To go on, pass the former run's backup_dir, also to BackupAndRestore"
                received = {"epoch": epoch, "backup_dir": str(self._directory)}
                warn(complaint(OWNER, rule, fix, **received))
            return None
        if past[-1] < epoch:
            rule = "the saved state should be that of the epoch to begin with"
            fix = "List the callback before BackupAndRestore, so that it is saved first"
            warn(complaint(OWNER, rule, fix, saved=past[-1], epoch=epoch))
        entry = entries[past[-1]]
        self._files = {}
        for label, file in entry["weights"].items():
            try:
                self._files[label] = WeightCheckpoint.load(self._directory / file), file
            except UNREADABLE as error:
                rule = f"the saved {label} weights cannot be read; they are sought anew"
                fix = "Put back an undamaged copy, or go on"
                warn(complaint(OWNER, rule, fix, file=file, error=str(error)))
        return entry["state"], {label: one for label, (one, _) in self._files.items()}

    def remove(self) -> None:
        """Delete what was written."""
        for path in [self._path, *self._directory.glob(f"{self._stem}*.draft"), *self._weights()]:
            path.unlink(missing_ok=True)
        if self._directory.is_dir() and not any(self._directory.iterdir()):
            self._directory.rmdir()

    def _save(
        self, epoch: int, state: dict[str, Any], weights: Mapping[str, WeightCheckpoint]
    ) -> None:
        files = {label: self._write(epoch, label, one) for label, one in weights.items()}
        try:
            entries = self._read()
        except UNREADABLE:  # which `load` has warned of
            entries = {}
        entries[epoch] = {"state": state, "weights": files}
        past = [saved for saved in sorted(entries) if saved <= epoch]
        kept = {saved: entries[saved] for saved in past[-KEPT_EPOCHS:]}
        with replacing(self._path) as draft:
            draft.write_text(json.dumps(kept))
        used = {file for entry in kept.values() for file in entry["weights"].values()}
        for path in self._weights():
            if path.name not in used:
                path.unlink()

    def _write(self, epoch: int, label: str, weights: WeightCheckpoint) -> str:
        """Write weights once, under a name of their own, and return the name."""
        if label not in self._files or self._files[label][0] is not weights:
            file = f"{self._stem}-{label}-{epoch}.npz"
            with replacing(self._directory / file) as draft:
                weights.save(draft)
            self._files[label] = weights, file
        return self._files[label][1]

    def _weights(self) -> list[Path]:
        return list(self._directory.glob(f"{self._stem}-*.npz"))

    def _read(self) -> dict[int, dict[str, Any]]:
        """Return the entries by epoch.

        Raises:
            TypeError: If the file is not what `_save` writes, or
            ValueError: if it is damaged.
        """
        if not self._path.exists():
            return {}
        entries = json.loads(self._path.read_text())
        for entry in entries.values():
            check_state(entry["state"])
            if not all(isinstance(file, str) for file in entry["weights"].values()):
                raise TypeError("weights must be names of files")
        return {int(epoch): entry for epoch, entry in entries.items()}
