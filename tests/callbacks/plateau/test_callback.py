import json
import math

import keras
import numpy as np
import pytest
from support.tiny import JIT, identical

from keras_lr import optimizers, schedules
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.hyperparameters import LearningRates
from keras_lr.callbacks.plateau import ReduceOnPlateauPlus
from keras_lr.callbacks.plateau.rates import Scaled, compile_anew
from keras_lr.callbacks.schedule.scheduler import LRScheduler

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5], [0.0]]) + 0.3).astype("float32")


def make_model(optimizer=None, *, seed=0, **compile_arguments):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(1)]
    )
    optimizer = keras.optimizers.SGD(0.1) if optimizer is None else optimizer
    model.compile(optimizer, "mse", jit_compile=JIT, **compile_arguments)
    optimizer.build(model.trainable_variables)  # for one trace less
    return model


def fit(model, callbacks, epochs=6, **arguments):
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **arguments)


def learning_rate(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


class Scripted(keras.callbacks.Callback):
    """Gives the epochs' logs a metric with chosen values, to be listed before the plateau."""

    def __init__(self, values, name="metric"):
        super().__init__()
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs=None):
        if self.values[epoch] is not None:
            logs[self.name] = self.values[epoch]


def scripted(values, optimizer=None, execution=1, **arguments):
    """Fit on a scripted metric; return the model, the plateau and the history."""
    model = make_model(optimizer, steps_per_execution=execution)
    plateau = ReduceOnPlateauPlus("metric", mode="min", **arguments)
    history = fit(model, [Scripted(values), plateau], epochs=len(values))
    return model, plateau, history.history


NOISY = np.random.default_rng(7).normal(size=12).round(2).tolist()


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


class Watch(keras.callbacks.Callback):
    """Keeps the weights and the optimizer's variables at the beginning of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights, self.slots = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.keep()

    def on_train_end(self, logs=None):
        self.keep()

    def keep(self):
        self.weights.append(self.model.get_weights())
        variables = self.model.optimizer.variables
        self.slots.append([keras.ops.convert_to_numpy(v.value).copy() for v in variables])


@pytest.mark.parametrize("restore_optimizer", [False, True])
def test_a_reduction_goes_back_to_the_best_weights(restore_optimizer):
    model = make_model(keras.optimizers.SGD(0.1, momentum=0.9))
    watch = Watch()
    plateau = ReduceOnPlateauPlus(
        "metric",
        mode="min",
        patience=2,
        restore_best_weights=True,
        restore_optimizer=restore_optimizer,
    )
    fit(model, [Scripted([1.0, 0.5, 0.7, 0.8]), plateau, watch], epochs=4)
    best = 2  # the beginning of the epoch after the best one
    assert not identical(watch.weights[3], watch.weights[best])
    assert identical(watch.weights[4], watch.weights[best])
    momenta = slice(2, None)  # after the step count and the learning rate
    assert identical(watch.slots[4][momenta], watch.slots[best][momenta]) == restore_optimizer


class Poison(keras.callbacks.Callback):
    """Makes a weight NaN before the given epochs' second batch, once each."""

    def __init__(self, *epochs):
        super().__init__()
        self.epochs = list(epochs)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch in self.epochs:
            self.epochs.remove(epoch)
            weights = self.model.get_weights()
            weights[0][0, 0] = math.nan
            self.model.set_weights(weights)


def test_a_bad_loss_is_rescued_with_the_best_state_and_a_lower_rate():
    model = make_model(keras.optimizers.Adam(0.01))
    watch = Watch()
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, max_rescues=1)
    history = fit(model, [plateau, watch, Poison(3)], epochs=5)
    assert [event.action for event in plateau.events] == ["rescue"]
    assert math.isnan(history.history["loss"][3])
    assert identical(watch.weights[4], watch.weights[3])
    index = [v is model.optimizer._learning_rate for v in model.optimizer.variables].index(True)
    for slots in watch.slots:
        del slots[index]
    assert identical(watch.slots[4], watch.slots[3])  # Adam's moments and its step count too
    assert learning_rate(model) == pytest.approx(0.005)
    assert history.history["loss"][4] < history.history["loss"][0]


def test_a_bad_start_goes_back_to_the_starting_weights():
    model = make_model()
    start = model.get_weights()
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, max_rescues=5)

    class Break(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["loss"] = math.inf

    fit(model, [Break(), plateau], epochs=2)
    assert [event.action for event in plateau.events] == ["rescue", "rescue"]
    assert identical(model.get_weights(), start)


@pytest.mark.parametrize("frequency", ["epoch", 1])
@pytest.mark.parametrize("scheduled", [False, True])
def test_recovers_from_a_hopeless_rate(frequency, scheduled):
    # The first loss is a fine one, but its update breaks the weights that it makes the best.
    rate = keras.optimizers.schedules.CosineDecay(200.0, 10_000) if scheduled else 200.0
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=JIT)
    untrained = float(model.evaluate(X, Y, verbose=0))
    plateau = ReduceOnPlateauPlus(
        "loss", factor=0.1, max_rescues=6, frequency=frequency, restore_best_weights=True
    )
    history = fit(model, [plateau], epochs=25)
    assert "rescue" in [event.action for event in plateau.events]
    assert history.history["loss"][-1] < 0.1 * untrained


def test_a_best_state_that_has_blown_up_is_not_gone_back_to():
    model = make_model(keras.optimizers.SGD(1e-3))
    start = model.get_weights()
    plateau = ReduceOnPlateauPlus("val_metric", mode="max", max_rescues=1)

    class BlowUp(keras.callbacks.Callback):
        """After the first batch, of which the loss is a fine one."""

        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 1:
                self.model.set_weights([1e6 * weight for weight in self.model.get_weights()])

    watch = Watch()
    metric = Scripted([0.5] * 3, "val_metric")
    history = fit(model, [BlowUp(), metric, plateau, watch, Poison(1)], epochs=3)
    losses = history.history["loss"]
    assert 1e3 < losses[0] < math.inf
    assert [event.action for event in plateau.events] == ["rescue"]
    assert identical(watch.weights[2], start)


def test_a_loss_that_breaks_after_the_last_evaluation_is_rescued_when_the_epoch_ends():
    class Last(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 3:
                weights = self.model.get_weights()
                weights[0][0, 0] = math.nan
                self.model.set_weights(weights)

    model = make_model()
    plateau = ReduceOnPlateauPlus("batch_loss", factor=0.5, frequency=3, max_rescues=1)
    history = fit(model, [plateau, Last()], epochs=1)
    assert math.isnan(history.history["loss"][0])
    assert [event.action for event in plateau.events] == ["rescue"]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_rescue_at_an_epochs_last_step_leaves_its_loss_a_nan():
    # Emptied then and there, the running mean would be logged as a perfect loss of 0.
    model = make_model()
    plateau = ReduceOnPlateauPlus("batch_loss", factor=0.5, frequency=4, max_rescues=1)
    history = fit(model, [plateau, Poison(1)], epochs=3)
    assert [(event.epoch, event.action) for event in plateau.events] == [(1, "rescue")]
    losses = history.history["loss"]
    assert np.isfinite(losses).tolist() == [True, False, True]


def batches_of_unknown_number(broken=False):
    for start in range(0, 32, 8):
        last = broken and start == 24
        yield X[start : start + 8], Y[start : start + 8] * (math.nan if last else 1.0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_leaves_the_epochs_loss_as_it_is():
    # Whether there is another batch is known only when it is asked for: a step begins in vain.
    found = []
    for callbacks in ([], [ReduceOnPlateauPlus("batch_loss", frequency=3, patience=99)]):
        model = make_model()
        history = model.fit(
            batches_of_unknown_number(), shuffle=False, verbose=0, callbacks=callbacks
        )
        found.append(history.history["loss"])
    assert found[0][0] > 0.0
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_rescue_at_the_end_of_data_of_unknown_length_leaves_its_loss_a_nan():
    plateau = ReduceOnPlateauPlus("batch_loss", frequency=2, patience=99, max_rescues=3)
    data = batches_of_unknown_number(broken=True)
    history = make_model().fit(data, shuffle=False, verbose=0, callbacks=[plateau])
    assert math.isnan(history.history["loss"][0])
    assert [event.action for event in plateau.events] == ["rescue"]


class Lowest(keras.metrics.Metric):
    """A metric that is not empty at 0."""

    def __init__(self):
        super().__init__(name="lowest")
        self.low = self.add_variable((), keras.initializers.Constant(1e9), name="low")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.low.assign(keras.ops.minimum(self.low, 7.0))

    def result(self):
        return self.low.value

    def reset_state(self):
        self.low.assign(1e9)


def test_a_rescue_empties_each_metric_in_its_own_way():
    model = make_model(metrics=[Lowest()])
    plateau = ReduceOnPlateauPlus("batch_loss", frequency=2, patience=99, max_rescues=3)
    history = fit(model, [plateau, Poison(1)], epochs=2)
    assert [event.action for event in plateau.events] == ["rescue"]
    assert history.history["lowest"] == [7.0, 7.0]


def test_states_of_another_model_are_not_gone_back_to():
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, max_rescues=3, reset=False)
    fit(make_model(), [plateau], epochs=2)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    other.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=JIT)
    shapes = [weight.shape for weight in other.get_weights()]
    fit(other, [plateau, Poison(1)], epochs=3)
    assert [event.action for event in plateau.events] == ["rescue"]
    assert [weight.shape for weight in other.get_weights()] == shapes
    assert all(np.isfinite(weight).all() for weight in other.get_weights())


@pytest.mark.parametrize("rescues", [0, 1])
def test_weights_that_break_behind_a_fine_loss_are_not_the_best(rescues):
    # The loss of an epoch is older than its last update.
    class BreakLast(keras.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (1, 3):
                weights = self.model.get_weights()
                weights[0][0, 0] = math.nan
                self.model.set_weights(weights)

    model, watch = make_model(), Watch()
    plateau = ReduceOnPlateauPlus(
        "loss", patience=1, max_rescues=rescues, restore_best_weights=True
    )
    history = fit(model, [BreakLast(), plateau, watch], epochs=4)
    assert np.isfinite(history.history["loss"]).tolist() == [True, True, rescues > 0, True]
    assert plateau.events[0].epoch == (1 if rescues else 2)
    assert identical(watch.weights[2 if rescues else 3], watch.weights[1])


def test_rescues_come_to_an_end_at_the_best_weights():
    model = make_model()
    watch = Watch()
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, max_rescues=1)
    with pytest.warns(UserWarning, match="metric must become finite again"):
        history = fit(model, [plateau, watch, Poison(1, 2)], epochs=9)
    assert len(history.epoch) == 3
    assert [event.action for event in plateau.events] == ["rescue", "stop"]
    assert identical(model.get_weights(), watch.weights[1])


def test_a_broken_loss_is_seen_behind_a_fine_metric():
    model = make_model()
    plateau = ReduceOnPlateauPlus("metric", mode="max", max_rescues=1)
    fit(model, [Scripted([0.9, 0.9, 0.9]), plateau, Poison(1)], epochs=3)
    assert [(event.epoch, event.action) for event in plateau.events] == [(1, "rescue")]


def test_training_stops_when_nothing_is_left():
    model, plateau, history = scripted(
        [1.0] * 9, factor=0.5, patience=1, max_reductions=2, stop_after=2
    )
    assert [event.action for event in plateau.events] == ["reduce", "reduce", "stop"]
    assert len(history["loss"]) == 5
    assert learning_rate(model) == pytest.approx(0.025)


def test_restarts_jump_back_up():
    _, plateau, history = scripted(
        [1.0] * 5, factor=0.1, patience=1, max_reductions=1, restart=True
    )
    assert [event.action for event in plateau.events] == ["reduce", "restart", "reduce"]
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.01, 0.05, 0.05], rtol=1e-6)


@pytest.mark.parametrize("monitor", ["loss", "batch_loss"])
def test_evaluates_every_so_many_steps(monitor):
    model = make_model(keras.optimizers.SGD(0.0))
    model.optimizer.learning_rate = 1e-12
    losses = [float(model.evaluate(X[i : i + 8], Y[i : i + 8], verbose=0)) for i in range(0, 32, 8)]
    seen = []
    plateau = ReduceOnPlateauPlus(monitor, patience=1, min_delta=0.0, frequency=2, mode="min")
    judged = plateau.controller.update

    def spy(self, state, metric):
        seen.append(metric)
        return judged(state, metric)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(plateau.controller), "update", spy)
        history = fit(model, [plateau], epochs=2)
    exact = [np.mean(losses[:2]), np.mean(losses[2:])] * 2
    running = [np.mean(losses[:2]), np.mean(losses)] * 2
    np.testing.assert_allclose(seen, running if monitor == "loss" else exact, rtol=1e-5)
    np.testing.assert_allclose(history.history["loss"], [np.mean(losses)] * 2, rtol=1e-5)


@pytest.mark.parametrize("kind", [keras.optimizers.SGD, optimizers.SGD])
def test_a_step_can_reduce_a_schedule_at_once(kind):
    model = make_model(kind(keras.optimizers.schedules.CosineDecay(1e-9, 1000)))
    plateau = ReduceOnPlateauPlus("batch_loss", factor=0.5, patience=1, min_delta=9e9, frequency=3)
    fit(model, [plateau], epochs=3)
    assert [(event.epoch, event.step) for event in plateau.events] == [(1, 6), (2, 9), (2, 12)]
    assert learning_rate(model) == pytest.approx(1e-9 / 8, rel=1e-2)


LAST = 7
KILLS = [
    ({}, False, [0, 3, 6]),
    ({}, True, [4]),
    ({"restore_best_weights": True, "smoothing": 3, "cooldown": 1}, False, [2, 4]),
    ({"max_rescues": 3, "restore_best_weights": True, "restore_optimizer": True}, False, [3, 5]),
    ({"max_rescues": 3}, True, [3]),
    ({"frequency": 3}, False, [3]),
    ({"frequency": 5, "min_delta": 9.0, "restore_best_weights": True}, False, [2, 5]),
]


class KilledError(Exception):
    """Stands for a power cut."""


class Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KilledError


def rewinder(model):
    """Return what makes a model as it was, so that it need not be compiled again for each run."""
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    variables = [*model.variables, *optimizer.variables]
    start = [keras.ops.convert_to_numpy(variable.value).copy() for variable in variables]
    rate = optimizer._learning_rate

    def rewind():
        model._initial_epoch = None
        if not isinstance(rate, keras.Variable):
            optimizer.learning_rate = rate
            compile_anew(model)
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)

    return rewind


@pytest.mark.parametrize(("arguments", "scheduled", "epochs"), KILLS)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, arguments, scheduled, epochs):
    values = [1.0, 0.5, 0.7, math.nan if "max_rescues" in arguments else 0.8, 0.6, 0.9, 0.9, 0.4]
    monitor = "batch_loss" if "frequency" in arguments else "metric"

    rate = keras.optimizers.schedules.CosineDecay(0.05, 60) if scheduled else 0.05
    model = make_model(keras.optimizers.Adam(rate))
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            monitor, factor=0.5, patience=2, mode="min", backup_dir=directory, **arguments
        )
        backup = keras.callbacks.BackupAndRestore(directory)
        history = fit(model, [Scripted(values), plateau, backup, *killed], epochs=LAST + 1)
        return model.get_weights(), plateau, history.history["learning_rate"]

    whole, expected, rates = run(tmp_path / "whole")
    assert expected.events
    for epoch in epochs:
        directory = tmp_path / f"killed{epoch}"
        with pytest.raises(KilledError):
            run(directory, Kill(epoch))
        resumed, plateau, rest = run(directory)
        assert rest == rates[epoch + 1 :]
        assert identical(resumed, whole)
        assert repr(plateau.events) == repr(expected.events)
        assert not directory.exists()


@pytest.mark.parametrize("plateau_first", [True, False])
def test_a_kill_between_two_backups_loses_nothing_or_says_so(tmp_path, plateau_first):
    values = [1.0, 0.5, 0.7, 0.8, 0.6, 0.9, 0.9, 0.4]
    model = make_model()
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            "metric", 0.5, 2, mode="min", backup_dir=directory, restore_best_weights=True
        )
        saving = [plateau, *killed, keras.callbacks.BackupAndRestore(directory)]
        order = 1 if plateau_first else -1
        history = fit(model, [Scripted(values), *saving[::order]], epochs=LAST + 1)
        return model.get_weights(), history.history["learning_rate"]

    whole, rates = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Kill(4))
    if plateau_first:  # Keras' backup is one epoch behind: that epoch is run again
        resumed, rest = run(tmp_path / "killed")
        assert rest == rates[4:]
        assert identical(resumed, whole)
    else:
        with pytest.warns(UserWarning, match="List the callback before BackupAndRestore"):
            run(tmp_path / "killed")


def test_a_backup_written_before_going_back_goes_back_too(tmp_path):
    values = [1.0, 0.5, 0.7, 0.8, 0.6, 0.9, 0.9, 0.4]
    model = make_model()
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            "metric", 0.5, 2, mode="min", backup_dir=directory, restore_best_weights=True
        )
        backup = keras.callbacks.BackupAndRestore(directory)
        fit(model, [Scripted(values), backup, plateau, *killed], epochs=LAST + 1)
        return model.get_weights()

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Kill(3))  # the epoch of the first reduction
    assert identical(run(tmp_path / "killed"), whole)


def test_a_loss_that_another_callback_has_logged_can_be_saved(tmp_path):
    plateau = ReduceOnPlateauPlus("loss", max_rescues=1, backup_dir=tmp_path / "backup")
    fit(make_model(), [Scripted([np.float32(1.0), X[0, 0]], "loss"), plateau], epochs=2)
    state = json.loads(json.dumps(plateau.get_state()))
    assert state == plateau.get_state()
    assert {type(value) for value in (plateau.best, plateau.wait)} <= {float, int}


def test_a_backup_of_an_epoch_without_validation_goes_on_from_it(tmp_path):
    values = [None, 1.0, None, 1.1, None, 0.5]
    model = make_model()
    new_process = rewinder(model)

    def run(directory, *killed):
        new_process()
        plateau = ReduceOnPlateauPlus(
            "val_x", 0.5, 1, mode="min", backup_dir=directory, restore_best_weights=True
        )
        backup = keras.callbacks.BackupAndRestore(directory)
        callbacks = [Scripted(values, "val_x"), plateau, backup, *killed]
        fit(model, callbacks, validation_data=(X, Y), validation_freq=2)
        return model.get_weights()

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", Kill(4))  # the epoch after the first reduction
    assert identical(run(tmp_path / "killed"), whole)


def test_a_state_goes_to_another_process_through_json():
    values = [1.0, 0.5, 0.7, 0.8, 0.6, 0.9]
    whole, _, rates = scripted(values, factor=0.5, patience=2)
    model = make_model()
    first = ReduceOnPlateauPlus("metric", mode="min", factor=0.5, patience=2)
    fit(model, [Scripted(values), first], epochs=3)
    second = ReduceOnPlateauPlus("metric", mode="min", factor=0.5, patience=2)
    second.set_state(json.loads(json.dumps(first.get_state())))
    history = fit(model, [Scripted(values), second], epochs=6, initial_epoch=3)
    assert history.history["learning_rate"] == rates["learning_rate"][3:]
    assert identical(model.get_weights(), whole.get_weights())


@pytest.mark.parametrize("reset", [True, False])
def test_a_second_fit_starts_afresh_or_goes_on(reset):
    model = make_model()
    plateau = ReduceOnPlateauPlus("metric", mode="min", factor=0.5, patience=3, reset=reset)
    for _ in range(2):
        fit(model, [Scripted([1.0, 1.0]), plateau], epochs=2)
    assert [event.epoch for event in plateau.events] == ([] if reset else [1])


@pytest.mark.parametrize("first", [0.1, schedules.Constant(0.1)])
def test_a_state_fits_only_a_learning_rate_given_in_the_same_way(first):
    second = 0.1 if isinstance(first, schedules.Schedule) else schedules.Constant(0.1)
    plateau = ReduceOnPlateauPlus("loss", reset=False)
    fit(make_model(keras.optimizers.SGD(first)), [plateau], epochs=1)
    with pytest.raises(ValueError, match="a state of a scheduled learning rate fits only"):
        fit(make_model(keras.optimizers.SGD(second)), [plateau], epochs=1)


def test_going_on_leaves_weights_trained_meanwhile_alone():
    model, plateau, _ = scripted(
        [1.0, 1.1], factor=0.5, patience=1, restore_best_weights=True, reset=False
    )
    assert [event.action for event in plateau.events] == ["reduce"]  # in the last epoch
    fit(model, [], epochs=1)
    trained, watch = model.get_weights(), Watch()
    fit(model, [Scripted([1.0] * 3), plateau, watch], epochs=3, initial_epoch=2)
    assert identical(watch.weights[0], trained)


def test_what_is_of_the_wrong_kind_is_named():
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: min_delta must be a number"):
        ReduceOnPlateauPlus(min_delta="x")
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: monitor must be a name"):
        ReduceOnPlateauPlus(5)
    for names in (5, ["a", 5]):
        with pytest.raises(TypeError, match="ReduceOnPlateauPlus: optimizers must be names"):
            ReduceOnPlateauPlus(optimizers=names)
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: a state must be what get_state"):
        ReduceOnPlateauPlus().set_state(5)
    with pytest.raises(ValueError, match=r"what get_state returned\. Received: missing="):
        ReduceOnPlateauPlus().set_state({})
    for path in (3, b"folder", ["folder"]):
        with pytest.raises(TypeError, match="ReduceOnPlateauPlus: backup_dir must be a path"):
            ReduceOnPlateauPlus(backup_dir=path)
    for name in ("restart", "restore_best_weights", "restore_optimizer", "reset", "strict"):
        for value in ("no", 1, None):
            with pytest.raises(TypeError, match=f"Plus: {name} must be True or False"):
                ReduceOnPlateauPlus(**{name: value})
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: verbose must be an integer"):
        ReduceOnPlateauPlus(verbose="no")


@pytest.mark.parametrize("value", ["0.5", np.str_("0.5"), [], {"a": 1}, 1j])
@pytest.mark.parametrize("name", ["metric", "loss"])
def test_a_metric_that_is_no_number_is_named(name, value):
    plateau = ReduceOnPlateauPlus("metric", mode="min", max_rescues=1)
    with pytest.raises(TypeError, match=rf"^ReduceOnPlateauPlus: a metric .* monitor='{name}'"):
        fit(make_model(), [Scripted([1.0]), Scripted([value], name), plateau], epochs=1)


def saved_state():
    plateau = scripted(NOISY[:4], patience=1, factor=0.5)[1]
    assert plateau.events
    return json.loads(json.dumps(plateau.get_state()))


DAMAGED = [None, "x", 3.5, -1, [], {}, ["x"], [None], {"x": 1}, [{"scale": "a"}], math.nan]


@pytest.mark.parametrize(
    "part", ["controller", "rates", "events", "steps", "failures", "best_loss"]
)
def test_a_damaged_part_of_a_state_is_named(part):
    state = saved_state()
    for value in DAMAGED:
        sound = {"best_loss": (None, 3.5, -1), "events": ([],)}.get(part, ())
        if any(value is each or value == each for each in sound) or value is math.nan:
            continue
        with pytest.raises(ValueError, match=r"^ReduceOnPlateauPlus: a state must be") as refusal:
            ReduceOnPlateauPlus().set_state({**state, part: value})
        assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("name", ["rates", "starts", "best", "wait", "cooldown", "memory"])
def test_a_damaged_entry_of_a_controller_s_state_is_named(name):
    state = saved_state()
    for value in ("x", [None], {}, [-1.0, math.inf], [0.1, 0.1, 0.1]):
        controller = {**state["controller"], name: value}
        plateau = ReduceOnPlateauPlus(smoothing=0.5)
        with pytest.raises(ValueError, match=r"^ReduceOnPlateauPlus: a state must be"):
            plateau.set_state({**state, "controller": controller})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be"),
        ({"factor": 0}, "factor must be"),
        ({"patience": -1}, "patience must be"),
        ({"cooldown": -1}, "cooldown must be"),
        ({"mode": "best"}, "mode must be one of"),
        ({"max_lr": 0.1}, "max_lr needs increase_factor"),
        ({"frequency": 0}, "frequency must be"),
        ({"monitor": "batch_loss"}, "batch_loss needs a frequency"),
        ({"optimizers": []}, "optimizers must name at least one"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=f"ReduceOnPlateauPlus: {message}"):
        ReduceOnPlateauPlus(**arguments)


class Driver(keras.callbacks.Callback):
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

    def after_step(self, state, logs):
        pass

    def on_interrupt(self):
        pass

    on_fit_over = on_interrupt


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


def test_a_metric_must_be_a_scalar():
    with pytest.raises(ValueError, match=r"must be a scalar. Received: .*shape=\(2,\)"):
        scripted([np.ones(2)])


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


def test_an_unknown_direction_is_an_error():
    with pytest.raises(ValueError, match="direction of this metric is not known"):
        fit(make_model(), [Scripted([1.0] * 2), ReduceOnPlateauPlus("metric")], epochs=2)


def test_the_state_needs_a_fit():
    with pytest.raises(RuntimeError, match="once a fit has begun"):
        ReduceOnPlateauPlus().get_state()


def test_the_model_is_left_clean():
    model, _, _ = scripted([1.0] * 3, factor=0.5, patience=1, max_rescues=1)
    assert "_should_eval" not in vars(model)
    assert "train_step" not in vars(model)
    with pytest.raises(ValueError, match="monitor must be in the logs"):
        fit(model, [ReduceOnPlateauPlus("nothing", mode="min", max_rescues=1)])
    fit(model, [])
