"""Values on their way between NumPy and a backend."""

import keras
import numpy as np

from keras_lr._keras.values import Constants, as_constant


class Batches(list):
    """Batches of 48 bytes that note which of them was asked for."""

    def __init__(self, number):
        rows = np.arange(8 * number, dtype="float32").reshape(number, 4, 2)
        super().__init__(({"a": row}, row[:, :1], None) for row in rows)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)


def test_batches_are_converted_once_and_stay_what_they_are():
    batches = Batches(3)
    constants = Constants(batches)
    for _ in range(2):
        for index, (x, y, weight) in enumerate(list(batches)):
            found = constants[index]
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(found[0]["a"]), x["a"])
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(found[1]), y)
            assert found[2] is weight is None
    assert batches.asked == [0, 1, 2]
    assert len(constants) == 3


def test_what_does_not_fit_is_converted_each_time():
    batches = Batches(3)
    constants = Constants(batches, room=100)
    for index in (0, 1, 2, 0, 1, 2):
        constants[index]
    assert batches.asked == [0, 1, 2, 2]


def test_a_constant_is_not_converted_again():
    once = as_constant(np.ones(3))
    assert as_constant(once) is once
