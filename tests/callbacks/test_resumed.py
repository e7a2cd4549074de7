"""Fits that go on from an earlier epoch, and loops of fits: no silence, and no false alarm."""

import json
import warnings

import keras
import numpy as np
import pytest
from support.drives import displacement

import keras_lr as klr
from keras_lr import schedules

BATCHES = 4
X = np.ones((8 * BATCHES, 1), "float32")


def sgd(rate=0.1, **arguments):
    return keras.optimizers.SGD(rate, **arguments)


def fit(model, *callbacks, **arguments):
    return model.fit(X, X, 8, callbacks=[*callbacks], verbose=0, **arguments).history


class DiedError(Exception):
    pass


class Dies(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise DiedError


def ours(caught):
    """Return the warnings that are not the backend's own."""
    return [warning for warning in caught if issubclass(warning.category, UserWarning)]


def cycle(**arguments):
    return klr.OneCycle(0.1, momentum=None, **arguments)


def test_a_cycle_that_changes_its_length_on_the_way_warns():
    model = displacement(sgd())
    with pytest.raises(DiedError):
        fit(model, cycle(), Dies(3), epochs=4)
    old, new = schedules.OneCycle(0.1, 4 * BATCHES), schedules.OneCycle(0.1, 8 * BATCHES)
    before, now = (float(one.values(3 * BATCHES)) for one in (old, new))
    with pytest.warns(UserWarning, match="planned for 4 epochs and is now for 8") as caught:
        fit(model, cycle(), initial_epoch=3, epochs=8)
    (warning,) = ours(caught)
    assert f"from {before:.3g} to {now:.3g}" in str(warning.message)
    assert "steps=16 to keep the plan" in str(warning.message)
    assert warning.filename == __file__


def test_one_that_keeps_its_length_does_not():
    model = displacement(sgd())
    for callback in (cycle(), cycle(steps=16)):
        with pytest.raises(DiedError):
            fit(model, callback, Dies(2), epochs=4)
        whole = fit(displacement(sgd()), cycle(), epochs=4)["learning_rate"]
        assert fit(model, callback, initial_epoch=2, epochs=4)["learning_rate"] == whole[2:]


@pytest.mark.parametrize("damage", [None, "half", "other"])
def test_the_plan_is_kept_beside_the_backup_of_another_process(tmp_path, damage):
    def fit_from_backup(model, *callbacks, epochs):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return fit(model, cycle(), backup, *callbacks, epochs=epochs)["learning_rate"]

    with pytest.raises(DiedError):
        fit_from_backup(displacement(sgd()), Dies(2), epochs=4)
    (path,) = (tmp_path / "backup").glob("plan*")
    if damage is not None:
        path.write_text({"half": path.read_text()[:9], "other": "[1]"}[damage])
    said = "planned for 4 epochs and is now for 8" if damage is None else "cannot be read"
    with pytest.warns(UserWarning, match=said):
        fit_from_backup(displacement(sgd()), epochs=8)
    assert not path.exists()


def test_a_backup_that_resumes_the_same_plan_does_not_warn(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(DiedError):
        fit(displacement(sgd()), cycle(), backup, Dies(2), epochs=4)
    (path,) = (tmp_path / "backup").glob("plan*")
    assert json.loads(path.read_text()) == {"epochs": 4, "batches": BATCHES, "accumulation": 1}
    history = fit(displacement(sgd()), cycle(), backup, epochs=4)
    whole = fit(displacement(sgd()), cycle(), epochs=4)["learning_rate"]
    assert history["learning_rate"] == whole[2:]


def loop(model, make, epochs=4):
    rates = []
    for epoch in range(epochs):
        arguments = {"initial_epoch": epoch, "epochs": epoch + 1}
        rates += fit(model, make(), **arguments)["learning_rate"]
    return rates


LOOPED = {
    "linear": lambda: klr.LRScheduler(schedules.Linear(0.1, 0.0, 4 * BATCHES)),
    "epochs": lambda: klr.LRScheduler(schedules.Linear(0.1, 0.0, 4), unit="epoch"),
    "restarts": lambda: klr.CosineWarmRestarts(0.1, first_cycle_epochs=1.5, cycle_mult=2),
    "one-cycle": lambda: cycle(steps=4 * BATCHES),
    "triangles": lambda: klr.CyclicLR(0.01, 0.1, step_size_epochs=2),
    "plateau": lambda: klr.ReduceOnPlateauPlus("loss"),
    "seen": klr.LRScheduler,
}


@pytest.mark.parametrize("case", LOOPED)
@pytest.mark.parametrize("same", [True, False])
def test_a_loop_of_fits_is_one_run_and_warns_of_nothing(case, same):
    callback = LOOPED[case]()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        rates = loop(displacement(sgd()), (lambda: callback) if same else LOOPED[case])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        whole = fit(displacement(sgd()), LOOPED[case](), epochs=4)["learning_rate"]
    np.testing.assert_array_equal(rates, whole)


@pytest.mark.parametrize("same", [True, False])
def test_a_cycle_as_long_as_each_fit_of_a_loop_is_refused(same):
    callback, model = cycle(), displacement(sgd(0.5))
    with pytest.raises(ValueError, match=r"as long as the fit is over.*Pass steps"):
        loop(model, (lambda: callback) if same else cycle)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.5
    whole = sum(schedules.OneCycle(0.1, BATCHES).values(range(BATCHES)))
    np.testing.assert_allclose(-model.get_weights()[0].item(), whole, rtol=1e-5)


FALL = schedules.Linear(0.1, 0.0, 4 * BATCHES)


@pytest.mark.parametrize("make", [klr.LRScheduler, lambda: klr.ReduceOnPlateauPlus("loss")])
@pytest.mark.parametrize(
    "optimizer", [lambda: sgd(FALL), lambda: klr.optimizers.SGD(lr=0.1, decay=0.1)]
)
def test_weights_without_an_optimizer_say_that_its_schedule_begins(make, optimizer):
    with pytest.warns(UserWarning, match="schedule or decay begins at step 0") as caught:
        fit(displacement(optimizer()), make(), initial_epoch=2, epochs=4)
    (warning,) = ours(caught)
    assert warning.filename == __file__
    model = displacement(optimizer())
    fit(model, make(), epochs=2)
    fit(model, make(), initial_epoch=2, epochs=4)  # which warns of nothing
    assert model.optimizer.iterations == 4 * BATCHES


def test_a_rate_that_does_not_depend_on_it_is_not_warned_of():
    assert fit(displacement(sgd()), klr.LRScheduler(FALL), initial_epoch=2, epochs=4)


def test_that_the_optimizer_begins_anew_is_said_once_by_all_callbacks_together():
    for _ in range(2):  # in each fit
        model = displacement(sgd(schedules.Cosine(0.1, 0.0, steps=40)))
        callbacks = [klr.LRScheduler(), klr.ReduceOnPlateauPlus("loss"), klr.WeightAverage(0.9)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(model, *callbacks, initial_epoch=2, epochs=4)
        said = [each for each in ours(caught) if "begins at step 0" in str(each.message)]
        assert len(said) == 1
