"""Every kind of data as NumPy batches."""

import keras
import numpy as np
import pytest
from support.tiny import regression

from keras_lr._keras.data import is_arrays, numpy_batches

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
