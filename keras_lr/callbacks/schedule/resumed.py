"""Fits that go on from an earlier epoch: does what depends on the position go on, too?

A cycle as long as the fit is planned from `epochs`. Whoever resumes with other `epochs` gets
another plan, from its middle. So the length of the last plan is remembered: by the model within a
process, and beside the backup of `keras.callbacks.BackupAndRestore` from one process to the next.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from keras_lr._keras.in_graph import depends_on_position
from keras_lr._keras.optimizers import batches_seen, leaf_optimizers
from keras_lr._keras.peers import backup_directory
from keras_lr._keras.running_fit import running_fit
from keras_lr._warnings import warn
from keras_lr.callbacks.saved.backups import replacing
from keras_lr.callbacks.schedule.fit import FitInfo
from keras_lr.errors import complaint

FACTS = ("epochs", "batches", "accumulation")
"""The parts of a fit that decide the length of a cycle that spans it."""


_WARNED: WeakSet[Any] = WeakSet()  # the fits in which one of several callbacks has warned


def warn_of_fresh_optimizer(model: Any, owner: str, epoch: int) -> None:
    """Warn, once in a fit, if it goes on, but its optimizer begins its schedule or decay.

    Args:
        model: The model, at the beginning of the first epoch.
        owner: The public name of the callback.
        epoch: That epoch.
    """
    counting = any(depends_on_position(leaf) for leaf in leaf_optimizers(model.optimizer))
    run = running_fit(model)
    if epoch > 0 and counting and batches_seen(model) == 0 and run not in _WARNED:
        if run is not None:
            _WARNED.add(run)
        rule = "the fit goes on, but the optimizer's own schedule or decay begins at step 0"
        fix = "Load the whole model, or set optimizer.iterations: weights files may lack it"
        warn(complaint(owner, rule, fix, epoch=epoch, iterations=0))


class Plans:
    """The last fit of each model that a cycle was planned to span, by the callback's name."""

    def __init__(self) -> None:
        self._runs: WeakKeyDictionary[Any, dict[str, FitInfo]] = WeakKeyDictionary()

    def last(self, model: Any, run: FitInfo) -> FitInfo | None:
        """Return what is known of the fit that a run goes on from; None if nothing is."""
        known = self._runs.get(model, {}).get(run.owner)
        if known is not None:
            return known
        path = _path(run)
        if path is None or not path.exists():
            return None
        try:
            facts = json.loads(path.read_text())
            return replace(run, **{name: facts[name] for name in FACTS})
        except (LookupError, OSError, TypeError, ValueError):
            rule = "the length of the last plan cannot be read; see that epochs is the same"
            warn(complaint(run.owner, rule, "Or pass steps to the callback", file=str(path)))
            return None

    def note(self, model: Any, run: FitInfo) -> None:
        """Remember a fit."""
        self._runs.setdefault(model, {})[run.owner] = run
        path = _path(run)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft:
                draft.write_text(json.dumps({name: getattr(run, name) for name in FACTS}))
        except OSError as error:
            rule = "the length of the plan could not be saved beside the backup"
            fix = "Resume with the same epochs"
            warn(complaint(run.owner, rule, fix, backup_dir=str(path.parent), error=str(error)))


PLANS = Plans()


def _path(run: FitInfo) -> Path | None:
    directory = backup_directory()
    if directory is None or "://" in directory:
        return None
    return Path(directory) / f"plan-{run.owner}.json"


def check_goes_on(run: FitInfo, last: FitInfo, epoch: int, before: float, now: float) -> None:
    """Refuse a cycle that goes on after its end; warn of one that changes its length on the way.

    Args:
        run: The fit.
        last: The one that it goes on from.
        epoch: The first epoch.
        before: The learning rate that the last plan has there.
        now: The learning rate that the new plan has there.

    Raises:
        ValueError: If the last plan is over: its cycle cannot be continued.
    """
    if last.epochs is not None and epoch >= last.epochs:
        rule = f"a cycle as long as the fit is over after its {last.epochs} epochs"
        fix = "Pass steps, the updates of all fits together; or fit anew from epoch 0"
        raise ValueError(complaint(run.owner, rule, fix, initial_epoch=epoch, epochs=run.epochs))
    if abs(now - before) > 1e-3 * max(now, before):
        rule = (
            f"the cycle was planned for {last.epochs} epochs and is now for {run.epochs}: "
            f"the learning rate jumps from {before:.3g} to {now:.3g}"
        )
        fix = "Resume with the same data and epochs"
        if last.updates is not None:
            fix = f"{fix}, or pass steps={last.updates} to keep the plan"
        warn(complaint(run.owner, rule, fix, initial_epoch=epoch))
