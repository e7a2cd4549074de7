"""Datasets whose batches no step can take: the batch is named, by every search."""

import keras
import numpy as np
import pytest
from support.tiny import compiled, identical, regression, values

from keras_lr import lr_find, lr_sweep, tune_adam, tune_lr

X, Y = regression(samples=96)
SEARCHES = {
    "lr_find": lambda model, x: lr_find(model, x, steps=20, verbose=0),
    "lr_sweep": lambda model, x: lr_sweep(model, x, steps=6, verbose=0),
    "tune_lr": lambda model, x: tune_lr(model, x, steps=100, quick=True, probe=None, verbose=0),
    "tune_adam": lambda model, x: tune_adam(
        model, x, steps=12, validation_data=(X, Y), lr=(1e-3, 1e-2), n_trials=1, verbose=0
    ),
}  # fmt: skip


class Batches(keras.utils.PyDataset):
    """Three batches of 32, the last of which is spoilt."""

    def __init__(self, spoil, length=3):
        super().__init__()
        self.spoil, self.length = spoil, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        batch = X[32 * index : 32 * index + 32], Y[32 * index : 32 * index + 32]
        return self.spoil(*batch) if index == 2 else batch


SPOILT = {
    "None": (lambda x, y: None, "each batch must be a dict, .* batch=2, type='NoneType'"),
    "an array": (lambda x, y: x, "each batch must be a dict, .* batch=2, type='ndarray'"),
    "four parts": (lambda x, y: (x, y, y, y), "each batch must be a dict, .* batch=2"),
    "no parts": (lambda x, y: (), "each batch must be a dict, .* batch=2"),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", SPOILT)
def test_a_batch_that_is_none_is_named(search, name):
    spoil, words = SPOILT[name]
    model = compiled()
    before = values(model)
    with pytest.raises(ValueError, match=f"^{search}: {words}"):
        SEARCHES[search](model, Batches(spoil))
    assert identical(before, values(model))


@pytest.mark.parametrize("search", ["lr_sweep", "tune_lr", "tune_adam"])
def test_a_dataset_that_is_shorter_than_it_says_is_told_so(search):
    with pytest.raises(ValueError, match=rf"^{search}: each batch must hold samples.* batch=3"):
        SEARCHES[search](compiled(), Batches(lambda x, y: (x, y), length=5))


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("error", [RuntimeError, KeyError, ValueError, OSError])
def test_what_the_dataset_itself_raises_comes_through(search, error):
    def fail(x, y):
        raise error("the disk is full")

    with pytest.raises(Exception, match="the disk is full"):  # TensorFlow's wraps it
        SEARCHES[search](compiled(), Batches(fail))


FORGOTTEN = {
    "a list of one batch": [(X, Y)],
    "a list of batches": [(X[:32], Y[:32]), (X[32:64], Y[32:64])],
    "a tuple": (X, Y),
    "a list": [X, Y],
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", FORGOTTEN)
def test_batches_in_the_place_of_x_are_told_from_inputs(search, name):
    with pytest.raises(ValueError, match=rf"^{search}: x must hold one array for each input"):
        SEARCHES[search](compiled(), FORGOTTEN[name])


def test_lists_of_as_many_arrays_as_inputs_are_inputs():
    left, right = keras.Input((8,)), keras.Input((8,))
    model = keras.Model([left, [right]], keras.layers.Dense(1)(left + right))
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() == "jax")
    result = lr_find(model, [X, [X]], Y, steps=20, verbose=0)
    assert np.isfinite(result.losses[:10]).all()
