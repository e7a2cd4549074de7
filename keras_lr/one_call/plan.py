"""The plan of a `fit`, made before it trains, and the file by which it outlives a kill."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import keras

from keras_lr._warnings import warn
from keras_lr.errors import complaint
from keras_lr.one_call.recipe import OWNER
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune.result import TuneResult

_FILE = "plan-fit.json"


@dataclass(frozen=True)
class RunPlan:
    """The peak of a run, and how it was come by.

    Attributes:
        peak: The highest learning rate.
        source: `"trials"`; `"default"`, where no trial lowered the loss; `"short"`, where there is
            no room for trials; `"given"`; or `"optimizer"`, its own.
        total: Updates in all.
        tuning: The trials.
        first_iteration: Updates the optimizer had made before the run.
        first_value: The monitored metric at the first validation, once that is known.
    """

    peak: float
    source: str
    total: int
    tuning: TuneResult | None = None
    first_iteration: int = 0
    first_value: float | None = None

    @property
    def cost(self) -> int:
        """Updates spent on the trials."""
        return 0 if self.tuning is None else self.tuning.cost_steps

    @property
    def updates(self) -> int:
        """Updates left to train with."""
        return self.total - self.cost


class PlanFile:
    """The plan beside the backup of `keras.callbacks.BackupAndRestore`, until the run is over.

    Args:
        callbacks: The callbacks of the fit.
    """

    def __init__(self, callbacks: Sequence[Any]) -> None:
        kind = keras.callbacks.BackupAndRestore
        backups = [each for each in callbacks if isinstance(each, kind)]
        self._path: Path | None = None
        self._backup = backups[0] if backups else None
        self.directory: str | None = None
        if self._backup is not None:
            self.directory = os.fspath(self._backup.backup_dir)
            if "://" not in self.directory:
                self._path = Path(self.directory) / _FILE

    def load(self, total: int) -> RunPlan | None:
        """Return the plan of a run that was killed; None if there is none.

        Raises:
            ValueError: If it was for another number of updates, or is damaged.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            plan = _from_dict(json.loads(self._path.read_text("utf8")))
        except (OSError, ValueError, LookupError, TypeError) as error:
            rule, fix = "the plan of the run to go on with is damaged", "Delete it to begin afresh"
            raise ValueError(complaint(OWNER, rule, fix, file=self._path.name)) from error
        if plan.total != total:
            rule = f"the run to go on with was planned for {plan.total} updates"
            fix = "Resume with the same data and length, or delete backup_dir to begin afresh"
            raise ValueError(complaint(OWNER, rule, fix, updates=total))
        return plan

    def save(self, plan: RunPlan) -> None:
        """Write it, whole or not at all; a disk that does not take it is warned of."""
        if self._path is None:
            return
        draft = self._path.with_suffix(".draft")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(_to_dict(plan)), "utf8")
            os.replace(draft, self._path)
        except OSError as error:
            rule = "the plan could not be saved beside the backup, so a resumed run tunes anew"
            fix = "Pass tune=<peak> there"
            warn(complaint(OWNER, rule, fix, peak=plan.peak, error=str(error)))

    def remove(self) -> None:
        """Delete it with the backup, if that is not to stay."""
        if self._path is not None and getattr(self._backup, "delete_checkpoint", True):
            self._path.unlink(missing_ok=True)
            if self._path.parent.is_dir() and not any(self._path.parent.iterdir()):
                self._path.parent.rmdir()


def _to_dict(plan: RunPlan) -> dict[str, Any]:
    held = {field.name: getattr(plan, field.name) for field in fields(plan)}
    if plan.tuning is not None:
        names = [field.name for field in fields(plan.tuning) if field.name != "schedule"]
        held["tuning"] = {name: getattr(plan.tuning, name) for name in names}
    return held


def _from_dict(held: dict[str, Any]) -> RunPlan:
    plan = RunPlan(**held)
    if not (isinstance(plan.peak, float) and math.isfinite(plan.peak) and plan.peak > 0.0):
        raise ValueError("peak")
    if plan.tuning is None:
        return plan
    given: dict[str, Any] = held["tuning"]
    trials = tuple(Trial(float(x), float(score)) for x, score in given["trials"])
    return replace(plan, tuning=TuneResult(**{**given, "trials": trials}))
