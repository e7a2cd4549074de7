"""`LRScheduler`: what is applied, where it stands, what is left behind, what is refused."""

import keras
import numpy as np
import pytest
from support.drives import Spy, data, displacement, everything, fit, network
from support.tiny import EXECUTIONS, JIT

from keras_lr import optimizers, schedules
from keras_lr._engine.state import TrainingState
from keras_lr.callbacks import CosineWarmRestarts, LRScheduler, OneCycle, ReduceOnPlateauPlus

X, Y = data()
STEPS = 6  # 48 samples in batches of 8
FALL = schedules.Cosine(0.1, 0.001, steps=3 * STEPS)
ON_TORCH = keras.backend.backend() == "torch"
in_parts = pytest.mark.filterwarnings("ignore:LRScheduler. schedule is longer")


def rate(optimizer):
    return float(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(optimizer.learning_rate)))


@pytest.mark.parametrize("spe", EXECUTIONS)
def test_same_weights_as_the_schedule_in_the_graph(spe):
    inside = network(keras.optimizers.Adam(FALL), spe, jit_compile="auto")
    fit(inside, (X, Y))
    driven = network(keras.optimizers.Adam(0.5), spe, jit_compile="auto")
    fit(driven, (X, Y), LRScheduler(FALL))
    for left, right in zip(inside.get_weights(), driven.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


@pytest.mark.parametrize("spe", EXECUTIONS)
def test_unit_gradient_adds_up_the_learning_rates(spe):
    model = displacement(keras.optimizers.SGD(1.0), spe)
    ones = np.ones((48, 1), "float32")
    fit(model, (ones, ones), LRScheduler(FALL))
    total = FALL.values(range(3 * STEPS)).astype("float64").sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-6)


@in_parts
@pytest.mark.parametrize("where", ["callback", "graph"])
def test_an_update_left_out_counts_for_the_callback_alone(where):
    inner = keras.optimizers.SGD(FALL if where == "graph" else 1.0)
    model = displacement(keras.optimizers.LossScaleOptimizer(inner))
    x = np.ones((48, 1), "float32")
    x[8] = np.inf  # in the second batch
    fit(model, (x, x), *([LRScheduler(FALL)] if where == "callback" else []), epochs=1)
    applied = [0, 2, 3, 4, 5] if where == "callback" else [0, 1, 2, 3, 4]
    total = FALL.values(applied).astype("float64").sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-6)


def test_each_step_has_its_own_value_in_the_logs():
    spy = Spy()
    history = fit(network(keras.optimizers.SGD()), (X, Y), spy, LRScheduler(FALL), spy)
    expected = FALL.values(range(3 * STEPS))
    np.testing.assert_array_equal(np.float32(spy.rates[::2]), expected)
    np.testing.assert_array_equal(
        np.float32(history["learning_rate"]), expected[STEPS - 1 :: STEPS]
    )


def test_csv_logger_sees_the_learning_rate(tmp_path):
    path = tmp_path / "log.csv"
    fit(network(keras.optimizers.SGD()), (X, Y), keras.callbacks.CSVLogger(path), LRScheduler(FALL))
    header, *rows = path.read_text().splitlines()
    column = header.split(",").index("learning_rate")
    written = [float(row.split(",")[column]) for row in rows]
    np.testing.assert_allclose(written, FALL.values([5, 11, 17]), rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "change_every", "places"),
    [
        ("step", "step", np.arange(18)),
        ("step", "epoch", np.repeat([0, 6, 12], 6)),
        ("epoch", "step", np.arange(18) / 6),
        ("epoch", "epoch", np.repeat([0, 1, 2], 6)),
    ],
)
def test_units(unit, change_every, places):
    curve = schedules.Linear(0.1, 0.0, steps=3 if unit == "epoch" else 18)
    spy = Spy()
    driver = LRScheduler(curve, unit=unit, change_every=change_every)
    fit(network(keras.optimizers.SGD()), (X, Y), driver, spy)
    np.testing.assert_allclose(spy.rates, curve.values(places), rtol=1e-6)


def test_any_function_and_keras_schedules():
    keras_own = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    for schedule in (lambda step: 0.1 * 0.5 ** (step / 4), keras_own):
        spy = Spy()
        fit(network(keras.optimizers.SGD()), (X, Y), LRScheduler(schedule), spy)
        np.testing.assert_allclose(spy.rates, 0.1 * 0.5 ** (np.arange(18) / 4), rtol=1e-5)


def test_restart_boundaries_in_epochs_are_not_missed():
    curve = schedules.CosineRestarts(0.1, first_cycle_steps=1, cycle_mult=1)
    for samples in (7, 49):  # as many batches of one sample
        spy = Spy()
        xy = X[:1].repeat(samples, 0), Y[:1].repeat(samples, 0)
        driver = LRScheduler(curve, unit="epoch")
        fit(network(keras.optimizers.SGD()), xy, driver, spy, epochs=5, batch_size=1)
        np.testing.assert_allclose(spy.rates[::samples], 0.1, rtol=1e-6)


@in_parts
def test_goes_on_with_initial_epoch_and_begins_afresh_without():
    model, spy = network(keras.optimizers.SGD()), Spy()
    driver = LRScheduler(FALL)
    fit(model, (X, Y), driver, spy, epochs=2)
    fit(model, (X, Y), driver, spy, initial_epoch=2, epochs=3)
    fit(model, (X, Y), driver, spy, epochs=1)
    expected = [*FALL.values(range(18)), *FALL.values(range(6))]
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-6)


def test_goes_on_after_backup_and_restore(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole, spy = network(keras.optimizers.Adam(0.3)), Spy()
    fit(whole, (X, Y), LRScheduler(FALL))
    with pytest.raises(KeyboardInterrupt):
        fit(network(keras.optimizers.Adam(0.3)), (X, Y), LRScheduler(FALL), backup(), Crash())
    again = network(keras.optimizers.Adam(0.3))
    fit(again, (X, Y), LRScheduler(FALL), backup(), spy)
    np.testing.assert_allclose(spy.rates, FALL.values(range(12, 18)), rtol=1e-6)
    np.testing.assert_array_equal(everything(whole), everything(again))


@in_parts
@pytest.mark.parametrize("accumulation", [2, 4])  # four do not divide the six batches of an epoch
def test_counts_updates_under_gradient_accumulation(accumulation):
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=accumulation)
    model = displacement(optimizer)
    ones = np.ones((48, 1), "float32")
    fit(model, (ones, ones), LRScheduler(FALL))
    updates = 3 * STEPS // accumulation
    total = FALL.values(range(updates)).astype("float64").sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-6)
    fit(model, (ones, ones), LRScheduler(FALL), epochs=1)
    left_over = 3 * STEPS % accumulation
    total += FALL.values(range((left_over + STEPS) // accumulation)).astype("float64").sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-6)


class Batches(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of the user's own, which counts as Keras does."""

    def __call__(self, step):
        return FALL(keras.ops.convert_to_tensor(step))


@in_parts
@pytest.mark.parametrize("spe", EXECUTIONS)
@pytest.mark.parametrize("jit", [JIT, "auto"])
@pytest.mark.parametrize("make", [keras.optimizers.SGD, optimizers.SGD])
def test_a_schedule_in_the_graph_counts_updates_too(make, jit, spe):
    ones = np.ones((48, 1), "float32")
    for schedule in (FALL, FALL.warmup(2) * 0.5, schedules.FromCallable(FALL)):
        model = displacement(make(schedule, gradient_accumulation_steps=4), spe, jit_compile=jit)
        fit(model, (ones, ones))
        total = schedule.values(range(18 // 4)).astype("float64").sum()
        np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-6)
    model = displacement(make(Batches(), gradient_accumulation_steps=4), spe)
    fit(model, (ones, ones))
    total = FALL.values([3, 7, 11, 15]).astype("float64").sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-6)


def test_a_schedule_in_the_graph_counts_updates_after_loading_and_in_a_plain_loop(tmp_path):
    ones = np.ones((48, 1), "float32")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    inner = keras.optimizers.SGD(FALL, gradient_accumulation_steps=4)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0), "mae")
    model.set_weights([np.full((1, 1), 9.0)])
    fit(model, (ones, ones), epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fit(loaded, (ones, ones), epochs=2)
    total = FALL.values(range(18 // 4)).astype("float64").sum()
    np.testing.assert_allclose(9.0 - loaded.get_weights()[0].item(), total, rtol=1e-5)
    weight = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(FALL, gradient_accumulation_steps=3)
    for _ in range(9):
        optimizer.apply([keras.ops.ones(())], [weight])
    total = FALL.values(range(3)).sum()
    np.testing.assert_allclose(-keras.ops.convert_to_numpy(weight.value), total, rtol=1e-6)


@pytest.mark.parametrize("observer", [False, True])
def test_a_plateau_over_a_schedule_in_the_graph_counts_updates(observer):
    ones = np.ones((48, 1), "float32")
    model = displacement(keras.optimizers.SGD(FALL, gradient_accumulation_steps=2))
    plateau = ReduceOnPlateauPlus("loss", mode="max", factor=0.5, patience=1, min_delta=0.0)
    history = fit(model, (ones, ones), plateau, *([LRScheduler()] if observer else []))
    assert [event.epoch for event in plateau.events] == [1, 2]
    expected = FALL.values([2, 5, 8]) * [1.0, 1.0, 0.5]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-5)
    total = (FALL.values(range(9)) * np.repeat([1.0, 1.0, 0.5], 3)).sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-5)


def two_optimizers():
    slow, fast = keras.optimizers.SGD(0.1, name="slow"), keras.optimizers.SGD(1.0, name="fast")
    chosen = {"kernel": slow, "bias": fast}
    return keras.optimizers.MultiOptimizer(lambda variable: chosen[variable.name])


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_several_optimizers_keep_their_proportion_or_have_a_schedule_each():
    def drive(schedule):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(two_optimizers(), loss=lambda y, p: keras.ops.mean(p), jit_compile=JIT)
        model.set_weights([np.zeros((1, 1)), np.zeros(1)])
        ones = np.ones((48, 1), "float32")
        fit(model, (ones, ones), LRScheduler(schedule), epochs=1)
        return [-weight.item() for weight in model.get_weights()]

    fall, flat = schedules.Linear(0.5, 0.0, steps=6), schedules.Constant(0.25)
    total = fall.values(range(6)).sum()
    np.testing.assert_allclose(drive(fall), [0.1 * total, total], rtol=1e-6)
    np.testing.assert_allclose(drive([fall, flat]), [total, 1.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "attribute"),
    [
        (lambda: keras.optimizers.SGD(0.01, momentum=0.9), "momentum"),
        (lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "momentum"),
        # With the usual epsilon a gradient that is nothing but rounding makes a whole step, and the
        # eager twin rounds otherwise.
        (lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, epsilon=0.01), "momentum"),
        (lambda: keras.optimizers.Adam(0.01), "beta_1"),
        (lambda: keras.optimizers.Nadam(0.01), "beta_1"),
        (lambda: keras.optimizers.AdamW(0.01), "weight_decay"),
    ],
)
def test_momentum_and_weight_decay_are_really_driven(make, attribute):
    """The twin runs eagerly, where setting the plain number works."""
    curve = schedules.Linear(0.9, 0.1, steps=12)

    class Set(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            value = curve.values(batch + self.model.before)
            object.__setattr__(self.model.optimizer, attribute, float(value))

        def on_epoch_begin(self, epoch, logs=None):
            self.model.before = 6 * epoch

    twin = network(make(), run_eagerly=True)
    fit(twin, (X, Y), Set(), epochs=2)
    argument = "weight_decay" if attribute == "weight_decay" else "momentum"
    driven = network(make(), slots=False, jit_compile="auto")
    before = getattr(driven.optimizer, attribute)
    history = fit(driven, (X, Y), LRScheduler(**{argument: curve}), epochs=2)
    np.testing.assert_allclose(history[argument], curve.values([5, 11]), rtol=1e-6)
    for left, right in zip(twin.get_weights(), driven.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=2e-6)
    assert getattr(driven.optimizer, attribute) == before


def test_momentum_after_weight_decay_does_not_find_the_old_step():
    curve = schedules.Linear(0.9, 0.1, steps=12)
    model = network(keras.optimizers.SGD(0.01, momentum=0.9))
    start = model.get_weights()
    fit(model, (X, Y), LRScheduler(weight_decay=curve), epochs=2)
    fresh = network(keras.optimizers.SGD(0.01, momentum=0.9))
    fit(fresh, (X, Y), LRScheduler(momentum=curve), epochs=2)
    model.set_weights(start)
    for variable in model.optimizer.variables[2:]:
        variable.assign(np.zeros(variable.shape))
    fit(model, (X, Y), LRScheduler(momentum=curve), epochs=2)
    for left, right in zip(fresh.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)


def test_a_checkpoint_from_the_middle_is_that_of_a_plain_optimizer(tmp_path):
    path = tmp_path / "model.keras"
    model = network(keras.optimizers.SGD(0.5, momentum=0.9))
    driver = LRScheduler(FALL, momentum=schedules.Linear(0.9, 0.5, steps=18))
    fit(model, (X, Y), keras.callbacks.ModelCheckpoint(path), driver)
    loaded = keras.models.load_model(path)
    assert loaded.optimizer.momentum == 0.9
    assert rate(loaded.optimizer) == rate(model.optimizer) == 0.5
    np.testing.assert_array_equal(everything(loaded)[:-1], everything(model)[:-1])


def test_everything_is_put_back_after_an_interrupt():
    class Crash(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = network(keras.optimizers.SGD(0.5, momentum=0.9))
    with pytest.raises(KeyboardInterrupt), LRScheduler(FALL, momentum=lambda step: 0.5) as driver:
        fit(model, (X, Y), driver, Crash())
    assert model.optimizer.momentum == 0.9
    assert rate(model.optimizer) == 0.5
    assert len(model.optimizer.variables) == 2 + len(model.trainable_variables)
    assert "get_config" not in vars(model.optimizer)


def test_a_bad_value_in_mid_fit_raises_and_leaves_the_model_usable():
    model = network(keras.optimizers.SGD(0.5))
    driver = LRScheduler(lambda step: 0.1 if step < 7 else float("nan"))
    with pytest.raises(ValueError, match="finite and not negative at step 7, in epoch 1"):
        fit(model, (X, Y), driver)
    assert rate(model.optimizer) == 0.5
    assert np.isfinite(fit(model, (X, Y), epochs=1)["loss"][0])


@pytest.mark.parametrize("accumulation", [None, 2])
def test_without_a_schedule_it_logs_what_the_graph_applies(accumulation):
    optimizer = keras.optimizers.SGD(FALL, gradient_accumulation_steps=accumulation)
    spy = Spy()
    fit(network(optimizer), (X, Y), LRScheduler(), spy)
    applied = FALL.values(np.arange(18) // (accumulation or 1))
    np.testing.assert_array_equal(np.float32(spy.rates), applied)


def test_without_a_schedule_it_logs_keras_schedules_decay_and_constants():
    keras_own = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    expected = {
        keras.optimizers.SGD(keras_own): 0.1 * 0.5 ** (np.arange(6) / 4),
        keras.optimizers.SGD(0.25): np.full(6, 0.25),
        optimizers.Adam(lr=0.1, decay=0.5): 0.1 / (1 + 0.5 * np.arange(6)),
    }
    for optimizer, values in expected.items():
        spy = Spy()
        fit(network(optimizer), (X, Y), LRScheduler(), spy, epochs=1)
        np.testing.assert_allclose(spy.rates, values, rtol=1e-5)


def test_without_a_schedule_it_leaves_what_a_plateau_has_reduced():
    model = network(keras.optimizers.SGD(0.1))
    plateau = ReduceOnPlateauPlus("loss", patience=1, min_delta=1e9, factor=0.5)
    fit(model, data(), LRScheduler(), plateau, epochs=3)
    assert plateau.events
    assert rate(model.optimizer) == pytest.approx(plateau.events[-1].lr_after)


class Struck(keras.callbacks.Callback):
    """Raises where Keras tells no callback of it."""

    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("struck")


def cut_off(model):
    both = LRScheduler(FALL, momentum=lambda step: 0.5)
    with pytest.raises(RuntimeError, match="struck") as error:
        fit(model, data(), both, Struck())
    return error  # which holds the fit


def test_a_momentum_that_keras_would_refuse_is_refused():
    model = network(keras.optimizers.SGD(0.1, momentum=0.9))
    with pytest.raises(ValueError, match="momentum must be at most 1 at step 2, in epoch 0"):
        fit(model, (X, Y), LRScheduler(momentum=lambda step: 2.0 if step >= 2 else 1.0))
    assert model.optimizer.momentum == 0.9


@pytest.mark.parametrize("again", [lambda: LRScheduler(momentum=lambda step: 0.7), Spy])
def test_the_next_fit_begins_with_the_optimizers_own_settings(again):
    model = network(keras.optimizers.SGD(0.1, momentum=0.9))
    held = cut_off(model)
    rates = fit(model, data(), LRScheduler(), again(), epochs=1)["learning_rate"]
    np.testing.assert_allclose(rates, [0.1], rtol=1e-6)
    assert held
    assert model.optimizer.momentum == 0.9
    assert len(model.optimizer.variables) == len(network_variables())


def test_a_learning_rate_set_after_a_cut_off_fit_is_kept():
    model = network(keras.optimizers.SGD(0.1, momentum=0.9))
    held = cut_off(model)
    model.optimizer.learning_rate = 0.03
    model.fit(*data(), epochs=1, verbose=0)
    assert held
    assert rate(model.optimizer) == pytest.approx(0.03)
    assert model.optimizer.momentum == 0.9


def network_variables():
    model = network(keras.optimizers.SGD(0.1, momentum=0.9))
    fit(model, data(), epochs=1)
    return model.optimizer.variables


def test_mixed_precision():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=8.0)
    model = displacement(optimizer)
    ones = np.ones((48, 1), "float32")
    fit(model, (ones, ones), LRScheduler(FALL))
    total = FALL.values(range(18)).astype("float64").sum()
    np.testing.assert_allclose(-model.get_weights()[0].item(), total, rtol=1e-5)
    assert rate(optimizer) == 0.5


def endless():
    while True:
        yield X[:8], Y[:8]


def test_data_of_unknown_length():
    spy = Spy()
    model = network(keras.optimizers.SGD())
    fit(model, (endless(),), LRScheduler(FALL), spy, batch_size=None, steps_per_epoch=6)
    np.testing.assert_allclose(spy.rates, FALL.values(range(18)), rtol=1e-6)


def finite():
    for _ in range(6):
        yield X[:8], Y[:8]


@in_parts
def test_unknown_length_is_refused_where_it_is_needed():
    model = network(keras.optimizers.SGD())
    start = model.get_weights()
    with pytest.raises(ValueError, match="Pass steps_per_epoch to fit"):
        fit(model, (finite(),), LRScheduler(FALL, unit="epoch"), batch_size=None)
    with pytest.raises(ValueError, match="Pass steps_per_epoch to fit"):
        fit(model, (finite(),), LRScheduler(FALL), batch_size=None, initial_epoch=1)
    np.testing.assert_array_equal(start[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("optimizer", "callbacks", "error"),
    [
        (lambda: keras.optimizers.SGD(FALL), [lambda: LRScheduler(FALL)], "already has a schedule"),
        (lambda: optimizers.Adam(lr=0.1, decay=0.1), [lambda: LRScheduler(FALL)], "InverseTime"),
        (
            lambda: keras.optimizers.SGD(0.1),
            [lambda: LRScheduler(FALL), lambda: LRScheduler(FALL)],
            "only one callback",
        ),
        (
            lambda: keras.optimizers.SGD(0.1),
            [
                lambda: LRScheduler(FALL),
                lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.2),
            ],
            "something else in this fit sets the learning rate",
        ),
        (
            lambda: keras.optimizers.SGD(0.1),
            [lambda: LRScheduler([FALL, FALL])],
            "one schedule for",
        ),
        (
            lambda: keras.optimizers.SGD(0.1),
            [lambda: LRScheduler(momentum=FALL)],
            r"Make it with one, SGD\(momentum=0.9\)",
        ),
        (
            lambda: keras.optimizers.Adagrad(0.1),
            [lambda: LRScheduler(momentum=FALL)],
            "must have a momentum or a beta_1",
        ),
    ],
)
def test_refused_at_the_start_with_nothing_trained(optimizer, callbacks, error):
    model = network(optimizer())
    start = model.get_weights()
    with pytest.raises(ValueError, match=error):
        fit(model, (X, Y), *[make() for make in callbacks])
    for left, right in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_writer_that_begins_later_is_warned_of():
    later = keras.callbacks.LearningRateScheduler(lambda epoch, lr: 0.3 if epoch else lr)
    model = network(keras.optimizers.SGD(0.1))  # the first epoch shows no difference
    with pytest.warns(UserWarning, match="it is overwritten at every step"):
        history = fit(model, (X, Y), LRScheduler(FALL), later)
    np.testing.assert_allclose(history["learning_rate"], FALL.values([5, 11, 17]), rtol=1e-6)


class Writer(keras.callbacks.Callback):
    """Assigns to the learning rate at one of the places where a callback is called."""

    def __init__(self, place):
        super().__init__()
        setattr(self, f"on_{place[0]}", self.write)
        self.at = place[1]

    def write(self, index, logs=None):
        if index == self.at:
            self.model.optimizer.learning_rate = 0.3


PLACES = [
    *(("epoch_begin", 1), ("epoch_begin", 2), ("epoch_end", 0), ("epoch_end", 2)),
    *(("train_batch_begin", 3), ("train_batch_end", 3), ("train_batch_end", 5)),
]


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("order", [1, -1])
def test_another_writer_is_seen_whatever_the_order_and_the_place(place, order):
    model = network(keras.optimizers.SGD(0.1))
    callbacks = [LRScheduler(FALL), Writer(place)][::order]
    with pytest.warns(UserWarning, match="something else has set the learning rate") as seen:
        history = fit(model, (X, Y), *callbacks)
    assert len([one for one in seen if "something else" in str(one.message)]) == 1
    np.testing.assert_allclose(history["learning_rate"], FALL.values([5, 11, 17]), rtol=1e-6)
    assert "assign" not in vars(model.optimizer.learning_rate)
    assert rate(model.optimizer) == pytest.approx(0.1)


@pytest.mark.parametrize("place", [("epoch_begin", 0), ("train_batch_begin", 0)], ids=str)
@pytest.mark.parametrize("order", [1, -1])
def test_another_writer_before_the_first_step_is_refused_whatever_the_order(place, order):
    model = network(keras.optimizers.SGD(0.1))
    start = model.get_weights()
    callbacks = [LRScheduler(FALL), Writer(place)][::order]
    with pytest.raises(ValueError, match="something else in this fit sets the learning rate"):
        fit(model, (X, Y), *callbacks)
    np.testing.assert_array_equal(start[0], model.get_weights()[0])
    assert "assign" not in vars(model.optimizer.learning_rate)


def test_keras_own_plateau_beside_a_driver_is_seen_in_its_last_epoch_too():
    for patience in (1, 2):
        theirs = keras.callbacks.ReduceLROnPlateau("loss", patience=patience, min_delta=1e9)
        with pytest.warns(UserWarning, match="something else has set the learning rate"):
            fit(network(keras.optimizers.SGD(0.1)), (X, Y), LRScheduler(FALL), theirs)


@pytest.mark.parametrize("order", [1, -1])
def test_saving_and_looking_at_the_model_are_no_writers(order, tmp_path):
    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rate(self.model.optimizer)

    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras", save_freq=2)
    callbacks = [LRScheduler(FALL), checkpoint, Look()][::order]
    plateau = ReduceOnPlateauPlus("loss", patience=1, min_delta=1e9, factor=0.5)
    seen = fit(network(keras.optimizers.SGD(0.1)), (X, Y), *callbacks, plateau)  # warnings raise
    twin = ReduceOnPlateauPlus("loss", patience=1, min_delta=1e9, factor=0.5)
    alone = fit(network(keras.optimizers.SGD(0.1)), (X, Y), LRScheduler(FALL), twin)
    assert seen == alone


class Note(keras.callbacks.Callback):
    """Notes the optimizer's learning rate at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(rate(self.model.optimizer))


def halve(epoch, lr):
    return lr * 0.5 if epoch % 2 else lr


@in_parts
@pytest.mark.parametrize("function", [halve, lambda epoch, lr=None: lr * 0.9, lambda e, rate: 0.3])
def test_a_function_of_epoch_and_rate_is_called_as_by_keras(function):
    theirs = Note()
    fit(
        network(keras.optimizers.SGD(0.2)),
        (X, Y),
        keras.callbacks.LearningRateScheduler(function),
        theirs,
        epochs=5,
    )
    whole = fit(network(keras.optimizers.SGD(0.2)), (X, Y), LRScheduler(function), epochs=5)
    np.testing.assert_allclose(whole["learning_rate"], theirs.rates, rtol=1e-6)
    later = network(keras.optimizers.SGD(0.2))
    rest = fit(later, (X, Y), LRScheduler(function), initial_epoch=3, epochs=5)
    np.testing.assert_allclose(rest["learning_rate"], theirs.rates[3:], rtol=1e-6)


def test_a_function_of_epoch_and_rate_scaled_by_a_plateau():
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=10.0)
    model = network(keras.optimizers.SGD(0.4))
    driver = LRScheduler(lambda epoch, lr: lr * 0.5)
    history = fit(model, (X, Y), driver, plateau, epochs=4)
    expected = [0.2, 0.1, 0.025, 0.00625]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)


def test_functions_without_a_signature_are_called():
    by_epoch = {"unit": "epoch", "change_every": "epoch"}
    model = network(keras.optimizers.SGD(0.2))
    driver = LRScheduler([0.1, 0.01, 0.001].__getitem__, **by_epoch)
    history = fit(model, (X, Y), driver)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.01, 0.001], rtol=1e-6)
    model = network(keras.optimizers.SGD(0.2, momentum=0.5))
    history = fit(model, (X, Y), LRScheduler(momentum=int, **by_epoch), epochs=1)
    assert history["momentum"] == [0.0]


@pytest.mark.parametrize(
    ("function", "unit"), [(lambda epoch: 0.1, "step"), (lambda step: 0.1, "epoch")]
)
def test_a_parameter_named_after_the_other_unit_is_warned_of(function, unit):
    other = {"step": "epoch", "epoch": "step"}[unit]
    for name in ("schedule", "momentum", "weight_decay"):
        with pytest.warns(UserWarning, match=f"called with the {unit}.*named {other}.*{other}"):
            LRScheduler(**{name: function}, unit=unit)
        LRScheduler(**{name: function}, unit=other)


@pytest.mark.parametrize("value", [1e39, -1e-9, float("nan"), 10**400])
def test_a_value_that_float32_cannot_hold_stops_the_fit_at_its_step(value):
    model = network(keras.optimizers.SGD(0.5))
    with pytest.raises(ValueError, match="finite and not negative at step 2, in epoch 0"):
        fit(model, (X, Y), LRScheduler(lambda step: value if step == 2 else 0.1))
    assert rate(model.optimizer) == 0.5


def test_a_bad_value_of_the_optimizer_s_own_schedule_stops_a_fit_that_logs_it():
    def function(step):
        return 0.05 - 0.01 * keras.ops.cast(step, "float32")

    model = network(keras.optimizers.SGD(schedules.FromCallable(function)))
    with pytest.raises(
        ValueError, match=r"LRScheduler: learning_rate must .* at step 6, in epoch 1"
    ):
        fit(model, (X, Y), LRScheduler())


@pytest.mark.parametrize("bad", [3, "cosine", lambda: 0.1, lambda a, b, c: a, np.zeros(3)])
def test_what_is_no_schedule_is_refused_at_construction(bad):
    with pytest.raises(ValueError, match="there must be a schedule for each optimizer"):
        LRScheduler([])
    with pytest.raises(TypeError, match="momentum must take one number"):
        LRScheduler(momentum=lambda epoch, lr: lr)
    with pytest.raises(TypeError, match="LRScheduler: schedule must"):
        LRScheduler(bad)
    with pytest.raises(ValueError, match="unit must be one of"):
        LRScheduler(FALL, unit="batch")


@pytest.mark.parametrize(
    ("schedule", "unit", "warning"),
    [
        (schedules.Linear(0.1, 0.0, steps=100), "step", "longer than the whole fit of 18 steps"),
        (schedules.Linear(0.1, 0.0, steps=18), "epoch", "longer than the whole fit of 3 epochs"),
        (schedules.CosineRestarts(0.1, 1), "step", "shorter than two steps"),
        (schedules.Cosine(0.1, 0.0, steps=5), "step", "is over at step 5 of 18"),
        (schedules.CosineRestarts(0.1, 1000), "step", "first cycle of schedule is longer than the"),
        (schedules.CosineRestarts(0.1, 18), "epoch", "longer than the whole fit of 3 epochs"),
    ],
)
def test_lengths_in_the_wrong_unit_are_warned_of(schedule, unit, warning):
    with pytest.warns(UserWarning, match=warning):
        fit(network(keras.optimizers.SGD()), (X, Y), LRScheduler(schedule, unit=unit))


@pytest.mark.parametrize("order", [1, -1])
def test_a_plateau_multiplies_what_is_driven_and_what_the_graph_gives(order):
    flat = schedules.Constant(0.1)
    inside = network(keras.optimizers.SGD(flat, momentum=0.9))
    for model, driver in (
        (network(keras.optimizers.SGD(0.5)), LRScheduler(flat)),
        (inside, LRScheduler(momentum=lambda step: 0.5)),
    ):
        plateau = ReduceOnPlateauPlus(monitor="loss", factor=0.5, patience=1, min_delta=10.0)
        history = fit(model, (X, Y), *[driver, plateau][::order], epochs=4)
        np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.05, 0.025], rtol=1e-6)
    assert inside.optimizer.momentum == 0.9


def test_a_function_of_the_users_is_read_at_no_step_that_is_not_made():
    read = []

    def function(step):
        read.append(int(np.max(keras.ops.convert_to_numpy(step))))
        return keras.ops.cast(step, "float32") * 0.0 + 0.1

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(), "mse", jit_compile=False)
    schedule = schedules.FromCallable(function, elementwise=False)
    model.fit(np.ones((8, 1)), np.ones((8, 1)), 2, verbose=0, callbacks=[LRScheduler(schedule)])
    assert max(read) <= 4  # four steps, and a look at the end of the fit


def test_an_optimizer_of_several_cannot_be_left_out_by_none():
    with pytest.raises(TypeError, match=r"^LRScheduler: schedule must be a schedule"):
        LRScheduler([schedules.Constant(0.1), None])


def test_a_function_of_whole_steps_is_asked_for_whole_steps():
    table = keras.ops.convert_to_tensor(np.linspace(1.0, 0.5, 8).astype("float32"))

    def gather(step):
        return keras.ops.take(table, keras.ops.minimum(step, 7))

    driver = LRScheduler(schedules.FromCallable(gather, steps=7))
    history = fit(network(keras.optimizers.SGD()), (X, Y), driver, epochs=3)
    np.testing.assert_allclose(history["learning_rate"], [0.5 + 0.5 * 2 / 7, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "weight_decay"])
def test_two_callbacks_that_drive_the_same_are_refused(name):
    model = network(keras.optimizers.SGD(momentum=0.9, weight_decay=0.1))
    half = schedules.Constant(0.5)
    both = LRScheduler(momentum=half, weight_decay=half)
    with pytest.raises(ValueError, match=f"only one callback of a fit can drive {name}"):
        fit(model, (X, Y), both, LRScheduler(**{name: half}))
    fit(model, (X, Y))
    assert (model.optimizer.momentum, model.optimizer.weight_decay) == (0.9, 0.1)


def test_a_file_of_the_old_format_holds_the_optimizer_s_own_learning_rate(tmp_path):
    model = network(keras.optimizers.SGD(0.5, momentum=0.9))
    # Keras cannot load "mse" from this format.
    model.compile(model.optimizer, keras.losses.MeanSquaredError(), jit_compile=JIT)
    trees = []

    def held(model):
        tree = model.get_state_tree(value_format="numpy_array")
        return tree["optimizer_variables"][model.optimizer.name]

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            trees.append(held(self.model))

    path = str(tmp_path / "model.h5")
    saves = keras.callbacks.ModelCheckpoint(path)
    names = set(held(model))
    driven = LRScheduler(FALL, momentum=schedules.Constant(0.5))
    fit(model, (X, Y), driven, saves, Look())
    loaded = keras.models.load_model(path)
    assert rate(loaded.optimizer) == 0.5
    assert loaded.optimizer.momentum == 0.9
    for tree in trees:
        assert set(tree) == names
        assert float(tree["learning_rate"]) == 0.5
    assert "save" not in vars(model)


@pytest.mark.parametrize("warm", [False, True])
def test_a_loop_of_ones_own_over_train_on_batch_is_driven(warm):
    model = network(keras.optimizers.SGD(0.5))
    if warm:
        model.train_on_batch(X[:8], Y[:8])
    callbacks = keras.callbacks.CallbackList(
        [LRScheduler(FALL)], add_history=True, model=model, epochs=3, steps=STEPS, verbose=0
    )
    rates = []
    callbacks.on_train_begin()
    for epoch in range(3):
        callbacks.on_epoch_begin(epoch)
        for batch in range(STEPS):
            callbacks.on_train_batch_begin(batch)
            logs = model.train_on_batch(X[:8], Y[:8], return_dict=True)
            callbacks.on_train_batch_end(batch, logs)
            rates.append(logs["learning_rate"])
        callbacks.on_epoch_end(epoch, {})
    callbacks.on_train_end()
    np.testing.assert_array_equal(np.float32(rates), FALL.values(range(3 * STEPS)))
    assert rate(model.optimizer) == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: LRScheduler(schedules.InverseTime(0.1, decay=0.1)),
        lambda: OneCycle(0.1),
        lambda: CosineWarmRestarts(0.1, first_cycle_epochs=1),
    ],
)
def test_driving_reads_nothing_from_the_device_step_by_step(make, monkeypatch):
    read, reads = TrainingState.read, []
    monkeypatch.setattr(TrainingState, "read", lambda *given: reads.append(1) or read(*given))

    def reads_with(batch_size):
        reads.clear()
        model = network(keras.optimizers.SGD(0.1, momentum=0.9))
        fit(model, (X, Y), make(), batch_size=batch_size)
        return len(reads)

    assert reads_with(batch_size=2) == reads_with(batch_size=8)
