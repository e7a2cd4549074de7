"""Networks that die in a search: what their last bias learns gets no suggestion."""

import keras
import numpy as np
import pytest
from support.tiny import regression

from keras_lr import LRRangeTest, lr_find, lr_sweep, tune_lr
from keras_lr._engine.movement import Movement, still_from
from keras_lr.search.suggest import SuggestionError

JIT = False if keras.backend.backend() == "tensorflow" else "auto"


def prices(seed=0, samples=512):
    """Prices of houses in dollars by size, rooms and year, none of them scaled."""
    generator = np.random.default_rng(seed)
    size, rooms = generator.uniform(500, 4000, samples), generator.integers(1, 7, samples)
    year = generator.integers(1900, 2020, samples)
    price = 100 * size + 2e4 * rooms + 500 * (year - 1900) + 3e4 * generator.normal(size=samples)
    return np.stack([size, rooms, year], 1).astype("float32"), price.astype("float32")[:, None]


def network(features, seed, optimizer="sgd", units=(32,)):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(count, activation="relu") for count in units]
    model = keras.Sequential([keras.Input((features,)), *layers, keras.layers.Dense(1)])
    model.compile(optimizer, "mse", jit_compile=JIT)
    return model


@pytest.mark.parametrize("units", [(32,), (32, 16)])
@pytest.mark.parametrize("min_lr", [1e-10, 1e-6])
def test_a_network_that_dies_on_unscaled_prices_gets_words(units, min_lr):
    result = lr_find(network(3, 0, units=units), *prices(), min_lr=min_lr, verbose=0)
    assert not result.suggestions()
    with pytest.raises(SuggestionError) as caught:
        result.suggest()
    assert str(caught.value).startswith("RangeTestResult.suggest: ")


def test_it_says_that_the_network_died():
    result = lr_find(network(3, 0, units=(32, 16)), *prices(), min_lr=1e-10, verbose=0)
    assert result.dead_from < 1e-2
    with pytest.raises(SuggestionError, match="the network died before"):
        result.suggest()
    assert type(result).from_dict(result.to_dict()) == result


def test_with_momentum_too():
    optimizer = keras.optimizers.SGD(momentum=0.5)
    result = lr_find(network(3, 0, optimizer, (32, 16)), *prices(), min_lr=1e-10, verbose=0)
    assert not result.suggestions()


def test_tuning_does_not_settle_on_a_dead_network():
    with pytest.raises(ValueError, match="one of the trials must lower the loss"):
        tune_lr(network(3, 0, units=(32, 16)), *prices(), epochs=10, start=1e-4, verbose=0)


def dead_from_the_start(optimizer):
    model = network(8, 0, optimizer, (16, 16))
    model.layers[0].bias.assign(np.full(16, -100.0))
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_network_that_was_dead_before_gets_words(optimizer):
    x, y = regression(samples=256)
    result = lr_find(dead_from_the_start(optimizer), x, y + 3.0, verbose=0)
    assert result.dead_from == result.learning_rates[0]
    assert not result.suggestions()
    with pytest.raises(SuggestionError, match=r"suggest: the steps must move the model's matrices"):
        result.suggest()
    with pytest.raises(ValueError, match="one of the trials must lower the loss"):
        tune_lr(dead_from_the_start(optimizer), x, y + 3.0, steps=400, quick=True, verbose=0)


def test_gradients_of_zero_are_told_from_a_dead_network():
    model = network(8, 0)
    model.compile("sgd", lambda y, found: keras.ops.mean(y) + 0 * keras.ops.mean(found))
    with pytest.raises(ValueError, match="tune_lr: training must move the loss"):
        tune_lr(model, *regression(samples=256), steps=400, quick=True, verbose=0)
    for probe in (None, "auto"):
        result = lr_find(model, *regression(samples=256), probe=probe, verbose=0)
        with pytest.raises(SuggestionError, match=r"none has moved any.* gradients that are zero"):
            result.suggest()


def test_a_model_that_trains_its_biases_alone_is_no_dead_network():
    model = network(8, 0)
    for layer in model.layers:
        layer._kernel.trainable = False
    model.compile("sgd", "mse", jit_compile=JIT)
    x, y = regression(samples=256)
    assert lr_find(model, x, y + 3.0, verbose=0).dead_from is None


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_network_that_lives_through_its_fall_is_read_as_before(optimizer):
    x, y = regression(samples=256)
    result = lr_find(network(8, 0, optimizer), x, y + 1.0, batch_size=32, verbose=0)
    whole = {rule: result._read(rule, result.learning_rates, result.losses) for rule in
             result.suggestions()}  # fmt: skip
    assert whole
    assert result.suggestions() == whole


def test_a_loss_that_is_learned_away_is_no_death():
    features = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
    linear = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    linear.compile("sgd", "mse", jit_compile=JIT)
    finder = LRRangeTest(1e-3, 0.2, 100)
    linear.fit(features, features[:, :1], epochs=20, verbose=0, callbacks=[finder])
    assert finder.result.dead_from is None


METHODS = ["sequential", "lanes"] if keras.backend.backend() == "jax" else ["sequential"]


@pytest.mark.parametrize("method", METHODS)
def test_a_sweep_tells_the_lanes_that_died(method):
    model = network(3, 0, units=(32, 16))
    model.layers[0].set_weights([np.full((3, 32), 1e-2), np.zeros(32)])  # on every backend
    model.layers[1].set_weights([np.full((32, 16), 1e-2), np.zeros(16)])
    model.layers[2].set_weights([np.full((16, 1), 1e-2), np.zeros(1)])
    rates = [1e-12, 1e-10, 1e-6]
    result = lr_sweep(model, *prices(), rates, steps=40, verbose=0, method=method)
    assert result.dead.tolist() == [False, False, True]
    assert result.best_lr in rates[:2]
    assert ", 1 dead;" in repr(result)
    assert type(result).from_dict(result.to_dict()) == result
    x, y = regression(samples=256)
    with pytest.raises(ValueError, match="lr_sweep: the network must be alive"):
        lr_sweep(dead_from_the_start("sgd"), x, y, [1e-3, 1e-2], steps=20, method=method, verbose=0)


def linear_with_noise():
    """The same batch at every step: the gradient goes to zero, and the loss does not."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True) + generator.normal(size=(64, 1))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=JIT)
    return model, x, y.astype("float32")


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_has_converged_is_not_dead(method):
    model, x, y = linear_with_noise()
    options = {"batch_size": 64, "verbose": 0}
    result = lr_sweep(model, x, y, [1e-3, 0.1, 0.3], steps=150, method=method, **options)
    assert not result.dead.any()
    assert result.best_lr > 0.05
    assert lr_find(model, x, y, steps=200, **options).dead_from is None
    trials = tune_lr(model, x, y, steps=1000, thorough=True, **options).trials
    assert all(np.isfinite(trial.score) for trial in trials if trial.x < -0.5)


def test_still_from_is_the_first_of_the_steps_that_stay_still():
    losses = [1.0] * 10
    assert still_from({0: 0.0, 2: 5.0, 4: 3.0, 6: 0.0, 8: 1e-4}, losses) == 6
    assert still_from({0: 5.0, 4: 0.0, 8: 5.0}, losses) is None
    assert still_from({0: 5.0, 4: 0.0}, [1.0, 1.0, 1.0, 1.0, 1e-3]) is None
    assert still_from({0: 0.0, 4: 0.0}, losses) is None
    assert still_from({0: 0.0, 4: 0.0}, [3.0, 2.0, 1.0]) == 0
    assert still_from({0: np.nan, 4: np.nan}, [3.0, 2.0, 1.0]) is None


@pytest.mark.parametrize("accumulated", [2, 3])
def test_death_is_seen_under_gradient_accumulation(accumulated):
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=accumulated)
    result = lr_find(network(3, 0, optimizer, (32, 16)), *prices(), min_lr=1e-10, verbose=0)
    assert result.dead_from < 1e-1
    assert not result.suggestions()


class Movements:
    """A model of two matrices, and a state that says where they are."""

    def __init__(self):
        self.trainable_variables = [np.zeros((2, 2)), np.zeros((2, 3))]

    def read(self, variable):
        return variable.copy()


@pytest.mark.parametrize("quick", [0, 1])
def test_a_matrix_that_another_optimizer_moves_hides_no_life_and_no_death(quick):
    """One matrix moves with the searched rate, the other always as far."""
    for death, expected in [(100, None), (12, 12)]:
        model = Movements()
        movement = Movement(model)
        movements = {}
        for step, rate in enumerate(np.geomspace(1e-6, 100.0, 20)):
            movement.before_step(model.read)
            model.trainable_variables[quick] += rate * (step < death)
            model.trainable_variables[1 - quick] += 1e-3
            movements[step] = movement.after_step(model.read, rate)
        assert still_from(movements, [1.0] * 20) == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_a_suggestion_keeps_its_distance_from_rates_that_kill(seed):
    """SGD with mae on prices: the default is far too high, and a tenth of what kills still does."""

    def compiled():
        model = network(3, seed)
        model.compile("sgd", "mae", jit_compile=JIT)
        return model

    x, y = prices(seed)
    result = lr_find(compiled(), x, y, verbose=0)
    assert result.default_learning_rate > result.dead_from
    model = compiled()
    model.optimizer.learning_rate = result.suggest()
    losses = model.fit(x, y, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert np.ptp(model.predict(x, verbose=0)) > 0
