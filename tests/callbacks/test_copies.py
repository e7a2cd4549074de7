"""Callbacks are copied, cloned and given other arguments; each is in one fit at a time."""

import copy
import pickle
import threading

import keras
import numpy as np
import pytest
from support.drives import Spy, data, fit, network

from keras_lr import LRRangeTest, schedules
from keras_lr.callbacks import (
    CosineWarmRestarts,
    CyclicLR,
    LRScheduler,
    OneCycle,
    ReduceOnPlateauPlus,
    SwapScheduleFreeWeights,
)

FALL = schedules.Linear(0.1, 0.0, steps=18)
MAKE = {
    "scheduler": lambda: LRScheduler(FALL),
    "cycle": lambda: OneCycle(0.1),
    "cyclic": lambda: CyclicLR(0.0, 0.1, step_size_epochs=1),
    "restarts": lambda: CosineWarmRestarts(max_lr=0.1),
    "plateau": lambda: ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=1.0),
    "finder": lambda: LRRangeTest(steps=10),
    "swap": SwapScheduleFreeWeights,
}
pytestmark = pytest.mark.filterwarnings("ignore:CosineWarmRestarts")


def sgd():
    return network(keras.optimizers.SGD(0.01, momentum=0.9))


class Copying(keras.callbacks.Callback):
    """Copies another callback in the middle of its fit."""

    def __init__(self, other):
        super().__init__()
        self.other = other

    def on_train_batch_end(self, batch, logs=None):
        self.copies = [copy.deepcopy(self.other), copy.copy(self.other)]


@pytest.mark.parametrize("kind", sorted(set(MAKE) - {"swap"}))
def test_copies_of_new_running_and_finished_callbacks_work(kind):
    callback = MAKE[kind]()
    new = copy.deepcopy(callback)
    copying = Copying(callback)
    expected = fit(sgd(), data(), callback, copying)
    for each in (new, *copying.copies, copy.deepcopy(callback)):
        assert type(each) is type(callback)
        assert each.get_params() == callback.get_params()
        np.testing.assert_equal(fit(sgd(), data(), each), expected)


def test_a_copy_has_the_results():
    finder = LRRangeTest(steps=10, stop_factor=None)
    fit(sgd(), data(), finder)
    assert finder.result is not None
    assert copy.deepcopy(finder).result.stop_reason == finder.result.stop_reason
    restarts = CosineWarmRestarts(max_lr=0.1)
    fit(sgd(), data(), restarts)
    again = pickle.loads(pickle.dumps(restarts))
    assert (again.cycle_ends, again.events) == (restarts.cycle_ends, restarts.events)


@pytest.mark.parametrize("kind", MAKE)
def test_params_in_the_sense_of_scikit_learn(kind):
    callback = MAKE[kind]()
    params = callback.get_params(deep=False)
    twin = type(callback)(**params)
    again = twin.get_params(deep=False)
    assert all(again[name] is value for name, value in params.items())  # what clone() checks


def test_set_params_takes_names_and_leaves_keras_its_own():
    restarts = CosineWarmRestarts(max_lr=0.1)
    assert restarts.set_params(max_lr=0.3, cycle_mult=1) is restarts
    assert restarts.get_params()["max_lr"] == 0.3
    spy = Spy()
    fit(sgd(), data(), restarts, spy)
    assert spy.rates[0] == pytest.approx(0.3)
    assert restarts.params["epochs"] == 3
    with pytest.raises(ValueError, match="set_params takes the names of its arguments"):
        restarts.set_params(max_rl=0.3)
    with pytest.raises(ValueError, match="cycle_mult"):
        restarts.set_params(cycle_mult=0.5)
    assert restarts.get_params()["cycle_mult"] == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_clone_of_scikit_learn():
    base = pytest.importorskip("sklearn.base")
    driver = LRScheduler(lambda step: 0.1, unit="epoch")
    clone = base.clone(driver)
    assert clone is not driver
    assert clone.get_params() == driver.get_params()


class Inner(keras.callbacks.Callback):
    def __init__(self, other):
        super().__init__()
        self.other = other

    def on_epoch_end(self, epoch, logs=None):
        fit(sgd(), data(), self.other)


@pytest.mark.parametrize("kind", ["scheduler", "plateau", "finder"])
def test_two_fits_at_once_are_refused(kind):
    callback = MAKE[kind]()
    with pytest.raises(RuntimeError, match="one callback cannot be in two fits at once"):
        fit(sgd(), data(), callback, Inner(callback))
    fit(sgd(), data(), copy.copy(callback))
    fit(sgd(), data(), callback)  # and one after the other


def test_nor_in_another_thread():
    driver, errors = LRScheduler(FALL), []

    class Elsewhere(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            def run():
                try:
                    driver.set_model(sgd())
                except RuntimeError as error:
                    errors.append(str(error))

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    spy = Spy()
    fit(sgd(), data(), driver, Elsewhere(), spy)
    assert len(errors) == 3
    np.testing.assert_allclose(spy.rates, FALL.values(range(18)), rtol=1e-6)


def test_an_evaluation_with_the_callback_in_its_fit_changes_nothing():
    driver, spy = LRScheduler(FALL), Spy()

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.evaluate(*data(), callbacks=[driver], verbose=0)

    fit(sgd(), data(), driver, Look(), spy)
    np.testing.assert_allclose(spy.rates, FALL.values(range(18)), rtol=1e-6)
