"""The attributes that `keras.callbacks.ReduceLROnPlateau` has, read and set as with Keras' own."""

import keras
import numpy as np
import pytest
from support.drives import displacement

import keras_lr as klr

NAMES = ["best", "wait", "cooldown_counter", "monitor", "mode", "patience", "cooldown", "min_lr"]
VALUES = np.random.default_rng(7).normal(size=16).round(2).tolist()
PLATEAUS = [keras.callbacks.ReduceLROnPlateau, klr.ReduceOnPlateauPlus]


class Scripted(keras.callbacks.Callback):
    """Logs chosen values as `metric`, and their negatives as `other`."""

    def on_epoch_end(self, epoch, logs=None):
        logs |= {"metric": VALUES[epoch], "other": -VALUES[epoch]}


class Setting(keras.callbacks.Callback):
    """Sets attributes of a plateau after chosen epochs, and notes what it has."""

    def __init__(self, plateau, changes):
        super().__init__()
        self.plateau, self.changes, self.seen = plateau, changes, []

    def on_epoch_end(self, epoch, logs=None):
        for name, value in self.changes.get(epoch, {}).items():
            setattr(self.plateau, name, value)
        self.seen.append([getattr(self.plateau, name) for name in NAMES])
        self.seen[-1] += [self.plateau.factor, self.plateau.verbose, self.plateau.in_cooldown()]
        self.seen[-1].append(self.plateau.monitor_op is keras.ops.less)


def run(plateau, changes):
    model = displacement(keras.optimizers.SGD(0.1))
    setting = Setting(plateau, changes)
    x = np.ones((2, 1), "float32")
    callbacks = [Scripted(), plateau, setting]
    history = model.fit(x, x, epochs=len(VALUES), callbacks=callbacks, verbose=0).history
    return history["learning_rate"], setting.seen


@pytest.mark.needs("callbacks.ReduceLROnPlateau._is_improvement")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {3: {"best": 5.0, "wait": 1}, 7: {"best": -9.0}},
        {2: {"cooldown_counter": 3}, 9: {"cooldown_counter": 0, "wait": 0}},
        {1: {"factor": 0.3, "patience": 1}, 5: {"patience": 3, "cooldown": 0}},
        {4: {"min_lr": 0.04}, 10: {"min_lr": 0.0}},
        {5: {"monitor": "other", "best": None}},
        {5: {"monitor_op": keras.ops.greater}, 9: {"verbose": 1}},
    ],
)
def test_readable_and_settable_as_in_keras(changes, capsys):
    results, printed = [], []
    for make in PLATEAUS:
        plateau = make("metric", 0.5, 2, mode="min", cooldown=2)
        results.append(run(plateau, changes))
        printed.append(capsys.readouterr().out.replace("ReduceLROnPlateau", "ReduceOnPlateauPlus"))
    assert results[0] == results[1]
    assert printed[0] == printed[1]
    assert len(set(results[0][0])) > 2


@pytest.mark.needs("callbacks.ReduceLROnPlateau._is_improvement")
def test_before_a_fit_and_after_it_as_in_keras():
    for make in PLATEAUS:
        plateau = make("metric", 0.5, 2, mode="min")
        assert (plateau.best, plateau.wait, plateau.cooldown_counter) == (None, 0, 0)
        assert not plateau.in_cooldown()
        plateau.best, plateau.wait = -100.0, 1
        assert (plateau.best, plateau.wait) == (-100.0, 1)
        run(plateau, {})
        assert plateau.best == min(VALUES)


def test_the_direction_is_inferred_of_a_monitor_that_is_set():
    plateau = klr.ReduceOnPlateauPlus("loss", patience=1)
    assert plateau.monitor_op is None
    run(plateau, {})
    assert plateau.monitor_op is keras.ops.less
    assert plateau.mode == "auto"
    plateau.mode = "max"
    assert plateau.monitor_op is keras.ops.greater
    plateau.monitor_op = np.less
    assert plateau.monitor_op is keras.ops.less
    plateau.monitor_op = None
    assert plateau.monitor_op is keras.ops.greater


def test_a_sign_of_min_delta_is_ignored():
    plateau = klr.ReduceOnPlateauPlus("loss")
    plateau.min_delta = -0.5
    assert plateau.min_delta == plateau.controller.min_delta == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("factor", 1.0),
        ("patience", -1),
        ("cooldown", 1.5),
        ("min_lr", -1.0),
        ("min_delta", "small"),
        ("best", "low"),
        ("wait", -1),
        ("cooldown_counter", None),
        ("monitor", 3),
        ("mode", "lowest"),
        ("monitor_op", "less"),
        ("monitor_op", np.add),
        ("verbose", "no"),
    ],
)
def test_what_cannot_be_is_refused(name, value):
    plateau = klr.ReduceOnPlateauPlus("loss")
    before = getattr(plateau, name)
    with pytest.raises((TypeError, ValueError), match=f"ReduceOnPlateauPlus: .*{name}"):
        setattr(plateau, name, value)
    assert getattr(plateau, name) == before
