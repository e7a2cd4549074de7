"""`Cooldown`: each rate applied by the unit-gradient oracle, on top of whatever sets the rate."""

import json
import math
import signal
import threading

import keras
import numpy as np
import pytest
from support.drives import Spy, data, displacement, everything, fit, network

import keras_lr
from keras_lr import schedules
from keras_lr.callbacks import Cooldown, LRScheduler, OneCycle, ReduceOnPlateauPlus
from keras_lr.callbacks.cooldown import descent
from keras_lr.callbacks.cooldown.descent import Descent, Pace, factor, seconds_of

ONES = np.ones((8, 1), "float32"), np.ones((8, 1), "float32")  # eight batches of one sample


def run(optimizer, *callbacks, spe=1, epochs=4, **arguments):
    """Return the model, its way and the logged rates, in a fit with eight steps to an epoch."""
    model, spy = displacement(optimizer, spe), Spy()
    arguments = {"batch_size": 1, "epochs": epochs, **arguments}
    fit(model, ONES, *callbacks, spy, **arguments)
    way = -float(np.asarray(keras.ops.convert_to_numpy(model.weights[0].value)).item())
    return model, way, spy.rates


def cooled(before, rate, length, shape="linear"):
    """Return the rates before a cooldown, and those in it."""
    return [*before, *(rate * factor(shape, k / length) for k in range(length))]


def rate_of(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


@pytest.mark.parametrize("shape", ["linear", "1-sqrt"])
@pytest.mark.parametrize("spe", [1, 4])
def test_a_plain_rate_comes_down_and_the_fit_stops(shape, spe, backend):
    spe = 1 if backend == "torch" else spe
    cooldown = Cooldown(10, shape=shape, at_step=6)
    model, way, rates = run(keras.optimizers.SGD(0.1), cooldown, spe=spe)
    expected = cooled([0.1] * 6, 0.1, 10, shape)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    assert rates[-1] == pytest.approx(expected[-1])
    if spe == 1:
        assert rates == pytest.approx(expected)
    assert cooldown.begun_at == 6
    assert cooldown.reason == "step"
    assert rate_of(model) == pytest.approx(0.1)
    assert not {"make_train_function", "save"} & set(vars(model))


@pytest.mark.parametrize("spe", [1, 4])
def test_a_schedule_in_the_optimizer_comes_down_from_where_it_stands(spe, backend):
    spe = 1 if backend == "torch" else spe
    schedule = schedules.Cosine(0.1, 0.0, steps=32)
    model, way, rates = run(
        keras.optimizers.SGD(schedule), Cooldown(6, at_step=10), spe=spe, epochs=4
    )
    before = schedule.values(np.arange(10)).tolist()
    expected = cooled(before, float(schedule.values(10)), 6)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    if spe == 1:
        assert rates == pytest.approx(expected, rel=1e-5)
    assert model.optimizer._learning_rate == schedule


def test_keras_own_schedules_too():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    _, way, _ = run(keras.optimizers.SGD(schedule), Cooldown(6, at_step=10, shape="1-sqrt"))
    before = [0.1 * 0.5 ** (step / 10) for step in range(11)]
    assert way == pytest.approx(sum(cooled(before[:10], before[10], 6, "1-sqrt")), rel=1e-5)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("spe", [1, 4])
def test_a_driver_comes_down_from_where_it_stands(first, spe, backend):
    spe = 1 if backend == "torch" else spe
    schedule = schedules.Cosine(0.1, 0.02, steps=32)
    callbacks = [LRScheduler(schedule), Cooldown(6, at_step=10)][:: 1 if first else -1]
    model, way, rates = run(keras.optimizers.SGD(0.3), *callbacks, spe=spe)
    before = schedule.values(np.arange(10)).tolist()
    expected = cooled(before, float(schedule.values(10)), 6)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    assert rates[-1] == pytest.approx(expected[-1], rel=1e-5)
    assert rate_of(model) == pytest.approx(0.3)


def test_one_cycle_keeps_its_momentum():
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    plain, cooling = Spy(), Spy()
    fit(displacement(optimizer), ONES, OneCycle(0.1), plain, batch_size=1)
    cooldown = Cooldown(4, at_step=9)
    other = keras.optimizers.SGD(0.1, momentum=0.9)
    fit(displacement(other), ONES, OneCycle(0.1), cooldown, cooling, batch_size=1)
    assert cooling.momenta == plain.momenta[:13]
    assert cooling.rates == pytest.approx(cooled(plain.rates[:9], plain.rates[9], 4), rel=1e-5)


@pytest.mark.parametrize("driven", [True, False])
def test_on_top_of_a_plateau(driven):
    driver = [LRScheduler(schedules.Constant(0.1))] if driven else []
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=1e9, max_reductions=1)
    model, way, rates = run(
        keras.optimizers.SGD(0.1), *driver, plateau, Cooldown(12, at_step=20), epochs=9
    )
    expected = cooled([0.1] * 16 + [0.05] * 4, 0.05, 12)
    assert rates == pytest.approx(expected)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    assert rate_of(model) == pytest.approx(0.1 if driven else 0.05)


def test_a_plateau_reduces_nothing_while_it_cools():
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=1e9)
    model, _, rates = run(keras.optimizers.SGD(0.1), plateau, Cooldown(24, at_step=4), epochs=9)
    assert rates == pytest.approx(cooled([0.1] * 4, 0.1, 24))
    assert plateau.events == []
    assert rate_of(model) == pytest.approx(0.1)


def test_updates_are_counted_under_accumulation():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    _, way, rates = run(optimizer, Cooldown(4, at_step=3))
    expected = cooled([0.1] * 3, 0.1, 4)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    assert rates == pytest.approx(np.repeat(expected, 2))


@pytest.mark.parametrize("own", [True, False])
def test_a_schedule_in_the_optimizer_under_accumulation(own):
    """Keras' schedules count batches there, and those of this library updates."""
    line = schedules.Linear(0.1, 0.0, steps=20)
    if not own:
        line = keras.optimizers.schedules.PolynomialDecay(0.1, 40, 0.0)
    optimizer = keras.optimizers.SGD(line, gradient_accumulation_steps=2)
    _, way, _ = run(optimizer, Cooldown(4, at_step=3))
    # An update is made at the last of its batches, with Keras' schedule half an update on.
    before = [0.1 * (1 - (update + 0.5 * (not own)) / 20) for update in range(3)]
    expected = cooled(before, 0.1 * (1 - 3 / 20), 4)
    assert way == pytest.approx(sum(expected), rel=1e-5)


def test_an_optimizer_with_decay_comes_down_in_a_straight_line():
    _, way, rates = run(keras_lr.optimizers.SGD(0.1, decay=0.05), Cooldown(6, at_step=10))
    before = [0.1 / (1 + 0.05 * step) for step in range(11)]
    expected = cooled(before[:10], before[10], 6)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    assert rates == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scheduled", [True, False])
def test_other_optimizers(scheduled):
    rate = schedules.Constant(0.05) if scheduled else 0.05
    inner = keras.optimizers.SGD(rate)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0)
    _, way, rates = run(optimizer, Cooldown(6, at_step=10))
    expected = cooled([0.05] * 10, 0.05, 6)
    assert way == pytest.approx(sum(expected), rel=1e-5)
    assert rates == pytest.approx(expected, rel=1e-5)


def several_optimizers():
    held, scheduled = (
        keras.optimizers.SGD(0.1, name="a"),
        keras.optimizers.SGD(schedules.Linear(0.2, 0.0, steps=40), name="b"),
    )
    return keras.optimizers.MultiOptimizer(lambda v: held if v.name == "kernel" else scheduled)


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_several_optimizers_one_with_a_schedule():
    x, y = data()
    model, spy = network(several_optimizers()), Spy()
    history = fit(model, (x, y), Cooldown(6, at_step=9), spy)
    first, second = (history[f"learning_rate_{name}"] for name in "ab")
    assert first == pytest.approx([0.1, 0.1 * 4 / 6, 0.1 / 6], rel=1e-5)
    at = 0.2 * (1 - 9 / 40)
    assert second == pytest.approx([0.2 * (1 - 5 / 40), at * 4 / 6, at / 6], rel=1e-5)


def test_at_an_epoch_for_epochs():
    cooldown = Cooldown(epochs=1.5, at_epoch=2)
    _, _, rates = run(keras.optimizers.SGD(0.1), cooldown, epochs=9)
    assert rates == pytest.approx(cooled([0.1] * 16, 0.1, 12))
    assert cooldown.reason == "epoch"


def test_it_reaches_zero_with_a_fit_that_ends_sooner():
    _, _, rates = run(keras.optimizers.SGD(0.1), Cooldown(100, at_step=12), epochs=2)
    assert rates == pytest.approx(cooled([0.1] * 12, 0.1, 4))


def test_when_a_metric_has_stalled():
    class Metric(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["watched"] = [3.0, 2.0, 1.95, 1.9, 1.0, 0.5][epoch]

    cooldown = Cooldown(5, monitor="watched", patience=2, mode="min", min_delta=0.5)
    _, _, rates = run(keras.optimizers.SGD(0.1), Metric(), cooldown, epochs=6)
    assert rates == pytest.approx(cooled([0.1] * 32, 0.1, 5))
    assert cooldown.reason == "stalled"
    with pytest.raises(ValueError, match="monitor must be a scalar in the logs"):
        run(keras.optimizers.SGD(0.1), Cooldown(5, monitor="acc", patience=2, mode="max"))


def test_by_hand():
    class Begins(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 6:
                cooldown.begin()

    cooldown = Cooldown(5)
    _, _, rates = run(keras.optimizers.SGD(0.1), cooldown, Begins())
    assert rates == pytest.approx(cooled([0.1] * 7, 0.1, 5))
    assert cooldown.reason == "begin"


class Presses(keras.callbacks.Callback):
    """Presses Ctrl-C after some batches."""

    def __init__(self, *batches):
        super().__init__()
        self.batches, self.count = batches, 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count in self.batches:
            signal.raise_signal(signal.SIGINT)


def test_the_first_interrupt_begins_it(capsys):
    before = signal.getsignal(signal.SIGINT)
    cooldown = Cooldown(5)
    model, _, rates = run(keras.optimizers.SGD(0.1), cooldown, Presses(7))
    assert rates == pytest.approx(cooled([0.1] * 7, 0.1, 5))
    assert cooldown.reason == "interrupt"
    assert "press Ctrl-C again" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before
    assert rate_of(model) == pytest.approx(0.1)


@pytest.mark.parametrize("scheduled", [True, False])
def test_the_second_stops_at_once(scheduled):
    before = signal.getsignal(signal.SIGINT)
    rate = schedules.Constant(0.1) if scheduled else 0.1
    model, spy = displacement(keras.optimizers.SGD(rate)), Spy()
    with Cooldown(9) as cooldown, pytest.raises(KeyboardInterrupt):
        fit(model, ONES, cooldown, spy, Presses(4, 8), batch_size=1)
    assert spy.rates == pytest.approx(cooled([0.1] * 4, 0.1, 9)[:8])
    assert signal.getsignal(signal.SIGINT) is before
    assert rate_of(model) == pytest.approx(0.1)
    assert "make_train_function" not in vars(model)


def test_an_interrupt_is_left_alone_where_that_is_asked_for():
    for arguments in ({"on_interrupt": False}, {"at_step": 0}):
        with pytest.raises(KeyboardInterrupt), Cooldown(99, **arguments) as cooldown:
            run(keras.optimizers.SGD(0.1), cooldown, Presses(4))


def test_a_fit_that_was_cut_off_gives_the_interrupt_back():
    class Raises(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run(keras.optimizers.SGD(0.1), Cooldown(5), Raises())
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_of_the_main_thread_there_are_no_signals():
    found = []

    def body():
        found.append(run(keras.optimizers.SGD(0.1), Cooldown(5, at_step=3))[2])

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found[0] == pytest.approx(cooled([0.1] * 3, 0.1, 5))


class Clock(keras.callbacks.Callback):
    """A clock in place of the real one: a second for each batch, more between epochs."""

    def __init__(self, between=0.0, slow_from=None):
        super().__init__()
        self.now, self.between, self.slow_from = 0.0, between, slow_from
        self.batches = 0

    def __call__(self):
        return self.now

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        slow = self.slow_from is not None and self.batches > self.slow_from
        self.now += 2.0 if slow else 1.0

    def on_epoch_end(self, epoch, logs=None):
        self.now += self.between


@pytest.mark.parametrize(("between", "slow_from"), [(0.0, None), (5.0, None), (0.0, 88)])
def test_within_a_time(monkeypatch, between, slow_from):
    clock = Clock(between, slow_from)
    monkeypatch.setattr(descent, "monotonic", clock)
    cooldown = Cooldown(20, within="1m40s")
    _, way, rates = run(keras.optimizers.SGD(0.1), clock, cooldown, epochs=99)
    assert 85 < clock.now <= 100
    assert cooldown.reason == "within"
    at = cooldown.begun_at
    assert rates[:at] == pytest.approx([0.1] * at)
    assert rates[-1] < 0.02
    assert all(later < earlier for earlier, later in zip(rates[at:], rates[at + 1 :], strict=False))
    if slow_from is None:
        assert rates == pytest.approx(cooled([0.1] * at, 0.1, 20))
    assert way == pytest.approx(sum(rates), rel=1e-5)


def test_a_time_too_short_for_the_whole(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(descent, "monotonic", clock)
    _, _, rates = run(keras.optimizers.SGD(0.1), clock, Cooldown(500, within=12), epochs=99)
    assert clock.now <= 12
    assert rates[-1] < 0.03


def test_history_has_what_was_applied():
    x, y = data()
    model = network(keras.optimizers.SGD(0.1))
    history = fit(model, (x, y), Cooldown(8, at_step=6))
    assert history["learning_rate"] == pytest.approx([0.1, 0.1 * 3 / 8, 0.1 / 8])


@pytest.mark.parametrize("kind", ["held", "schedule", "driver"])
def test_what_is_saved_meanwhile_has_the_own_rate(kind, tmp_path):
    x, y = data()
    schedule = schedules.Constant(0.1)
    model = network(keras.optimizers.SGD(schedule if kind == "schedule" else 0.1))
    driver = [LRScheduler(schedules.Constant(0.3))] if kind == "driver" else []
    path = tmp_path / "{epoch}.keras"
    fit(model, (x, y), *driver, Cooldown(8, at_step=4), keras.callbacks.ModelCheckpoint(path))
    for epoch in (1, 2):
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        assert rate_of(loaded) == pytest.approx(0.1)


class Crash(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise RuntimeError("crash")


def begins(cooldown, at):
    class Begins(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == at:
                cooldown.begin()

    return Begins()


@pytest.mark.parametrize("kind", ["held", "schedule", "driver"])
@pytest.mark.parametrize("on_demand", [True, False])
def test_backup_and_restore_goes_on(kind, on_demand, tmp_path):
    x, y = data()

    def parts(folder):
        cosine = schedules.Cosine(0.1, 0.01, steps=24)
        optimizer = keras.optimizers.SGD(cosine if kind == "schedule" else 0.1, momentum=0.9)
        driver = [LRScheduler(cosine)] if kind == "driver" else []
        files = {"backup_dir": folder} if on_demand or kind == "driver" else {}
        cooldown = Cooldown(13, at_step=None if on_demand else 6, **files)
        backup = keras.callbacks.BackupAndRestore(folder)
        return network(optimizer), [*driver, cooldown, begins(cooldown, 1), backup]

    whole, callbacks = parts(tmp_path / "whole")
    expected = fit(whole, (x, y), *callbacks[:-1], epochs=5)
    model, callbacks = parts(tmp_path / "backup")
    with pytest.raises(RuntimeError, match="crash"):
        fit(model, (x, y), *callbacks, Crash(2), epochs=5)
    again, callbacks = parts(tmp_path / "backup")
    found = fit(again, (x, y), *callbacks, epochs=5)
    assert found["learning_rate"] == pytest.approx(expected["learning_rate"][2:], rel=1e-6)
    np.testing.assert_allclose(everything(again), everything(whole), rtol=1e-6, atol=1e-7)


def test_a_state_goes_through_json():
    x, y = data()
    whole, first = (network(keras.optimizers.SGD(0.1)) for _ in range(2))
    expected = fit(whole, (x, y), Cooldown(15, at_step=3))
    states = []

    class Saves(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            states.append(json.dumps(cooldown.get_state()))

    cooldown = Cooldown(15)
    with pytest.raises(RuntimeError, match="crash"):
        fit(first, (x, y), cooldown, begins(cooldown, 0), Saves(), Crash(1))
    other = Cooldown(15, at_step=3)
    other.set_state(json.loads(states[0]))
    found = fit(first, (x, y), other, initial_epoch=1)
    assert found["learning_rate"][0] == pytest.approx(0.1 * 4 / 15)
    assert expected["learning_rate"][0] == pytest.approx(0.1 * 13 / 15)
    for state in ({}, None):
        with pytest.raises((TypeError, ValueError), match="what get_state returned"):
            other.set_state(state)
    with pytest.raises(RuntimeError, match="Call fit first"):
        Cooldown(1).get_state()


@pytest.mark.parametrize(
    "part", ["begin", "descent", "bases", "reason", "asked", "stall"], ids=lambda part: part
)
@pytest.mark.parametrize("damage", [-5, math.nan, "x", {}, [1, "x"], [None], True])
def test_a_damaged_state_is_refused(part, damage):
    cooldown = Cooldown(3, at_step=1)
    fit(network(keras.optimizers.SGD(0.1)), data(), cooldown)
    state = cooldown.get_state()
    cooldown.set_state(state)
    if isinstance(damage, str) and part in ("reason", "asked"):
        return
    with pytest.raises(ValueError, match=f"^Cooldown: .*{part}") as refusal:
        cooldown.set_state({**state, part: damage})
    assert len(str(refusal.value)) < 300


def test_the_mode_is_checked_without_a_metric_too():
    with pytest.raises(ValueError, match="mode must be one of"):
        Cooldown(3, mode="no")


def test_a_second_fit_begins_afresh():
    cooldown = Cooldown(4, at_step=3)
    optimizer = keras.optimizers.SGD(0.1)
    model, spy = displacement(optimizer), Spy()
    for _ in range(2):
        fit(model, ONES, cooldown, spy, batch_size=1)
    assert spy.rates == pytest.approx(2 * cooled([0.1] * 3, 0.1, 4))


def test_compiled_anew_meanwhile():
    class Compiles(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                model.compile(keras.optimizers.SGD(0.01), "mse")

    x, y = data()
    model = network(keras.optimizers.SGD(0.1))
    history = fit(model, (x, y), Cooldown(12, at_step=3), Compiles())
    assert history["learning_rate"] == pytest.approx([0.1 * 10 / 12, 0.01 * 4 / 12, 0.01 / 12])
    assert rate_of(model) == pytest.approx(0.01)


def test_two_of_them_are_refused():
    with pytest.raises(ValueError, match="one of them is enough"):
        run(keras.optimizers.SGD(0.1), Cooldown(5), Cooldown(6))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "needs a length"),
        ({"steps": 3, "epochs": 1}, "needs a length"),
        ({"steps": 0}, "steps must be"),
        ({"steps": 2.5}, "steps must be"),
        ({"epochs": 0}, "epochs must be"),
        ({"steps": 3, "shape": "cubic"}, "shape must be"),
        ({"steps": 3, "at_step": -1}, "at_step must be"),
        ({"steps": 3, "at_epoch": 1.5}, "at_epoch must be"),
        ({"steps": 3, "monitor": "loss"}, "belong together"),
        ({"steps": 3, "patience": 3}, "belong together"),
        ({"steps": 3, "monitor": "loss", "patience": 0}, "patience must be"),
        ({"steps": 3, "monitor": 5, "patience": 2}, "monitor must be"),
        ({"steps": 3, "min_delta": -1}, "min_delta must be"),
        ({"steps": 3, "within": "two hours"}, "length of time"),
        ({"steps": 3, "within": -2}, "within must be"),
        ({"steps": 3, "on_interrupt": "no"}, "on_interrupt must be"),
        ({"steps": 3, "backup_dir": 3}, "backup_dir must be"),
    ],
)
def test_arguments_are_checked(arguments, match):
    with pytest.raises((TypeError, ValueError), match=match):
        Cooldown(**arguments)


def test_times_are_read():
    assert seconds_of("2h") == 7200.0
    assert seconds_of("1h30m") == seconds_of("90 min") == seconds_of(5400) == 5400.0
    assert seconds_of("1m 1.5s") == 61.5


def test_a_way_that_is_shortened_goes_on_from_where_it_stands():
    way = Descent(10)
    way.advance(5)
    assert way.progress == 0.5
    way.shorten(2)
    assert way.progress == 0.5
    way.advance()
    assert way.progress == 0.75
    assert Descent.from_dict(way.to_dict()) == way
    way.advance(9)
    assert (way.progress, way.left) == (1.0, 0)


def test_the_first_execution_is_not_measured(monkeypatch):
    times = iter([0.0, 0.0, 9.0, 10.0, 11.0, 11.0])
    monkeypatch.setattr(descent, "monotonic", lambda: next(times))
    pace = Pace(21.0, 1)
    for batch in range(4):
        pace.begin_batch(batch)
    assert pace.affordable() == 9


def test_a_loop_of_ones_own_over_train_on_batch():
    cooldown, model = Cooldown(4, at_step=3), displacement(keras.optimizers.SGD(0.1))
    callbacks = keras.callbacks.CallbackList([cooldown], model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for step in range(7):
        callbacks.on_train_batch_begin(step)
        logs = model.train_on_batch(ONES[0][:1], ONES[1][:1], return_dict=True)
        callbacks.on_train_batch_end(step, logs)
    assert model.stop_training
    callbacks.on_train_end()
    way = -float(np.asarray(keras.ops.convert_to_numpy(model.weights[0].value)).item())
    assert way == pytest.approx(sum(cooled([0.1] * 3, 0.1, 4)), rel=1e-5)
    assert rate_of(model) == pytest.approx(0.1)
