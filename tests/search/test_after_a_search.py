"""State left untouched by a search, beside weights and random states (`test_range_test`)."""

import keras
import numpy as np
import pytest
from support.searches import SEARCHES, X, Y
from support.tiny import JIT, compiled, identical, network, values

from keras_lr import LRRangeTest, lr_find, lr_sweep, tune_lr


def with_metric():
    model = network()
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=JIT)
    return model


@pytest.mark.parametrize("search", SEARCHES)
def test_metrics_have_the_values_of_the_last_fit(search):
    model = with_metric()
    model.fit(X, Y, verbose=0)
    before = model.get_metrics_result()
    SEARCHES[search](model)
    assert model.get_metrics_result() == before
    assert before["mae"] > 0


def recurrent_network():
    """A recurrent network whose states go on from batch to batch: Keras does not count them."""
    keras.utils.set_random_seed(0)
    recurrent = keras.layers.SimpleRNN(4, stateful=True)  # of others torch takes no gradient
    layers = [keras.layers.Reshape((2, 4)), recurrent, keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(batch_shape=(32, 8)), *layers])
    model.compile("sgd", "mse", jit_compile=JIT)
    return model, recurrent.states[0]


@pytest.mark.parametrize("search", SEARCHES)
def test_states_of_recurrent_layers_are_as_before(search):
    model, state = recurrent_network()
    before = np.full((32, 4), 0.5, "float32")
    state.assign(before)
    SEARCHES[search](model)
    assert np.array_equal(keras.ops.convert_to_numpy(state.value), before)


def test_every_lane_begins_with_the_same_states_of_recurrent_layers():
    both = lr_sweep(recurrent_network()[0], X, Y, [1e-3, 1e-2], 4, verbose=0)
    alone = lr_sweep(recurrent_network()[0], X, Y, [1e-2], 4, verbose=0)
    assert np.array_equal(both.losses[1], alone.losses[0])


class Searches(keras.callbacks.Callback):
    """Searches in the middle of an epoch of another fit."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            lr_find(self.model, X, Y, steps=6, verbose=0)


def test_running_means_of_a_fit_around_it_go_on():
    histories = []
    for callbacks in ([], [Searches()]):
        keras.utils.set_random_seed(0)
        model = with_metric()
        histories.append(model.fit(X, Y, verbose=0, shuffle=False, callbacks=callbacks).history)
    assert histories[0] == histories[1]


class Killed(keras.callbacks.Callback):
    """Ends a fit at the beginning of an epoch as a crash would."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise InterruptedError


@pytest.mark.parametrize("search", SEARCHES)
def test_a_resumed_run_before_it_does_not_matter(search, tmp_path):
    model = compiled()
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(InterruptedError):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[backup, Killed()])
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[backup])
    assert model._initial_epoch == 2  # Keras leaves it there, and begins the next fit with it
    model._initial_epoch = 99
    before = values(model)
    SEARCHES[search](model)
    assert identical(values(model), before)
    assert model._initial_epoch == 99


class LossOfItsOwn(keras.Model):
    """Trains on a loss that only its training step knows."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, *arguments):
        """Compute the loss as if it had been compiled."""
        loss, self._compile_loss = self._compile_loss, self.own
        try:
            return super().train_step(*arguments)
        finally:
            self._compile_loss = loss


def losing():
    keras.utils.set_random_seed(0)
    model = LossOfItsOwn()
    model.compile("sgd", "mse", jit_compile=JIT)
    model.fit(X, Y, verbose=0, epochs=0)
    model._symbolic_build(data_batch=(X[:32], Y[:32]))
    model.own, model._compile_loss = model._compile_loss, None
    return model


@pytest.mark.parametrize(
    ("search", "name"),
    [
        (lambda model: lr_find(model, X, Y, steps=12, probe=32, verbose=0), "lr_find"),
        (lambda model: lr_find(model, X, Y, validation_data=(X, Y), verbose=0), "lr_find"),
        (lambda model: tune_lr(model, X, Y, steps=60, max_cost=40, verbose=0), "tune_lr"),
        (
            lambda model: model.fit(
                X, Y, epochs=9, verbose=0, callbacks=[LRRangeTest(steps=12, probe=(X, Y))]
            ),
            "LRRangeTest",
        ),
    ],
)
def test_where_only_the_training_step_knows_a_loss_a_search_goes_by_that_and_says_so(search, name):
    model = losing()
    before = values(model)
    with pytest.warns(UserWarning, match=f"{name}: the model was compiled without a loss, so that"):
        search(model)
    assert identical(values(model), before)


def test_without_a_probe_such_a_model_is_swept():
    result = lr_find(losing(), X, Y, steps=12, verbose=0)
    assert np.isfinite(result.losses).all()
    assert (result.losses > 0).all()


class DrawsInNumpy(keras.utils.PyDataset):
    """Augments with NumPy's global generator."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return X[rows] + np.random.normal(size=(32, 8)), Y[rows]


def test_the_global_generator_of_numpy_is_where_it_was():
    model = compiled()
    model.fit(X, Y, verbose=0)
    np.random.seed(3)
    lr_find(model, DrawsInNumpy(), steps=6, max_lr=0.1, verbose=0)
    drawn = np.random.normal()
    np.random.seed(3)
    assert drawn == np.random.normal()
