"""ReduceOnPlateauPlus in fit: what it scales, logs, and does beside other callbacks."""

import keras
import numpy as np
import pytest
from support.plateau import NOISY, Scripted, X, Y, fit, learning_rate, make_model, scripted

from keras_lr import optimizers, schedules
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.hyperparameters import LearningRates
from keras_lr._engine.step import StepHook
from keras_lr.callbacks.plateau import ReduceOnPlateauPlus
from keras_lr.callbacks.plateau.rates import Scaled
from keras_lr.callbacks.schedule.scheduler import LRScheduler


@pytest.mark.parametrize(
    "arguments",
    [
        {"factor": 0.5, "patience": 2},
        {"factor": 0.3, "patience": 1, "cooldown": 2, "min_lr": 0.005},
        pytest.param(
            {"factor": 0.5, "patience": 2, "min_delta": -0.4},
            marks=pytest.mark.needs("callbacks.ReduceLROnPlateau._is_improvement"),
        ),
    ],
)
def test_takes_the_place_of_keras_callback(arguments, capsys):
    rates, weights, printed = [], [], []
    for callback in (keras.callbacks.ReduceLROnPlateau, ReduceOnPlateauPlus):
        model = make_model()
        plateau = callback("metric", mode="min", verbose=1, **arguments)
        history = fit(model, [Scripted(NOISY), plateau], epochs=len(NOISY))
        rates.append(history.history["learning_rate"])
        weights.append(model.get_weights())
        printed.append(capsys.readouterr().out.replace("ReduceLROnPlateau", "ReduceOnPlateauPlus"))
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 2
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert printed[0] == printed[1]


def test_takes_keras_positional_arguments():
    positional = ReduceOnPlateauPlus("loss", 0.2, 3, 0, "min", 0.01, 2, 1e-5)
    assert (
        positional.controller
        == ReduceOnPlateauPlus(
            "loss", factor=0.2, patience=3, mode="min", min_delta=0.01, cooldown=2, min_lr=1e-5
        ).controller
    )


@pytest.mark.parametrize(
    ("monitor", "metrics", "rising"),
    [
        ("loss", [], False),
        ("mean_absolute_error", ["mean_absolute_error"], False),
        ("r2_score", ["r2_score"], True),
    ],
)
def test_infers_the_direction(monitor, metrics, rising):
    model = make_model(keras.optimizers.SGD(0.0), metrics=metrics)
    plateau = ReduceOnPlateauPlus(monitor, patience=1, min_delta=0.0)

    class Falling(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs[monitor] = -float(epoch)

    fit(model, [Falling(), plateau], epochs=3)
    assert not plateau.events  # a rate of 0 cannot be reduced, so waiting goes on
    assert plateau.get_state()["controller"]["wait"] == (2 if rising else 0)


def test_an_event_tells_what_happened():
    _, plateau, history = scripted([1.0, 0.5, 0.7], factor=0.5, patience=1)
    (event,) = plateau.events
    assert (event.epoch, event.step, event.action) == (2, 12, "reduce")
    assert (event.metric, event.best) == (0.7, 0.5)
    np.testing.assert_allclose([event.lr_before, event.lr_after], [0.1, 0.05], rtol=1e-6)
    assert event.reason == "no improvement in 1"
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("number", [1, 2])
def test_epochs_without_validation_are_no_evaluations(number):
    model = make_model(keras.optimizers.SGD(0.0))
    model.optimizer.learning_rate = 1e-9
    patience = [2, 99][:number]
    plateaus = [ReduceOnPlateauPlus("val_loss", factor=0.5, patience=each) for each in patience]
    fit(model, plateaus, epochs=8, validation_data=(X, Y), validation_freq=2)
    assert [event.epoch for event in plateaus[0].events] == [5]
    assert [each.get_state()["controller"]["evaluations"] for each in plateaus] == [4] * number


@pytest.mark.parametrize("steps", [1, 4])
def test_scales_a_schedule_inside_the_optimizer(steps, backend):
    # Gradient 1 in one weight: the distance gone is the sum of the rates applied.
    execution = 1 if backend == "torch" else steps
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.9)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(schedule), lambda y, z: -z, steps_per_execution=execution)
    before = model.get_weights()[0].item()
    plateau = ReduceOnPlateauPlus("metric", mode="min", factor=0.5, patience=1)
    ones = np.ones((16, 1), "float32")
    history = model.fit(
        ones,
        ones,
        batch_size=2,
        epochs=4,
        verbose=0,
        callbacks=[Scripted([1.0, 1.0, 0.5, 0.5]), plateau],
    )
    rates = np.array([0.1 * 0.9 ** (step / 4) for step in range(32)])
    scale = np.repeat([1.0, 1.0, 0.5, 0.5], 8)
    assert model.get_weights()[0].item() - before == pytest.approx((rates * scale).sum(), rel=1e-5)
    assert [event.epoch for event in plateau.events] == [1, 3]
    applied = (rates * scale)[7::8]  # of the last update in each epoch
    np.testing.assert_allclose(history.history["learning_rate"], applied, rtol=1e-5)


def test_a_scaled_schedule_is_saved_and_loaded(tmp_path):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    model, _, _ = scripted([1.0, 1.0], keras.optimizers.SGD(schedule), factor=0.5, patience=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer._learning_rate, Scaled)
    assert learning_rate(loaded) == learning_rate(model)
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)


def test_a_bound_under_a_schedule_is_one_on_its_peak():
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 12, warmup_target=0.1, warmup_steps=4)
    _, plateau, _ = scripted(
        [1.0] * 4, keras.optimizers.SGD(schedule), factor=0.1, patience=1, min_lr=0.02
    )
    assert plateau.get_state()["rates"][0]["scale"] == pytest.approx(0.2, rel=1e-5)


def two_optimizers():
    body, head = keras.optimizers.SGD(0.1, name="body"), keras.optimizers.Adam(0.01, name="head")
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(head, {".*_body.*": body}))


@pytest.mark.needs("optimizers.MultiOptimizer")
@pytest.mark.parametrize("chosen", [None, ["body"]])
def test_scales_all_of_several_optimizers_or_those_named(chosen):
    optimizer = two_optimizers()
    _, plateau, history = scripted([1.0] * 3, optimizer, factor=0.5, patience=1, optimizers=chosen)
    np.testing.assert_allclose(history["learning_rate_body"], [0.1, 0.1, 0.05], rtol=1e-6)
    if chosen is None:
        np.testing.assert_allclose(history["learning_rate_head"], [0.01, 0.01, 0.005], rtol=1e-6)
    rates = {leaf.name: leaf.learning_rate.value for leaf in optimizer.optimizers}
    rates = {name: float(keras.ops.convert_to_numpy(rate)) for name, rate in rates.items()}
    expected = {"body": 0.025, "head": 0.01 if chosen else 0.0025}
    assert rates == pytest.approx(expected)
    assert [event.lr_after for event in plateau.events] == pytest.approx([0.05, 0.025])


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_an_unknown_optimizer_is_an_error():
    with pytest.raises(ValueError, match="optimizers must be one of 'body', 'head'"):
        scripted([1.0], two_optimizers(), optimizers=["tail"])


def test_a_function_as_learning_rate_is_an_error():
    model = make_model(keras.optimizers.SGD(lambda: 0.1))
    with pytest.raises(ValueError, match="learning rate must be a number or a schedule"):
        fit(model, [ReduceOnPlateauPlus("loss")])


@pytest.mark.needs("optimizers.MultiOptimizer")
@pytest.mark.parametrize("chosen", ["body", ["head", "body"]])
def test_optimizers_can_be_chosen_beside_a_driver(chosen):
    model = make_model(two_optimizers())
    driver = LRScheduler([schedules.Constant(0.1), schedules.Constant(0.01)])
    given = {"factor": 0.5, "patience": 1, "min_delta": 1e9, "optimizers": chosen}
    history = fit(model, [driver, ReduceOnPlateauPlus("loss", **given)], epochs=3).history
    head = 0.01 if chosen == "body" else 0.005
    np.testing.assert_allclose(history["learning_rate_body"], [0.1, 0.1, 0.05], rtol=1e-6)
    np.testing.assert_allclose(history["learning_rate_head"], [0.01, 0.01, head], rtol=1e-6)


def test_loss_scaling_is_looked_through():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    model, _, history = scripted([1.0, 1.0, 1.0], optimizer, factor=0.5, patience=1)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.05], rtol=1e-6)
    assert learning_rate(model) == pytest.approx(0.025)


def test_steps_per_execution(backend):
    if backend == "torch":  # Keras itself refuses there
        return
    model, _, _ = scripted([1.0] * 3, factor=0.5, patience=1, execution=4)
    twin, _, _ = scripted([1.0] * 3, factor=0.5, patience=1)
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class Driver(keras.callbacks.Callback, StepHook):
    """Drives the learning rate as this library's schedules do: it halves with each epoch."""

    owner, drives_learning_rate = "Driver", True

    def on_train_begin(self, logs=None):
        self.rates, self.epoch, self.seen = LearningRates(self.model), 0, []
        self.variable = self.model.optimizer._learning_rate
        attach(self.model, self)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_end(self, logs=None):
        detach(self.model, self)

    def before_step(self, state):
        self.rates.write(state, 0.1 * 0.5**self.epoch)
        self.seen.append(float(state.read(self.variable)))

    def optimizers(self):
        return {"": self.model.optimizer}


@pytest.mark.parametrize("plateau_first", [True, False])
def test_multiplies_what_another_callback_drives(plateau_first):
    model, driver = make_model(), Driver()
    plateau = ReduceOnPlateauPlus("metric", mode="min", factor=0.1, patience=1, min_lr=0.002)
    pair = [plateau, driver][:: 1 if plateau_first else -1]
    history = fit(model, [Scripted([1.0] * 4), *pair], epochs=4)
    scale = np.array([1.0, 1.0, 0.1, 0.02])  # the peak is 0.1, and its floor 0.002
    expected = 0.1 * 0.5 ** np.arange(4) * scale
    np.testing.assert_allclose(driver.seen[::4], expected, rtol=1e-5)
    np.testing.assert_allclose(history.history["learning_rate"], expected, rtol=1e-5)


def test_a_monitor_that_is_not_there_is_an_error_at_the_first_epoch():
    for arguments in [{}, {"validation_data": (X, Y)}]:
        monitor = "val_accuracy" if arguments else "val_loss"
        plateau = ReduceOnPlateauPlus(monitor, mode="min")
        with pytest.raises(ValueError, match=r"monitor must be in the logs.*'loss'"):
            fit(make_model(), [plateau], **arguments)


def test_or_a_warning_as_in_keras():
    messages = []
    for plateau in (
        keras.callbacks.ReduceLROnPlateau("accuracy", mode="max"),
        ReduceOnPlateauPlus("accuracy", mode="max", strict=False),
    ):
        with pytest.warns(UserWarning, match="not available") as caught:
            fit(make_model(), [plateau], epochs=1)
        messages += [str(w.message) for w in caught if "not available" in str(w.message)]
    assert len(messages) == 2
    assert messages[0] == messages[1]


def test_a_reduction_undone_by_another_callback_is_warned_of_once():
    model = make_model(keras.optimizers.SGD(0.1))
    constant = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    plateau = ReduceOnPlateauPlus("loss", patience=1, min_delta=1e9, factor=0.5)
    with pytest.warns(UserWarning, match="something else in this fit has set") as caught:
        fit(model, [constant, plateau])
    assert sum("something else" in str(warning.message) for warning in caught) == 1


def test_but_not_where_the_rate_is_held_in_half_precision():
    keras.config.set_floatx("float16")
    try:
        optimizer = keras.optimizers.SGD(0.1)
    finally:
        keras.config.set_floatx("float32")
    _, _, history = scripted([1.0] * 4, optimizer, patience=1, factor=0.3)  # warnings are errors
    expected = [0.1, 0.1, 0.03, 0.009]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=2**-10)  # of half precision


@pytest.mark.parametrize("make", [schedules.Cosine, None])
def test_logs_what_the_last_update_was_made_with(make):
    curve = schedules.Cosine(0.1, 0.0, steps=40) if make else schedules.InverseTime(0.1, decay=0.3)
    optimizer = keras.optimizers.SGD(curve) if make else optimizers.SGD(lr=0.1, decay=0.3)
    history = fit(make_model(optimizer), [ReduceOnPlateauPlus("loss")], epochs=2)
    steps = -(-len(X) // 8)
    expected = curve.values([steps - 1, 2 * steps - 1])
    np.testing.assert_allclose(history.history["learning_rate"], expected, rtol=1e-6)


@pytest.mark.parametrize("scheduled", [False, True])
def test_also_where_that_was_the_last_one_before_a_reduction(scheduled):
    rate = schedules.Constant(1e-9) if scheduled else 1e-9
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=9e9, frequency=4)
    history = fit(make_model(keras.optimizers.SGD(rate)), [plateau], epochs=3)
    assert [event.epoch for event in plateau.events] == [1, 2]
    np.testing.assert_allclose(history.history["learning_rate"], [1e-9, 1e-9, 5e-10], rtol=1e-6)


def test_a_floor_above_the_rate_is_worth_a_warning():
    with pytest.warns(UserWarning, match="min_lr should be below"):
        scripted([1.0], min_lr=0.5)


def test_the_model_is_left_clean():
    model, _, _ = scripted([1.0] * 3, factor=0.5, patience=1, max_rescues=1)
    assert "_should_eval" not in vars(model)
    assert "train_step" not in vars(model)
    with pytest.raises(ValueError, match="monitor must be in the logs"):
        fit(model, [ReduceOnPlateauPlus("nothing", mode="min", max_rescues=1)])
    fit(model, [])
