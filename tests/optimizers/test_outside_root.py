"""RMSprop and Adagrad with epsilon outside the root: in training, saved, refused, or not asked for.

The update itself is held against the published one in `test_migration.py`.
"""

import functools

import keras
import numpy as np
import pytest
from support import keras2_updates

from keras_lr import optimizers

FITTING = {"batch_size": 4, "shuffle": False, "verbose": 0}
# What makes ours the update of Keras 2, from the first step.
OLD_FORM = {
    optimizers.RMSprop: {"epsilon_outside_root": True},
    optimizers.Adagrad: {"epsilon_outside_root": True, "initial_accumulator_value": 0.0},
}
both = pytest.mark.parametrize("make", OLD_FORM)


def published(make, **arguments):
    return functools.partial(getattr(keras2_updates, make.__name__.lower()), **arguments)


@both
def test_an_embeddings_row_looked_up_twice_has_one_gradient(backend, make):
    looked_up, scale = np.array([[0, 0, 1, 2]] * 8), 1e-6  # of five rows, one twice in a batch
    model = keras.Sequential([keras.layers.Embedding(5, 1, embeddings_initializer="zeros")])
    model.compile(
        make(lr=0.01, **OLD_FORM[make]),
        loss=lambda _, rows: scale * keras.ops.sum(rows),
        jit_compile=backend == "jax",
    )

    model.fit(looked_up, looked_up, epochs=3, **FITTING)

    times = np.array([2, 1, 1, 0, 0]) * 4 * scale
    update = published(make, lr=0.01)
    expected = keras2_updates.follow(update, np.zeros(5), lambda *_: times, 6)[-1]
    np.testing.assert_allclose(model.get_weights()[0][:, 0], expected, rtol=1e-5)


@both
def test_accumulated_gradients_are_one_update(fit, tiny_gradients, make):
    optimizer = make(lr=0.01, gradient_accumulation_steps=4, **OLD_FORM[make])
    means = tiny_gradients[:40].reshape(10, 4, 4).mean(axis=1)

    path = fit(optimizer, np.zeros(4, "float32"), tiny_gradients[:40].astype("float32"))

    update = published(make, lr=0.01)
    expected = keras2_updates.follow(update, np.zeros(4), lambda i, _: means[i], 10)
    np.testing.assert_allclose(path[::4], expected, rtol=1e-4, atol=1e-6)


@both
def test_stopping_saving_and_loading_leave_no_trace(backend, tmp_path, make):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 3)), rng.normal(size=(16, 1))

    def fresh():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        optimizer = make(lr=0.1, decay=0.05, epsilon=1e-3, **OLD_FORM[make])
        model.compile(optimizer, loss="mse", jit_compile=backend == "jax")
        return model

    straight, stopped = fresh(), fresh()
    straight.fit(x, y, epochs=2, **FITTING)
    stopped.fit(x, y, **FITTING)
    stopped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    assert type(loaded.optimizer) is make
    assert loaded.optimizer.epsilon_outside_root
    loaded.fit(x, y, **FITTING)
    for now, expected in zip(loaded.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(now, expected)


@both
def test_a_config_from_before_the_argument_is_keras_3s_update(make):
    config = make(lr=0.01).get_config()
    assert config.pop("epsilon_outside_root") is False

    assert make.from_config(config).epsilon_outside_root is False


@pytest.mark.parametrize("arguments", [{"momentum": 0.9}, {"centered": True}])
def test_rmsprop_in_any_other_form_is_keras_3s(apply, gradients, arguments):
    start, gradients = np.ones(4, "float32"), gradients[:20].astype("float32")
    with pytest.raises(ValueError, match=r"RMSprop: .*Keras 2 had no other.*Leave it out, or"):
        optimizers.RMSprop(epsilon_outside_root=True, **arguments)

    path = apply(optimizers.RMSprop(lr=0.01, **arguments), start, gradients)

    expected = apply(keras.optimizers.RMSprop(0.01, **arguments), start, gradients)
    np.testing.assert_array_equal(path, expected)


@both
def test_what_is_no_bool_is_refused(make):
    with pytest.raises(ValueError, match=f"{make.__name__}: epsilon_outside_root must be one of"):
        make(epsilon_outside_root="yes")
