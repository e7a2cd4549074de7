"""The data of one execution, in the form that a train function takes it on every backend."""

import keras
import numpy as np
import pytest
from support.tiny import EXECUTIONS, compiled, regression

import keras_lr as klr
from keras_lr._keras.executions import batches_of_execution, execution_of

X, Y = regression()
SEVERAL = EXECUTIONS[-1]


def batches(count):
    return [(np.full((8, 2), index, "float32"), np.full((8, 1), -index)) for index in range(count)]


def same(left, right):
    pairs = zip(keras.tree.flatten(left), keras.tree.flatten(right), strict=True)
    return all(np.array_equal(a, keras.ops.convert_to_numpy(b)) for a, b in pairs)


@pytest.mark.parametrize("count", {1, SEVERAL})
def test_what_is_handed_over_is_taken_again(count):
    model = compiled(steps_per_execution=SEVERAL)
    given = batches(count)
    assert same(given, list(batches_of_execution(model, execution_of(model, given))))


@pytest.mark.parametrize("samples", [160, 168, 164])
def test_every_batch_that_fit_hands_over(samples):
    """Also of batches that have as many samples as an execution has steps."""
    model = compiled(steps_per_execution=SEVERAL)
    model.fit(X[:8], Y[:8], verbose=0)
    taken = []

    def train_function(*given):
        *carried, execution = given
        taken.extend(batches_of_execution(model, execution))
        return ({"loss": 0.0}, carried[0]) if carried else {"loss": 0.0}

    model.train_function = train_function
    model.fit(X[:samples], Y[:samples], batch_size=8, shuffle=False, verbose=0)
    x = np.concatenate([keras.ops.convert_to_numpy(batch[0]) for batch in taken])
    np.testing.assert_array_equal(x, X[:samples])


def test_a_range_test_makes_one_step_at_a_time():
    one, several = (
        klr.lr_find(compiled(steps_per_execution=k), X, Y, steps=12, batch_size=8, verbose=0)
        for k in (1, SEVERAL)
    )
    np.testing.assert_allclose(one.losses, several.losses, rtol=1e-4)
