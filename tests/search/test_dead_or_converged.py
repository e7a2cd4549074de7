"""Models that stand still at the end of a trial: converged ones are told from dead ones."""

import keras
import numpy as np
import pytest
from support.tiny import values

from keras_lr import lr_sweep, tune_lr

BACKEND = keras.backend.backend()
JIT = False if BACKEND == "tensorflow" else "auto"
METHODS = ["sequential", "lanes"] if BACKEND == "jax" else ["sequential"]
X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
ODDS = np.full((16, 1), 0.3, "float32")  # a loss that has a floor: the entropy of the targets


def made(inputs, *layers, loss="binary_crossentropy", optimizer="sgd"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([inputs, *layers])
    model.compile(optimizer, loss, jit_compile=JIT)
    return model


def answers():
    return keras.layers.Dense(1, activation="sigmoid")


def linear(**options):
    return made(keras.Input((3,)), answers(), **options)


def hidden():
    return made(keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), answers())


def embedded():
    table = keras.layers.Embedding(4, 1, embeddings_initializer="normal")
    layers = [table, keras.layers.Flatten(), keras.layers.Activation("sigmoid")]
    return made(keras.Input((1,), dtype="int32"), *layers)


CONVERGED = {
    "one sample a batch": (linear, np.ones((4, 3), "float32"), ODDS[:4], 1),
    "constant targets": (linear, X, ODDS, 8),
    "constant targets, hidden units": (hidden, X, ODDS, 16),
    "inputs that are all the same": (linear, np.ones((16, 3), "float32"), ODDS, 4),
    "an embedding of one word": (embedded, np.ones((16, 1), "int32"), ODDS, 8),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CONVERGED)
def test_a_model_that_rightly_answers_every_input_alike_is_not_dead(name, method):
    make, x, y, size = CONVERGED[name]
    model = make()
    model.optimizer.build(model.trainable_variables)
    before = values(model)
    result = lr_sweep(
        model, x, y, [1e-3, 0.5], steps=300, batch_size=size, method=method, verbose=0
    )
    assert not result.dead.any()
    assert result.best_lr == 0.5
    assert all(np.array_equal(old, new) for old, new in zip(before, values(model), strict=True))


def test_tuning_keeps_a_trial_that_has_converged():
    trials = tune_lr(linear(), X, ODDS, steps=2000, quick=True, batch_size=16, verbose=0).trials
    assert all(np.isfinite(trial.score) for trial in trials)


def doomed(penalty=None):
    """Dies at the first large step; its last bias then learns all but a hundredth of the loss."""
    units = [
        keras.layers.Dense(8, activation="relu", kernel_initializer="ones"),
        keras.layers.Dense(
            8, activation="relu", kernel_initializer="ones", kernel_regularizer=penalty
        ),
        keras.layers.Dense(8, activation="softplus"),
        keras.layers.Dense(1, kernel_initializer="ones"),
    ]
    return made(keras.Input((3,)), *units, loss="mse")


DEAD = {
    "several samples": (doomed, 8),
    "one sample a batch": (doomed, 1),
    "a penalty": (lambda: doomed(keras.regularizers.L2(1e-4)), 8),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DEAD)
def test_a_network_that_died_is_dead(name, method):
    make, size = DEAD[name]
    x = np.abs(X) + 0.1
    y = -30.0 - 10 * X[:, :1]
    result = lr_sweep(
        make(), x, y, [1e-9, 0.02], steps=200, batch_size=size, method=method, verbose=0
    )
    assert not result.diverged.any()
    assert result.dead.tolist() == [False, True]


OPTIMIZERS = {
    "sgd": lambda: "sgd",
    "adam": lambda: "adam",
    "AdamW": lambda: keras.optimizers.AdamW(weight_decay=0.1),
    "momentum and decay": lambda: keras.optimizers.SGD(momentum=0.9, weight_decay=0.1),
}


def dead_below(optimizer):
    units = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(8, activation="tanh")]
    options = {"loss": "mse", "optimizer": OPTIMIZERS[optimizer]()}
    model = made(keras.Input((3,)), *units, keras.layers.Dense(1), **options)
    model.layers[0].bias.assign(np.full(8, -100.0))
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_network_with_a_dead_layer_is_dead_though_what_comes_after_it_moves(optimizer, method):
    model = dead_below(optimizer)
    options = {"steps": 50, "batch_size": 4, "method": method, "verbose": 0}
    with pytest.raises(ValueError, match="lr_sweep: the network must be alive"):
        lr_sweep(model, X, X[:, :1], [1e-3, 1e-2], **options)


def test_a_loss_of_zero_has_no_gradient():
    """A hinge of which every answer is beyond the margin."""
    model = linear(loss=lambda y, answer: keras.ops.relu(0.6 - answer))
    result = lr_sweep(model, X, ODDS, [1e-3, 3.0], steps=200, batch_size=8, verbose=0)
    assert result.losses[-1, -1] == 0.0
    assert not result.dead.any()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_tuning_finds_no_rate_for_a_dead_network(optimizer):
    """Also at rates at which a step of weight decay is less than a weight's rounding."""
    with pytest.raises(ValueError, match="one of the trials must lower the loss"):
        tune_lr(
            dead_below(optimizer), X, X[:, :1] + 3.0, steps=400, quick=True, batch_size=8, verbose=0
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_head_of_zeros_hands_on_no_gradient_and_is_not_dead(optimizer, method):
    """Until it has grown, which takes it long at a low rate, every input is answered alike."""
    layers = [
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(1, kernel_initializer="zeros"),
    ]
    model = made(keras.Input((3,)), *layers, loss="mse", optimizer=OPTIMIZERS[optimizer]())
    options = {"steps": 50, "batch_size": 4, "method": method, "verbose": 0}
    result = lr_sweep(model, X, X[:, :1], [1e-10, 1e-9, 1e-2], **options)
    assert not result.dead.any()
