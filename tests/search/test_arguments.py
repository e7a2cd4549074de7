"""Arguments that every search refuses or prepares before it begins."""

import importlib.util

import keras
import pytest
from support.searches import SEARCHES, X, Y
from support.tiny import JIT, compiled, identical, values

from keras_lr import LRScheduler, schedules
from keras_lr.search.range_test.curve import SuggestionError
from keras_lr.search.tune.tune import tune_lr
from keras_lr.search.tune_adam.tune import tune_adam


def by_function(built):
    """Return a model with a `MultiOptimizer` that does not know its optimizers yet."""
    chosen = keras.optimizers.SGD(0.1)
    layers = [keras.Input((8,))] if built else []
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    optimizer = keras.optimizers.MultiOptimizer(lambda weight: chosen)
    model.compile(optimizer, "mse", jit_compile=JIT)
    return model


@pytest.mark.needs("optimizers.MultiOptimizer")
@pytest.mark.parametrize("search", SEARCHES)
def test_a_multi_optimizer_made_of_a_function_is_built_first(search):
    model = by_function(built=True)
    SEARCHES[search](model)
    twin = by_function(built=True)
    twin.optimizer.build(twin.trainable_variables)
    twin.set_weights(model.get_weights())
    assert identical(values(model), values(twin))
    with pytest.raises(ValueError, match=f"{search}: a MultiOptimizer made of a function has no"):
        SEARCHES[search](by_function(built=False))


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_no_compiled_model_is_refused_by_name(search):
    with pytest.raises(TypeError, match=f"{search}: model must be a Keras model"):
        SEARCHES[search]("model")
    model = compiled()
    model.compile(None, "mse")
    with pytest.raises(ValueError, match=f"{search}: the model must be compiled"):
        SEARCHES[search](model)


@pytest.mark.parametrize("search", SEARCHES)
def test_verbose_is_checked_by_name(search):
    with pytest.raises(ValueError, match=f"{search}: verbose must be one of 'auto', 0, 1, 2"):
        SEARCHES[search](compiled(), verbose=3)


def unmoved():
    """Return a model whose gradients are all zero."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", lambda y, y_pred: 0.0 * y_pred + 1.0, jit_compile=JIT)
    return model


def test_a_search_within_a_search_complains_in_the_name_that_was_called():
    with pytest.raises(SuggestionError, match=r"tune_lr: the loss of the range test must fall .*"):
        tune_lr(unmoved(), X, Y, steps=200, start="range_test", verbose=0)
    with pytest.raises(ValueError, match="tune_lr: x must hold at least one batch"):
        tune_lr(unmoved(), X[:0], Y[:0], steps=200, start="range_test", verbose=0)
    with pytest.raises(ValueError, match="tune_adam: training must move the loss"):
        tune_adam(unmoved(), X, Y, steps=24, validation_data=(X, Y), verbose=0)


def test_a_run_too_short_to_find_its_scale_by_is_refused_unless_given_one():
    with pytest.raises(ValueError, match=r"tune_adam: steps of the run .* Pass lr=\(lowest"):
        tune_adam(compiled(), X, Y, steps=6, validation_data=(X, Y), verbose=0)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs torch")
@pytest.mark.parametrize("search", SEARCHES)
def test_after_a_search_a_shuffling_loader_gives_the_batches_it_would_have_given(search):
    import torch

    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
    histories = []
    for searched in (False, True):
        model = compiled()
        keras.utils.set_random_seed(7)
        torch.manual_seed(7)  # of which Keras on another backend does not know
        if searched:
            SEARCHES[search](model, loader, None)
        histories.append(model.fit(loader, shuffle=False, epochs=2, verbose=0).history["loss"])
    assert histories[0] == histories[1]


@pytest.mark.parametrize("search", ["lr_find", "lr_sweep"])
def test_a_search_in_a_callback_leaves_the_fit_and_its_driver_as_they_were(search):
    class Searches(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                SEARCHES[search](self.model)

    line = schedules.Linear(0.1, 0.0, 24)
    ends = []
    for callbacks in ([], [Searches()]):
        model = compiled()
        keras.utils.set_random_seed(7)
        callbacks = [LRScheduler(line), *callbacks]
        history = model.fit(X, Y, 16, epochs=3, verbose=0, callbacks=callbacks).history
        ends.append((history, values(model)))
    assert ends[0][0] == ends[1][0]
    assert identical(ends[0][1], ends[1][1])
