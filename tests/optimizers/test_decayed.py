"""The update itself, by hand: against the published formula, Keras' own and a bit-equal twin."""

import functools
import inspect
import re

import keras
import numpy as np
import pytest
from support import keras2_updates

from keras_lr import optimizers

KIN = ["Adam", "AdamW", "Nadam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax"]
START = np.array([1.0, -1.0, 0.5, 0.0])


@pytest.fixture
def make(request):
    """Make one of the kin, named by the parameter."""
    return getattr(optimizers, request.param)


kin = pytest.mark.parametrize("make", KIN, indirect=True)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_adam_is_the_published_update(fit, gradients, decay, amsgrad):
    # Betas that float32 holds exactly: Keras rounds them to it on TensorFlow, in any precision.
    arguments = {"beta_1": 7 / 8, "beta_2": 1 - 2**-10, "amsgrad": amsgrad}
    arguments |= {"lr": 0.01, "decay": decay}
    published = functools.partial(keras2_updates.adam, **arguments)

    expected = keras2_updates.follow(published, START, lambda i, _: gradients[i], 1000)
    path = fit(optimizers.Adam(**arguments), START, gradients)

    np.testing.assert_allclose(path, expected, rtol=1e-10, atol=1e-12)


def test_adam_in_single_precision_stays_within_its_rounding(fit, gradients):
    gradients = gradients.astype("float32")
    published = functools.partial(keras2_updates.adam, lr=0.01, decay=1e-2)

    expected = keras2_updates.follow(published, START, lambda i, _: gradients[i], 1000)
    path = fit(optimizers.Adam(lr=0.01, decay=1e-2), START.astype("float32"), gradients)

    # 1 - beta_2 ** t loses half of float32's digits in the first updates.
    np.testing.assert_allclose(path, expected, atol=2e-5)


def test_decay_halves_the_rate_after_its_inverse(fit):
    path = fit(optimizers.SGD(lr=1.0, decay=0.01), np.zeros(1), np.ones((101, 1)))

    steps = -np.diff(path[:, 0])
    assert steps[0] == 1.0  # the first update is not decayed
    assert steps[100] == pytest.approx(0.5, abs=1e-5)  # the difference of two numbers near 69


@kin
def test_without_decay_the_weights_are_those_of_keras(apply, gradients, make):
    plain = getattr(keras.optimizers, make.__name__)
    start, gradients = START.astype("float32"), gradients[:20].astype("float32")

    path = apply(make(lr=0.01), start, gradients)
    expected = apply(plain(learning_rate=0.01), start, gradients)

    if make is optimizers.Nadam:  # the one update that is written anew
        np.testing.assert_allclose(path, expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(path, expected)


@kin
def test_decay_is_keras_inverse_time_decay(apply, gradients, make):
    plain = getattr(keras.optimizers, make.__name__)
    start, gradients = START.astype("float32"), gradients[:20].astype("float32")
    schedule = keras.optimizers.schedules.InverseTimeDecay(0.01, 1, 0.1)

    path = apply(make(lr=0.01, decay=0.1), start, gradients)
    expected = apply(plain(learning_rate=schedule), start, gradients)

    np.testing.assert_allclose(path, expected, rtol=1e-5, atol=1e-6)


def test_decoupled_weight_decay_follows_the_decayed_rate(apply):
    optimizer = optimizers.SGD(lr=0.5, decay=1.0, weight_decay=0.1)

    path = apply(optimizer, np.ones(1), np.zeros((3, 1)))

    shrunk = np.cumprod([1 - 0.1 * 0.5 / (1 + i) for i in range(3)])
    np.testing.assert_allclose(path[1:, 0], shrunk, rtol=1e-6)


@kin
def test_the_backends_own_implementation_is_used(make):
    plain = getattr(keras.optimizers, make.__name__)

    made = make(lr=0.01)

    own = plain if make is optimizers.Nadam else type(plain())
    assert isinstance(made, own)


@kin
def test_config_round_trip_is_equal(make):
    optimizer = make(lr=0.003, decay=1e-4, clipnorm=1.0, gradient_accumulation_steps=2)

    config = optimizer.get_config()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))

    assert type(again) is make
    assert again.get_config() == config
    assert (config["learning_rate"], config["decay"]) == (0.003, 1e-4)


@kin
def test_default_rate_is_that_of_keras(make):
    plain = getattr(keras.optimizers, make.__name__)

    assert np.float32(make().lr) == np.float32(plain().get_config()["learning_rate"])


@pytest.mark.parametrize(
    "rate", [1, np.float32(0.5), np.int64(2), np.array(0.25), np.array(0.125, "float32")]
)
def test_any_real_number_is_taken(rate):
    assert optimizers.Adam(lr=rate, decay=rate).lr == float(rate)
    assert optimizers.Adam(learning_rate=rate, decay=rate).decay == float(rate)


def test_a_rate_beyond_float32_cannot_be_set():
    optimizer = optimizers.SGD(lr=0.1, momentum=0)  # Keras takes floats only
    for value in (1e39, -1.0, float("nan"), "fast"):
        with pytest.raises((TypeError, ValueError), match=r"^SGD: lr must be"):
            optimizer.lr = value
        with pytest.raises((TypeError, ValueError), match=r"^SGD: lr must be"):
            optimizer.learning_rate = value
    assert optimizer.lr == 0.1


def test_numbers_read_as_they_were_written():
    optimizer = optimizers.Adam(lr=1e-3, decay=1e-4)

    assert (optimizer.lr, optimizer.decay) == (1e-3, 1e-4)
    optimizer.lr, optimizer.decay = 3e-5, 7
    assert (optimizer.lr, optimizer.decay) == (3e-5, 7.0)
    optimizer.learning_rate = 0.3
    assert optimizer.lr == 0.3


def test_epsilon_none_is_the_default_as_in_keras_2():
    assert optimizers.Adam(epsilon=None).epsilon == 1e-7


def test_effective_rate_is_that_of_the_next_update(apply):
    optimizer = optimizers.SGD(lr=1.0, decay=0.5)

    apply(optimizer, np.zeros(1), np.ones((4, 1)))

    assert optimizer.effective_learning_rate == pytest.approx(1 / 3)
    assert float(optimizer.learning_rate) == optimizer.lr == 1.0


def test_setting_lr_and_decay_acts_on_the_next_update(apply):
    optimizer = optimizers.SGD(lr=1.0)

    def gradients():
        yield from np.ones((2, 1))
        optimizer.lr, optimizer.decay = 2.0, 0.5
        yield from np.ones((2, 1))

    path = apply(optimizer, np.zeros(1), gradients())

    np.testing.assert_allclose(-np.diff(path[:, 0]), [1, 1, 2 / 2, 2 / 2.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"lr": 1e-3, "learning_rate": 1e-3}, ValueError, "one argument under two names"),
        ({"lr": -1e-3}, ValueError, "lr must be finite and at least 0"),
        ({"lr": float("nan")}, ValueError, "lr must be finite and at least 0"),
        ({"lr": 1e39}, ValueError, "lr must be finite and at least 0"),
        ({"lr": 10**400}, ValueError, "lr must be finite and at least 0"),
        ({"beta_1": "0.9"}, TypeError, "beta_1 must be a number"),
        ({"beta_2": 1.5}, ValueError, "beta_2 must be finite and at least 0 and at most 1"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must be finite and at least 0"),
        ({"amsgrad": "no"}, TypeError, "amsgrad must be True or False"),
        ({"use_ema": 1}, TypeError, "use_ema must be True or False"),
        ({"gradient_accumulation_steps": 1}, ValueError, "gradient_accumulation_steps must be"),
        ({"gradient_accumulation_steps": 2.0}, TypeError, "gradient_accumulation_steps must be"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, ValueError, "clipped in one way"),
        ({"nesterov": True}, ValueError, "nesterov must be an argument of keras.optimizers.Adam"),
        ({"name": 3}, TypeError, "name must be a string"),
        ({"lr": "1e-3"}, TypeError, "lr must be a number"),
        ({"lr": np.ones(2)}, TypeError, "lr must be a number"),
        ({"decay": -1e-9}, ValueError, "decay must be finite and at least 0"),
        ({"decay": float("inf")}, ValueError, "decay must be finite and at least 0"),
        ({"decay": True}, TypeError, "decay must be a number"),
        ({"decay": None}, TypeError, "decay must be a number"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, said):
    with pytest.raises(error, match=f"Adam: .*{said}.*Received: .*="):
        optimizers.Adam(**arguments)


@kin
def test_a_second_positional_argument_is_refused_by_name(make):
    said = (
        f"{make.__name__}: only lr is positional. Received: arguments=(0.01, 0.9). "
        "Pass decay, and all others, by name."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        make(0.01, 0.9)  # 0.9 was the momentum, beta_1 or rho


@kin
def test_the_signature_shows_what_is_accepted(make):
    shown = list(inspect.signature(make).parameters)

    assert shown == ["lr", "decay", "learning_rate", "keras_arguments"]


@pytest.mark.parametrize("name", ["lr", "decay", "learning_rate"])
def test_bad_values_are_refused_later_too(name):
    optimizer = optimizers.Adam(lr=0.5, decay=0.25)

    with pytest.raises(ValueError, match="at least 0"):
        setattr(optimizer, name, -1.0)

    assert (optimizer.lr, optimizer.decay) == (0.5, 0.25)


def test_a_schedule_is_handed_to_keras(apply):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [1.0, 0.5, 0.25])
    optimizer = optimizers.SGD(schedule)

    path = apply(optimizer, np.zeros(1), np.ones((5, 1)))

    np.testing.assert_allclose(-np.diff(path[:, 0]), [1, 1, 0.5, 0.5, 0.25])
    assert optimizer.lr == optimizer.effective_learning_rate == 0.25
    again = optimizers.SGD.from_config(optimizer.get_config())
    assert again.get_config()["learning_rate"] == optimizer.get_config()["learning_rate"]


def test_a_schedule_and_decay_do_not_go_together():
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.9)
    decaying, scheduled = optimizers.SGD(lr=1.0, decay=0.1), optimizers.SGD(lr=schedule)

    with pytest.raises(ValueError, match="multiply the schedule"):
        optimizers.SGD(lr=schedule, decay=0.1)
    with pytest.raises(ValueError, match="multiply the schedule"):
        decaying.learning_rate = schedule
    with pytest.raises(ValueError, match="multiply the schedule"):
        scheduled.decay = 0.1
    with pytest.raises(TypeError, match="lr cannot be set while a schedule"):
        scheduled.lr = 0.1
    assert decaying.lr == 1.0
    assert scheduled.decay == 0.0


def test_decay_off_holds_the_rate_and_puts_decay_back_bit_for_bit(apply):
    optimizer = optimizers.SGD(lr=1.0, decay=0.1)
    before = np.float32(0.1).tobytes()

    with optimizer.decay_off():
        path = apply(optimizer, np.zeros(1), np.ones((3, 1)))

    np.testing.assert_array_equal(-np.diff(path[:, 0]), [1, 1, 1])
    assert np.float32(optimizer.decay).tobytes() == before
    with pytest.raises(KeyError), optimizer.decay_off():
        raise KeyError
    assert np.float32(optimizer.decay).tobytes() == before


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_state_of_the_plain_keras_optimizer_can_be_loaded(apply, decay):
    plain, store = keras.optimizers.Adam(0.25), {}
    apply(plain, START, [START] * 3)
    plain.save_own_variables(store)

    optimizer = optimizers.Adam(lr=1.0, decay=decay)
    optimizer.build([keras.Variable(START)])
    optimizer.load_own_variables(store)

    assert int(optimizer.iterations) == 3
    assert (optimizer.lr, optimizer.decay) == (0.25, decay)
    held = [value for value in optimizer.variables if value.name != "decay"]
    for value, expected in zip(held, plain.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(expected)
        )
