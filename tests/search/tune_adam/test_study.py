"""Slots of a study: trained once each, by whichever process, whatever is killed."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState

from keras_lr.search.tune_adam import study as study_module
from keras_lr.search.tune_adam.study import MAX_RETRIES, Slots, import_optuna, quiet

HERE = pathlib.Path(__file__).parent
WANTED = {"search 0": {"lr": 0.1}, "search 1": {}, "search 2": {}}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(study_module, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(study_module, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(study_module, "LOOK_SECONDS", 0.02)


def made(storage=None):
    with quiet(optuna):
        return optuna.create_study(storage=storage, study_name="tune_adam", load_if_exists=True)


def journal(path):
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.storages.JournalStorage(backend)


def finish(study, trial):
    trial.suggest_float("lr", 0.01, 1.0)
    study.tell(trial, 1.0)


def slot_counts(study, state):
    return Counter(t.user_attrs.get("slot") for t in study.get_trials() if t.state == state)


def test_each_slot_is_given_out_once_with_its_values():
    study = made()
    slots = Slots(study, shared=False)
    taken = {}
    while trial := slots.take(WANTED):
        taken[trial.user_attrs["slot"]] = trial.suggest_float("lr", 0.01, 1.0)
        study.tell(trial, 1.0)
    assert list(taken) == list(WANTED)
    assert taken["search 0"] == 0.1
    assert list(slots.done(WANTED)) == list(WANTED)


def test_what_another_process_queued_twice_is_trained_once():
    study = made()
    ours, theirs = Slots(study, shared=False), Slots(study, shared=False)
    ours._fill(WANTED)
    for name in WANTED:  # the other process looked before ours had written
        study.enqueue_trial({}, user_attrs={"slot": name})
    while trial := ours.take(WANTED) or theirs.take(WANTED):
        finish(study, trial)
    assert slot_counts(study, TrialState.COMPLETE) == dict.fromkeys(WANTED, 1)


def test_a_trial_left_by_an_exception_is_queued_again_with_its_values():
    study = made()
    slots = Slots(study, shared=False)
    trial = slots.take(WANTED)
    finish(study, trial)
    trial = slots.take(WANTED)
    lr = trial.suggest_float("lr", 0.01, 1.0)
    with pytest.raises(KeyboardInterrupt), slots.heartbeat(trial):
        raise KeyboardInterrupt
    trials = [slots.take(WANTED) for _ in range(2)]
    again = next(t for t in trials if t.user_attrs["slot"] == "search 1")
    assert again.suggest_float("lr", 0.01, 1.0) == lr


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_silent_trial_is_taken_over(tmp_path, impatient, kind):
    path = tmp_path / "study"
    storage = journal(path) if kind == "journal" else f"sqlite:///{path}"
    study = made(storage)
    dead = Slots(study, shared=True).take(WANTED)  # its process is killed
    lr = dead.suggest_float("lr", 0.01, 1.0)
    slots, values = Slots(made(storage), shared=True), {}
    while trial := slots.take(WANTED):
        with slots.heartbeat(trial):
            values[trial.user_attrs["slot"]] = trial.suggest_float("lr", 0.01, 1.0)
        study.tell(trial, 1.0)
    assert values["search 0"] == lr == 0.1
    assert slot_counts(study, TrialState.COMPLETE) == dict.fromkeys(WANTED, 1)
    assert slot_counts(study, TrialState.FAIL) == {"search 0": 1}


def test_a_beating_trial_is_waited_for(tmp_path, impatient):
    storage = journal(tmp_path / "study")
    study = made(storage)
    one = {"search 0": {}}
    slow = Slots(study, shared=True)
    trial = slow.take(one)
    other = Slots(made(storage), shared=True)
    with slow.heartbeat(trial):
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            other._fail_silent()
            time.sleep(0.02)
        finish(study, trial)
    assert other.take(one) is None
    assert slot_counts(study, TrialState.FAIL) == {}


def test_a_trial_that_no_process_survives_is_given_up(tmp_path, impatient):
    study = made(journal(tmp_path / "study"))
    for _ in range(MAX_RETRIES):
        Slots(study, shared=True).take({"search 0": {}})
        watcher = Slots(study, shared=True)
        watcher._fail_silent()
        time.sleep(0.12)
        watcher._fail_silent()
    with pytest.raises(RuntimeError, match="given up after 3 processes"):
        Slots(study, shared=True).take({"search 0": {}})


class Workers:
    """Processes that tune the same model; killed at the end, whatever happens."""

    def __init__(self, storage, trials):
        paths = os.pathsep.join([str(HERE.parents[2]), str(HERE.parents[1])])
        self._command = [sys.executable, str(HERE / "study_worker.py"), str(storage), str(trials)]
        self._options = {
            "env": {**os.environ, "PYTHONPATH": paths},
            "stdout": subprocess.PIPE,
            "text": True,
        }
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for worker in self.started:
            worker.kill()
            worker.wait()
            worker.stdout.close()

    def start(self):
        self.started.append(subprocess.Popen(self._command, **self._options))
        return self.started[-1]


def worker_of(trial):
    return int(trial.user_attrs.get("worker", ":0").split(":")[1])


def running(study, worker):
    """Return the trials that a process is in the middle of."""
    trials = [t for t in study.get_trials() if t.state == TrialState.RUNNING]
    return [t for t in trials if worker_of(t) == worker.pid and len(t.params) == 2]


@pytest.mark.parametrize(
    ("kind", "first", "killed", "late"), [("sqlite", 2, 1, 0), ("journal", 3, 2, 1)]
)
def test_no_trial_is_lost_or_run_twice_whoever_is_killed(tmp_path, kind, first, killed, late):
    count = 6
    path = tmp_path / ("tune.log" if kind == "journal" else "tune.db")
    study = made(journal(path) if kind == "journal" else f"sqlite:///{path}")  # with its tables
    with Workers(path if kind == "journal" else f"sqlite:///{path}", count) as workers:
        for _ in range(first):
            workers.start()
        doomed, lost = workers.started[:killed], []
        while not all(running(study, worker) for worker in doomed):
            assert all(worker.poll() is None for worker in doomed)
            time.sleep(0.1)
        for worker in doomed:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            lost += running(study, worker)
        for _ in range(late):
            workers.start()
        survivors = workers.started[killed:]
        for worker in survivors:
            output, _ = worker.communicate()
            assert worker.returncode == 0
            assert output.strip().endswith("True")
    assert len({each.user_attrs["slot"] for each in lost}) == len(lost) <= killed
    whole = slot_counts(study, TrialState.COMPLETE)
    assert set(whole.values()) == {1}
    searched = {name for name in whole if name.startswith("search")}
    assert searched == {f"search {index}" for index in range(count)}
    assert len(whole) == count + 3  # three finalists, each run once more
    failed = [t for t in study.get_trials() if t.state == TrialState.FAIL]
    failed = [t for t in failed if t.user_attrs.get("slot") is not None]
    assert {t.number for t in failed} == {t.number for t in lost}
    complete = [t for t in study.get_trials() if t.state == TrialState.COMPLETE]
    for trial in lost:
        slot = trial.user_attrs["slot"]
        again = next(each for each in complete if each.user_attrs["slot"] == slot)
        assert worker_of(again) in {worker.pid for worker in survivors}
        assert again.params == trial.params


def test_optuna_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"tune_adam: Optuna is needed.*keras-lr\[tune\]"):
        import_optuna("tune_adam")


def test_optuna_logs_nothing_meanwhile_and_as_before_afterwards():
    before = optuna.logging.get_verbosity()
    with quiet(optuna):
        assert optuna.logging.get_verbosity() >= optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == before
