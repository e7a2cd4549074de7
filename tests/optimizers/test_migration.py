"""Old arguments, new optimizer, the same trajectory."""

import functools

import keras
import numpy as np
import pytest
from support import keras2_updates

from keras_lr import optimizers
from keras_lr.optimizers import migrate

START = np.array([1.0, -1.0, 0.5, 0.0])

OLD_CALLS = {
    "sgd": ("SGD", {"lr": 0.01, "decay": 1e-2}),
    "momentum": ("SGD", {"lr": 0.01, "decay": 1e-2, "momentum": 0.75}),
    "nesterov": ("SGD", {"lr": 0.01, "decay": 1e-6, "momentum": 0.75, "nesterov": True}),
    "adam": ("adam", {"lr": 0.01, "decay": 1e-2}),
    "amsgrad": (keras.optimizers.Adam, {"decay": 1e-3, "amsgrad": True}),
    "adamax": ("Adamax", {"decay": 1e-2}),
    "nadam": ("Nadam", {}),
    "nadam's schedule": ("nadam", {"lr": 0.01, "schedule_decay": 0.02}),
    "adadelta": ("Adadelta", {"decay": 1e-3}),
    "rmsprop": ("RMSprop", {"lr": 0.01, "decay": 1e-2}),
    "rmsprop's epsilon": ("RMSprop", {"rho": 0.75, "epsilon": 1e-8}),
    "adagrad": ("Adagrad", {"decay": 1e-2}),
    "adagrad's epsilon": ("Adagrad", {"lr": 0.1, "epsilon": 1e-6}),
}
# Numbers that float32 holds: on TensorFlow Keras rounds these to it in any precision.
EXACT = {"beta_1": 7 / 8, "beta_2": 1 - 2**-10}


def both(case, **changed):
    """Return what `migrate` makes of an old call, and the update that was published for it."""
    optimizer, arguments = OLD_CALLS[case]
    made = migrate(optimizer, **arguments | changed).optimizer
    update = getattr(keras2_updates, type(made).__name__.lower())
    return made, functools.partial(update, **arguments | changed)


def exact(case):
    return {name: value for name, value in EXACT.items() if hasattr(both(case)[0], name)}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", OLD_CALLS)
def test_the_trajectory_is_the_old_one(apply, gradients, case):
    made, published = both(case, **exact(case))

    expected = keras2_updates.follow(published, START, lambda i, _: gradients[i], 100)
    path = apply(made, START, gradients[:100])

    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", OLD_CALLS)
def test_it_is_so_where_gradients_are_near_epsilon(fit, tiny_gradients, case):
    made, published = both(case, **exact(case))
    tiny_gradients = tiny_gradients[:200]

    expected = keras2_updates.follow(published, np.zeros(4), lambda i, _: tiny_gradients[i], 200)
    path = fit(made, np.zeros(4), tiny_gradients)

    apart = np.abs(path - expected).max(axis=0) / np.abs(expected).max(axis=0)
    np.testing.assert_allclose(apart, 0, atol=1e-10)


@pytest.mark.parametrize("case", ["rmsprop", "adagrad"])
def test_in_single_precision_it_stays_within_its_rounding(fit, tiny_gradients, case):
    made, published = both(case)

    expected = keras2_updates.follow(published, np.zeros(4), lambda i, _: tiny_gradients[i], 1000)
    path = fit(made, np.zeros(4, "float32"), tiny_gradients.astype("float32"))

    apart = np.abs(path - expected).max(axis=0) / np.abs(expected).max(axis=0)
    np.testing.assert_allclose(apart, 0, atol=1e-5)


@pytest.mark.usefixtures("float64")
def test_keras_3s_own_nadam_is_another_trajectory(apply, gradients):
    published = functools.partial(keras2_updates.nadam, lr=0.002)

    expected = keras2_updates.follow(published, START, lambda i, _: gradients[i], 50)
    own = apply(keras.optimizers.Nadam(0.002), START, gradients[:50])
    migrated = apply(migrate("nadam").optimizer, START, gradients[:50])

    assert np.abs(own - expected).max() > 1e-3
    np.testing.assert_allclose(migrated, expected, atol=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", ["rmsprop", "adagrad"])
def test_with_epsilon_inside_the_root_it_would_be_another(apply, tiny_gradients, case):
    made, published = both(case)
    inside = type(made).from_config(made.get_config() | {"epsilon_outside_root": False})
    squared = type(made).from_config(inside.get_config() | {"epsilon": 1e-14})
    tiny_gradients = tiny_gradients[:50]

    expected = keras2_updates.follow(published, np.zeros(4), lambda i, _: tiny_gradients[i], 50)

    for optimizer, apart in ((inside, 0.9), (squared, 0.1)):
        path = apply(optimizer, np.zeros(4), tiny_gradients)
        assert np.abs(path - expected).max() > apart * np.abs(expected).max()


def test_decay_is_per_update_where_a_schedule_is_often_made_per_epoch(backend):
    """The replacement that made results considerably worse, and the one that does not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    y = (x @ [[1.0], [-2.0], [0.5]] + rng.normal(size=(64, 1))).astype("float32")
    steps, decay = 16, 0.05

    def weights(optimizer):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.zeros((3, 1))])
        model.compile(optimizer, loss="mse", jit_compile=backend == "jax")
        model.fit(x, y, batch_size=4, epochs=5, shuffle=False, verbose=0)
        return model.get_weights()[0][:, 0]

    def gradient(i, w):
        rows = slice(4 * (i % steps), 4 * (i % steps) + 4)
        return x[rows].T @ (x[rows] @ w - y[rows, 0]) / 2

    published = functools.partial(keras2_updates.adam, lr=0.1, decay=decay)
    expected = keras2_updates.follow(published, np.zeros(3), gradient, 5 * steps)[-1]
    per_epoch = keras.optimizers.schedules.InverseTimeDecay(0.1, steps, decay)

    migrated = weights(migrate("adam", lr=0.1, decay=decay).optimizer)
    mistaken = weights(keras.optimizers.Adam(per_epoch))

    np.testing.assert_allclose(migrated, expected, atol=1e-5)
    assert np.abs(mistaken - expected).max() > 0.01


@pytest.mark.usefixtures("float64")
def test_clipnorm_was_the_norm_of_all_gradients_together(backend):
    arguments = {"lr": 1.0, "clipnorm": 1.0}
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    model.compile(
        migrate("sgd", **arguments).optimizer,
        loss=lambda _, rows: keras.ops.mean(rows),
        jit_compile=backend == "jax",
    )

    model.fit(np.full((1, 1), 3.0), np.zeros((1, 1)), verbose=0)  # gradients 3 and 1

    kernel, bias = (-weight.item() for weight in model.get_weights())
    assert kernel == pytest.approx(3 / np.sqrt(10))
    assert bias == pytest.approx(1 / np.sqrt(10))


def test_it_says_what_it_did():
    migration = migrate("Nadam", epsilon=None, clipnorm=1)

    lines = repr(migration).splitlines()
    assert lines[0] == (
        "keras_lr.optimizers.Nadam(lr=0.002, schedule_decay=0.004, global_clipnorm=1)"
    )
    assert len(lines) == 1 + len(migration.notes) == 5
    for word in ("0.002 was the default", "epsilon=None", "schedule_decay=0.004", "clipnorm"):
        assert any(word in note for note in migration.notes)


def test_a_clipping_of_none_is_left_out_of_the_new_call():
    migration = migrate("SGD", lr=0.01, clipnorm=None, clipvalue=None)
    assert migration.call == "keras_lr.optimizers.SGD(lr=0.01)"
    assert migration.notes == ()
    by_value = migrate("SGD", lr=0.01, clipvalue=0.5, clipnorm=None, momentum=0.0).call
    assert by_value == "keras_lr.optimizers.SGD(lr=0.01, clipvalue=0.5, momentum=0.0)"
    by_norm = migrate("SGD", lr=0.01, clipvalue=None, clipnorm=0.5).call
    assert by_norm == "keras_lr.optimizers.SGD(lr=0.01, global_clipnorm=0.5)"


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad"])
def test_it_says_where_epsilon_was(name):
    migration = migrate(name, lr=0.01, epsilon=1e-8)

    assert migration.call.startswith(f"keras_lr.optimizers.{name}(lr=0.01, epsilon=1e-08, ")
    assert "epsilon_outside_root=True" in migration.call
    assert migration.notes[0] == (
        "epsilon_outside_root: Keras 2 divided by sqrt(v) + epsilon, Keras 3 by sqrt(v + epsilon)."
    )
    assert migration.optimizer.epsilon_outside_root


@pytest.mark.parametrize("case", OLD_CALLS)
def test_the_call_it_shows_makes_the_optimizer_it_made(case):
    optimizer, arguments = OLD_CALLS[case]
    migration = migrate(optimizer, **arguments, name="old")
    constructor, _, rest = migration.call.removeprefix("keras_lr.optimizers.").partition("(")

    again = getattr(optimizers, constructor)(**eval(f"dict({rest}"))

    assert again.get_config() == migration.optimizer.get_config()


def test_an_old_config_is_taken_as_it_is():
    config = {"lr": 0.5, "beta_1": 0.9, "beta_2": 0.99, "decay": 0.1, "epsilon": 1e-8}

    made = migrate("Adam", **config, amsgrad=False).optimizer

    assert (made.lr, made.decay, made.beta_2, made.epsilon) == (0.5, 0.1, 0.99, 1e-8)
    assert migrate("SGD", learning_rate=0.5, momentum=0).optimizer.lr == 0.5


@pytest.mark.parametrize(
    ("optimizer", "arguments", "error", "said"),
    [
        ("lion", {}, ValueError, "optimizer must be one that Keras 2.2 had"),
        ("SGD", {"epsilon": None}, ValueError, "epsilon was no argument of SGD"),
        ("Nadam", {"decay": 0.1}, ValueError, "decay was no argument of Nadam"),
        ("Adam", {"lr": 1.0, "learning_rate": 1.0}, ValueError, "one argument under two names"),
        ("Adam", {"clipnorm": 1.0, "clipvalue": 1.0}, ValueError, "by norm or by value"),
        ("Adam", {"decay": -1.0}, ValueError, "decay must be"),
        ("Adam", {"epsilon": "small"}, TypeError, "epsilon must be a number"),
        ("SGD", {"momentum": None}, TypeError, "momentum must be a number"),
        ("Adam", {"lr": -1.0}, ValueError, "lr must be"),
    ],
)
def test_what_cannot_be_migrated_is_refused(optimizer, arguments, error, said):
    with pytest.raises(error, match=said):
        migrate(optimizer, **arguments)
