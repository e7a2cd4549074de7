"""The weights at the ends of cycles, kept in memory or in a folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_lr._engine.averages.in_use import average_in_use, evaluated_values
from keras_lr._engine.averages.view import AveragedWeights
from keras_lr._engine.averages.weight_sets import Weights, put_weights, read_weights
from keras_lr._engine.state import TrainingState
from keras_lr._keras.variables import read_variable
from keras_lr.callbacks.saved.backups import replacing
from keras_lr.errors import check_integer, check_path, complaint


@dataclass(frozen=True)
class Snapshot:
    """The weights at the end of one cycle.

    Attributes:
        cycle: The cycle's number, from 0.
        weights: The weights, or the file they are in.
    """

    cycle: int
    weights: Weights | Path


class Snapshots:
    """The last few sets of weights of a model, in memory or in a folder.

    Args:
        keep: How many to keep; 0 for none.
        folder: Where to write them, as `cycle_0001_step_400.weights.h5` and so on, which
            `Model.load_weights` reads; None for memory.
    """

    def __init__(self, keep: int, folder: str | os.PathLike[str] | None = None) -> None:
        self.keep = keep
        self._folder = None if folder is None else Path(folder)
        self._kept: list[Snapshot] = []
        self._unwritten: list[tuple[int, Weights, Path]] = []
        self._average: AveragedWeights | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, model: Any, step: int, ends: Sequence[int]) -> None:
        """Begin a fit: what a former one kept before this step belongs to it, the rest does not.

        Args:
            model: The model in `fit`, all of whose callbacks have begun.
            step: The update the fit begins at. At 0 it is a new run.
            ends: After how many updates each cycle is over. Files of other cycles are those of
                another run.
        """
        self._average = average_in_use(model)
        past = [end for end in ends if end <= step] if step else []
        self._kept = [each for each in self._kept if each.cycle < len(past)]
        self._unwritten = [each for each in self._unwritten if each[0] < len(past)]
        if self._folder is not None and not self._kept:
            paths = [self._path(*cycle) for cycle in enumerate(past)]
            found = [Snapshot(*pair) for pair in enumerate(paths) if pair[1].exists()]
            self._kept = found[-self.keep :] if self.keep else []

    def take(self, model: Any, state: TrainingState, cycle: int, step: int) -> None:
        """Keep the present weights, those that evaluation uses.

        Args:
            model: The model in training.
            state: Where its values are.
            cycle: Number of the cycle that is over, from 0.
            step: Updates done.
        """
        if self.keep == 0:
            return
        weights = evaluated_values(model, state.read, self._average)
        if self._folder is None:
            self._add(Snapshot(cycle, weights))
        else:
            self._unwritten.append((cycle, weights, self._path(cycle, step)))

    def _path(self, cycle: int, step: int) -> Path:
        return Path(self._folder or "", f"cycle_{cycle:04d}_step_{step}.weights.h5")

    def _add(self, snapshot: Snapshot) -> None:
        self._kept.append(snapshot)
        while len(self._kept) > self.keep:
            oldest = self._kept.pop(0)
            if isinstance(oldest.weights, Path):
                oldest.weights.unlink(missing_ok=True)

    @property
    def unwritten(self) -> bool:
        """Whether `write` has something to do."""
        return bool(self._unwritten)

    def write(self, model: Any) -> None:
        """Write to the folder what has been taken, and delete what is no longer to be kept.

        Args:
            model: The model, between two executions. Its weights are put back.
        """
        for cycle, weights, path in self._unwritten:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not by the model's own methods: SwapScheduleFreeWeights makes these take an average
            # and give one, and training would not go on from the same weights to the bit.
            present = [read_variable(variable) for variable in model.weights]
            try:
                put_weights(model, weights)
                with replacing(path, ending=".weights.h5") as draft:
                    type(model).save_weights(model, draft)
            finally:
                put_weights(model, present)
            self._add(Snapshot(cycle, path))
        self._unwritten.clear()

    def weights(self, model: Any) -> list[Weights]:
        """Return all sets of weights, the oldest first.

        Args:
            model: The model they are of, into which files are read; its values are put back.
        """
        return [
            read_weights(model, each.weights) if isinstance(each.weights, Path) else each.weights
            for each in self._kept
        ]


def check_snapshots(owner: str, snapshots: int, folder: Any) -> None:
    """Raise unless the arguments of a callback with snapshots make sense."""
    check_integer(owner, "Pass how many to keep, 0 for none", at_least=0, snapshots=snapshots)
    if folder is None:
        return
    fix = "Pass the path of a folder; it need not exist yet"
    check_path(owner, fix, snapshot_folder=folder)
    if snapshots == 0:
        rule, fix = "a folder needs snapshots to put in", "Pass snapshots=5 or so"
        raise ValueError(complaint(owner, rule, fix, snapshots=0, snapshot_folder=folder))
    path = Path(folder)
    if any(each.exists() and not each.is_dir() for each in (path, *path.parents)):
        rule = "snapshot_folder must not be a file, nor lie below one"
        raise ValueError(complaint(owner, rule, fix, snapshot_folder=str(folder)))
