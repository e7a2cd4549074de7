"""Best weights and rescues: what a plateau goes back to."""

import math

import keras
import numpy as np
import pytest
from support.plateau import Scripted, Watch, X, Y, fit, learning_rate, make_model, scripted
from support.tiny import JIT, identical

from keras_lr.callbacks.plateau import ReduceOnPlateauPlus


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
