"""A study as a list of slots, each trained once by whichever process takes it first.

Optuna keeps the trials and proposes their values; several processes, or one that was killed and
started again, may work on the same storage. Three rules hold them together:

1. A slot is a trial in the queue with a name. Whoever finds one missing puts it there.
2. A slot belongs to its trial with the lowest number that has not failed. Whoever takes another one
   gives it up, so that two processes that fill the queue at once do no harm.
3. Who trains, beats: a counter in the trial goes up every few seconds. A trial whose counter has
   stood still for longer than the grace period is failed by whoever sees it, and rule 1 puts its
   slot back with the same values. Only the watcher's own clock is used.
"""

import contextlib
import itertools
import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from keras_lr.errors import complaint
from keras_lr.search.tune_adam.storage import storage_errors

HEARTBEAT_SECONDS, GRACE_SECONDS, LOOK_SECONDS = 5.0, 60.0, 0.5
MAX_RETRIES = 3


def import_optuna(owner: str) -> ModuleType:
    """Return Optuna, or say how to install it."""
    try:
        with warnings.catch_warnings():
            # In Jupyter without ipywidgets tqdm says so, of bars that are not shown here.
            warnings.filterwarnings("ignore", message="IProgress not found")
            import optuna
    except ImportError as error:
        fix = 'Run pip install "keras-lr[tune]"'
        received = {"optuna": "not installed"}
        raise ImportError(complaint(owner, "Optuna is needed", fix, **received)) from error
    module: ModuleType = optuna
    return module


@contextlib.contextmanager
def quiet(optuna: ModuleType) -> Iterator[None]:
    """Keep Optuna from logging each trial while the context lasts."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class Slots:
    """The slots of one study.

    Args:
        study: An Optuna study.
        shared: Whether other processes may work on it, or have.
    """

    def __init__(self, study: Any, *, shared: bool) -> None:
        self._study, self._shared = study, shared
        optuna = import_optuna("tune_adam")
        self._states = optuna.trial.TrialState
        self._finished_already = optuna.exceptions.UpdateFinishedTrialError
        self._seen: dict[int, tuple[Any, float]] = {}

    def of(self, names: Any) -> dict[str, Any]:
        """Return the trial that each of the named slots belongs to, if there is one."""
        found: dict[str, Any] = {}
        for trial in self._trials():  # in the order of their numbers
            name = trial.user_attrs.get("slot")
            if name in names and trial.state != self._states.FAIL:
                found.setdefault(name, trial)
        return found

    def done(self, names: Any) -> dict[str, Any]:
        """Return the finished trials of the named slots."""
        return {name: trial for name, trial in self.of(names).items() if trial.state.is_finished()}

    def take(self, wanted: Mapping[str, Mapping[str, float]]) -> Any:
        """Return a trial to train, or None when all the wanted slots are done.

        Waits while the last of them are being trained by other processes, which may yet be killed.

        Args:
            wanted: The values that are fixed beforehand, by the slots' names.
        """
        while True:
            self._fail_silent()
            self._fill(wanted)
            owners = self.of(wanted)
            if any(trial.state == self._states.WAITING for trial in owners.values()):
                trial = self._study.ask()
                if self._is_owner(trial):
                    trial.set_user_attr("worker", f"process:{os.getpid()}")  # no machine's name
                    return trial
                # Taken by another process in between: what Optuna gave is a trial without a slot,
                # or a second one of a slot that has an owner.
                trial.set_user_attr("slot", None)
                self._study.tell(trial, state=self._states.FAIL)
            elif all(trial.state.is_finished() for trial in owners.values()):
                return None
            else:
                time.sleep(LOOK_SECONDS)

    @contextlib.contextmanager
    def heartbeat(self, trial: Any) -> Iterator[None]:
        """Beat for a trial while the context lasts; if it is left by an exception, fail the trial.

        Being pruned is no failure. The trial's slot is free again, with the values it had.
        """
        over = threading.Event()
        thread = threading.Thread(target=_send_heartbeats, args=(trial, over), daemon=True)
        if self._shared:
            thread.start()
        try:
            yield
        except BaseException:
            with contextlib.suppress(self._finished_already):
                trial.set_user_attr("given_up", True)  # in order, unlike a process that is killed
                self._study.tell(trial, state=self._states.FAIL, skip_if_finished=True)
            raise
        finally:
            over.set()
            if self._shared:
                thread.join()

    def _trials(self) -> list[Any]:
        trials: list[Any] = self._study.get_trials(deepcopy=False)
        return trials

    def _is_owner(self, trial: Any) -> bool:
        name = trial.user_attrs.get("slot")
        return name is not None and bool(self.of({name})[name].number == trial.number)

    def _fill(self, wanted: Mapping[str, Mapping[str, float]]) -> None:
        owners = self.of(wanted)
        missing = [name for name in wanted if name not in owners]
        failed: dict[str, list[Any]] = {name: [] for name in missing}
        for trial in self._trials() if missing else ():
            if trial.user_attrs.get("slot") in failed:
                failed[trial.user_attrs["slot"]].append(trial)
        for name, trials in failed.items():
            if sum("given_up" not in trial.user_attrs for trial in trials) >= MAX_RETRIES:
                rule = f"a trial was given up after {MAX_RETRIES} processes did not finish it"
                fix = "Look for what kills them, such as too little memory, and use a new study"
                params = trials[-1].params
                raise RuntimeError(complaint("tune_adam", rule, fix, slot=name, values=params))
            values = {**wanted[name], **(trials[-1].params if trials else {})}
            self._study.enqueue_trial(values, user_attrs={"slot": name})

    def _fail_silent(self) -> None:
        if not self._shared:
            return
        now = time.monotonic()
        for trial in self._trials():
            if trial.state != self._states.RUNNING:
                continue
            beat = trial.user_attrs.get("beat")
            last, since = self._seen.get(trial.number, (None, now))
            if trial.number not in self._seen or last != beat:
                self._seen[trial.number] = (beat, now)
            elif now - since > GRACE_SECONDS:
                options = {"state": self._states.FAIL, "skip_if_finished": True}
                self._study.tell(trial.number, **options)


def _send_heartbeats(trial: Any, over: threading.Event) -> None:
    optuna = import_optuna("tune_adam")
    for count in itertools.count():
        try:
            trial.set_user_attr("beat", count)
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # another process thought this one dead
        except storage_errors(optuna):
            pass  # the storage is busy: the next beat will do
        if over.wait(HEARTBEAT_SECONDS):
            return
