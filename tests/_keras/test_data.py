"""Every kind of data as NumPy batches."""

import keras
import numpy as np
import pytest
import scipy.sparse
from tiny import regression

from keras_lr._keras.data import is_arrays, numpy_batches, pick_samples

X, Y = regression(samples=50)


class Sequence(keras.utils.PyDataset):
    """The same data in batches of 20."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(20 * index, 20 * index + 20)
        return X[part], Y[part]


def dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(20)


@pytest.mark.parametrize("source", [lambda: X, lambda: Sequence(), dataset])
def test_batches_hold_all_the_data_in_order(source):
    x = source()
    batches = list(numpy_batches(x, Y if x is X else None, batch_size=20 if x is X else None))
    assert [len(batch[0]) for batch in batches] == [20, 20, 10]
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), X)
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in batches]), Y)
    assert all(batch[2] is None for batch in batches)


def test_what_can_be_picked_from():
    assert is_arrays(X)
    assert is_arrays({"a": X, "b": [X, Y]})
    assert not is_arrays(Sequence())
    assert not is_arrays(iter([X]))


def test_picking_is_repeatable_and_touches_no_generator():
    before = np.random.get_state()[1].tobytes()
    first, second, other = (pick_samples("lr_find", X, Y, size=10, seed=seed) for seed in (0, 0, 1))
    assert np.random.get_state()[1].tobytes() == before
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[0], other[0])
    assert first[2] is None
    row = np.flatnonzero(np.equal(X, first[0][0]).all(axis=1)).item()
    np.testing.assert_array_equal(first[1][0], Y[row])


def test_picking_from_a_dataset_takes_the_first_samples():
    x, y, _ = pick_samples("lr_find", Sequence(), size=25, seed=0)
    np.testing.assert_array_equal(x, X[:25])
    np.testing.assert_array_equal(y, Y[:25])


def test_class_weights_become_sample_weights():
    labels = np.array([0, 1, 1, 0])
    weights = pick_samples(
        "lr_find", labels[:, None], labels, size=4, seed=0, class_weight={0: 1.0, 1: 3.0}
    )[2]
    np.testing.assert_array_equal(weights, [1, 3, 3, 1])


def test_a_sparse_matrix_is_refused_where_samples_must_be_picked():
    with pytest.raises(TypeError, match=r"^lr_find: samples must be picked .*csr"):
        pick_samples("lr_find", scipy.sparse.csr_matrix(X), Y, size=4, seed=0)
