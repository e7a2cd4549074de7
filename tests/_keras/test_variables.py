"""Values on their way between NumPy and a backend."""

import keras
import numpy as np
import pytest

from keras_lr._engine.cached_batches import CachedBatches
from keras_lr._keras.variables import (
    as_constant,
    as_numpy,
    read_variable,
    rounding,
    write_variable,
)


class Batches(list):
    """Batches of 12 numbers that note which of them was asked for."""

    def __init__(self, number):
        rows = np.arange(8 * number, dtype="float32").reshape(number, 4, 2)
        super().__init__(({"a": row}, row[:, :1]) for row in rows)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)


def test_batches_are_made_once_and_stay_what_they_are():
    batches = Batches(3)
    remembered = CachedBatches(batches)
    for _ in range(2):
        for index, batch in enumerate(list(batches)):
            assert remembered[index] is batch
    assert batches.asked == [0, 1, 2]
    assert len(remembered) == 3


def test_what_does_not_fit_is_made_each_time():
    batches = Batches(3)
    remembered = CachedBatches(batches, room=100)  # 96 bytes a batch
    for index in (0, 1, 2, 0, 1, 2):
        remembered[index]
    assert batches.asked == [0, 1, 2, 1, 2]


def test_a_constant_is_not_converted_again():
    once = as_constant(np.ones(3))
    assert as_constant(once) is once


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_was_written_differs_by_no_more_than_rounding(dtype):
    variable = keras.Variable(np.zeros((), "float32"), dtype=dtype)
    for value in (0.0, 3e-7, 1e-5, 0.0801, 0.1, 3.7):
        write_variable(variable, value)
        held = float(read_variable(variable))
        assert abs(held - value) <= rounding(variable, value)
        assert rounding(variable, value) < 0.01 * value + 1e-7


def test_a_tensor_in_half_precision_is_read():
    tensor = keras.ops.cast(keras.ops.convert_to_tensor([0.5, 2.0]), "bfloat16")
    assert as_numpy(tensor).astype("float32").tolist() == [0.5, 2.0]
