"""The batches of a probe: the rare class is in it, and weighs its share; batches stay whole."""

import keras
import numpy as np
import pytest

from keras_lr import lr_sweep, tune_lr
from keras_lr._keras.variables import as_numpy
from keras_lr.search.data import TrainingData

SAMPLES, RARE = 4000, 20
PLACES = np.random.default_rng(0).permutation(SAMPLES)
CLASSES = np.isin(np.arange(SAMPLES), PLACES[:RARE]).astype("float32")
X = np.random.default_rng(1).normal(size=(SAMPLES, 4)).astype("float32")
X[:, 0] += 3 * CLASSES
WEIGHTS = {0: 0.5, 1: 100.0}
FORMS = {
    "flat": CLASSES,
    "column": CLASSES[:, None],
    "integers": CLASSES.astype("int64"),
    "one-hot": np.stack([1 - CLASSES, CLASSES], axis=1),
    "outputs": {"first": CLASSES[:, None], "second": X},
}


def parts(batch, index):
    leaf = keras.tree.flatten(batch[index])[0]
    return as_numpy(leaf)


def rare_in(batches):
    labels = [parts(batch, 1) for batch in batches]
    return np.concatenate(
        [each[:, 1] if each.shape[1:] == (2,) else each.ravel() for each in labels]
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_rare_class_is_in_a_probe_of_arrays(form):
    batches = TrainingData("tune_lr", X, FORMS[form], batch_size=32).probe()
    assert [len(parts(batch, 0)) for batch in batches] == [32] * 8
    assert all(len(batch) == 2 for batch in batches)
    assert 1 <= rare_in(batches).sum() <= 2


@pytest.mark.parametrize("kind", ["class_weight", "sample_weight"])
def test_more_of_it_are_drawn_and_weigh_its_share_where_there_are_weights(kind):
    each = np.where(CLASSES == 1, 100.0, 0.5).astype("float32")
    given = {kind: WEIGHTS if kind == "class_weight" else each}
    batches = TrainingData("tune_lr", X, CLASSES, batch_size=32, **given).probe()
    rare = rare_in(batches) == 1
    weights = np.concatenate([parts(batch, 2) for batch in batches])
    assert rare.sum() == 8
    assert weights.mean() == pytest.approx(each.mean(), rel=1e-5)
    assert weights[rare].sum() / 256 == pytest.approx(100.0 * RARE / SAMPLES, rel=1e-5)


def test_batches_that_are_taken_in_order_stay_as_they_are():
    batches = TrainingData("tune_lr", X, CLASSES, batch_size=40, shuffle=False).probe()
    starts = [int(np.flatnonzero((parts(batch, 0)[0] == X).all(axis=1))[0]) for batch in batches]
    assert all(start % 40 == 0 for start in starts)
    for start, batch in zip(starts, batches, strict=True):
        np.testing.assert_array_equal(parts(batch, 0), X[start : start + 40])
    assert 1 <= rare_in(batches).sum() <= 3


class Made(keras.utils.PyDataset):
    """Batches made by the user, the rare class in the last quarter of them."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        labels = np.zeros(32, "float32")
        labels[: 4 * (index >= 30)] = 1
        return np.full((32, 4), index, "float32"), labels


def test_batches_of_the_user_are_chosen_from_those_that_were_read():
    data = TrainingData("tune_lr", Made())
    data.batches(40, 0)
    assert 4 <= rare_in(data.probe()).sum() <= 12


def imbalanced(seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile("adam", "binary_crossentropy", jit_compile=jit)
    return model


@pytest.mark.parametrize("seed", range(3))
def test_searches_are_sane_where_one_sample_in_two_hundred_is_of_a_class(seed):
    data = {"class_weight": WEIGHTS, "seed": seed, "verbose": 0}
    swept = lr_sweep(imbalanced(seed), X, CLASSES, [1e-7, 1e-4, 1e-3], steps=60, **data)
    assert not swept.diverged.any()
    assert np.isfinite(swept.losses).all()
    tuned = tune_lr(imbalanced(seed), X, CLASSES, epochs=5, quick=True, **data)
    assert 1e-4 < tuned.learning_rate < 0.1
