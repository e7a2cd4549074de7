"""`CosineWarmRestarts`, `OneCycle` and `CyclicLR`: their values, their cycle ends, going on."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from support.drives import Spy, data, everything, fit, network, restarts
from support.tiny import JIT

from keras_lr import schedules
from keras_lr.callbacks import CosineWarmRestarts, CyclicLR, LRScheduler, OneCycle
from keras_lr.plot.history_data import history_marks

X, Y = data()
ROOT = Path(__file__).parents[3]
inside_a_cycle = pytest.mark.filterwarnings("ignore:.*ends inside a cycle")


def applied(callback, optimizer=None, epochs=3, **arguments):
    spy = Spy()
    model = network(optimizer or keras.optimizers.SGD(0.2, momentum=0.9))
    fit(model, (X, Y), callback, spy, epochs=epochs, **arguments)
    return spy


@pytest.mark.parametrize(("first", "mult", "epochs"), [(1, 1, 3), (1, 2, 3), (0.5, 1, 2)])
def test_cosine_follows_the_paper(first, mult, epochs):
    callback = CosineWarmRestarts(
        0.1, 0.01, first_cycle_epochs=first, cycle_mult=mult, max_lr_decay=0.5
    )
    rates = applied(callback, epochs=epochs).rates
    expected, length, peak = [], 6 * first, 0.1
    while len(expected) < len(rates):
        t = np.arange(length)
        expected += list(0.01 + (peak - 0.01) * (1 + np.cos(np.pi * t / length)) / 2)
        length, peak = length * mult, max(peak * 0.5, 0.01)
    np.testing.assert_allclose(rates, expected[: len(rates)], rtol=1e-5)


def test_default_peak_is_the_optimizers_own_and_every_fit_begins_at_it():
    model, spy = network(keras.optimizers.SGD(0.2)), Spy()
    callback = CosineWarmRestarts()
    fit(model, (X, Y), callback, spy, epochs=1)
    fit(model, (X, Y), callback, spy, epochs=1)
    fit(model, (X, Y), CosineWarmRestarts(), spy, epochs=1)
    np.testing.assert_allclose(spy.rates[::6], 0.2, rtol=1e-6)


def test_default_peak_survives_a_checkpoint_from_the_middle(tmp_path):
    path = tmp_path / "model.keras"
    model, spy = network(keras.optimizers.SGD(0.2)), Spy()
    fit(model, (X, Y), CosineWarmRestarts(), keras.callbacks.ModelCheckpoint(path))
    loaded = keras.models.load_model(path)
    fit(loaded, (X, Y), CosineWarmRestarts(), spy, initial_epoch=3, epochs=7)
    np.testing.assert_allclose(spy.rates[0], 0.2, rtol=1e-6)


def test_says_where_cycles_end(capsys):
    model = network(keras.optimizers.SGD())
    model.fit(X, Y, batch_size=8, epochs=7, verbose=2, callbacks=[CosineWarmRestarts(0.1)])
    assert "cycles end after epochs 1, 3, 7;" in capsys.readouterr().out
    fit(model, (X, Y), CosineWarmRestarts(0.1))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "epochs", "warning"),
    [
        ({}, 5, r"ends inside a cycle.* epochs 1, 3. .*there, or at epoch 7"),
        ({"first_cycle_steps": 100}, 3, "longer than the whole fit of 18 steps"),
        ({"first_cycle_steps": 1}, 3, "shorter than two steps"),
        ({"cycles": 1}, 3, "after the last cycle, at step 6 of 18"),
    ],
)
def test_warns_of_cycles_that_do_not_fit(arguments, epochs, warning):
    with pytest.warns(UserWarning, match=warning):
        applied(CosineWarmRestarts(0.1, **arguments), epochs=epochs)


def test_warns_where_another_callback_stops_inside_a_cycle():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    model = network(keras.optimizers.SGD())
    with pytest.warns(UserWarning, match="stopped inside a cycle"):
        fit(model, (X, Y), CosineWarmRestarts(0.1), Stop())


def test_calls_the_hook_with_validation_where_an_epoch_ends():
    seen = []
    callback = CosineWarmRestarts(
        0.1, first_cycle_epochs=0.5, on_cycle_end=lambda cycle, logs: seen.append((cycle, {*logs}))
    )
    with pytest.warns(UserWarning, match="ends inside a cycle"):
        fit(network(keras.optimizers.SGD()), (X, Y), callback, epochs=4, validation_data=(X, Y))
    assert [cycle for cycle, _ in seen] == [0, 1, 2]
    assert all("learning_rate" in names and "val_loss" not in names for _, names in seen)
    seen.clear()
    callback = CosineWarmRestarts(0.1, on_cycle_end=lambda cycle, logs: seen.append(logs))
    fit(network(keras.optimizers.SGD()), (X, Y), callback, validation_data=(X, Y))
    assert [{"val_loss", "learning_rate"} <= {*logs} for logs in seen] == [True, True]


def test_the_hook_may_stop_the_fit_and_evaluate():
    model = network(keras.optimizers.SGD())
    losses = []

    def stop(cycle, logs):
        losses.append(model.evaluate(X, Y, verbose=0))
        model.stop_training = True

    history = fit(model, (X, Y), CosineWarmRestarts(0.1, on_cycle_end=stop))
    assert len(history["loss"]) == 1
    assert losses == [model.evaluate(X, Y, verbose=0)]


def test_reset_makes_the_optimizer_new_at_each_restart():
    """The twin is trained in two fits, with a new optimizer for the second cycle."""
    model = network(keras.optimizers.Adam(0.01), jit_compile="auto")
    callback = CosineWarmRestarts(0.05, cycle_mult=1, reset_optimizer=True)
    fit(model, (X, Y), callback, epochs=2)
    twin = network(keras.optimizers.Adam(0.01))
    for _ in range(2):
        twin.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=JIT)
        fit(twin, (X, Y), CosineWarmRestarts(0.05), epochs=1)
    for left, right in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
    kept = network(keras.optimizers.Adam(0.01))
    fit(kept, (X, Y), CosineWarmRestarts(0.05, cycle_mult=1), epochs=2)
    assert np.abs(kept.get_weights()[0] - model.get_weights()[0]).max() > 1e-4


def batches(number=6):
    """Yield batches without saying how many there are."""
    for start in range(0, 8 * number, 8):
        yield X[start : start + 8], Y[start : start + 8]


def reset_every(steps, **arguments):
    length = {"first_cycle_steps": steps, "cycle_mult": 1}
    return CosineWarmRestarts(0.05, **length, reset_optimizer=True, **arguments)


@pytest.mark.filterwarnings("ignore:.*input ran out of data", "ignore:.*(ends|stopped) inside")
@pytest.mark.parametrize("steps_per_epoch", [None, 20])
def test_reset_is_not_made_where_the_data_ends_with_the_cycle(steps_per_epoch):
    model, twin = (network(keras.optimizers.Adam(0.01)) for _ in range(2))
    arguments = {"batch_size": None, "epochs": 1, "steps_per_epoch": steps_per_epoch}
    fit(model, (batches(5),), reset_every(5), **arguments)
    fit(twin, (X[:40], Y[:40]), reset_every(5), epochs=1)
    np.testing.assert_array_equal(everything(model), everything(twin))
    assert int(model.optimizer.iterations) == 5


@pytest.mark.filterwarnings("ignore:.*input ran out of data")
def test_reset_is_made_between_epochs_of_unknown_length():
    data = pytest.importorskip("tensorflow").data.Dataset
    shapes = [(8, 4), (8, 1)]
    signature = tuple(pytest.importorskip("tensorflow").TensorSpec(shape) for shape in shapes)
    unknown = data.from_generator(batches, output_signature=signature)
    model, twin = (network(keras.optimizers.Adam(0.01)) for _ in range(2))
    callback = reset_every(6)
    fit(model, (unknown,), callback, batch_size=None, epochs=2)
    fit(twin, (X, Y), reset_every(6), epochs=2)
    np.testing.assert_allclose(everything(model), everything(twin), atol=1e-6)
    assert int(model.optimizer.iterations) == 6
    assert [(event.epoch, event.step) for event in callback.events] == [(0, 6)]


@inside_a_cycle
@pytest.mark.filterwarnings("ignore:.*after the last cycle")
def test_reset_is_not_made_after_the_last_cycle():
    model = network(keras.optimizers.Adam(0.01))
    fit(model, (X, Y), reset_every(6, cycles=2), epochs=3)
    assert int(model.optimizer.iterations) == 12


@pytest.mark.needs("optimizers.ScheduleFreeAdamW")
def test_reset_refuses_an_optimizer_that_keeps_weights():
    model = network(keras.optimizers.ScheduleFreeAdamW(0.01))
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="keeps weights and not only moments"):
        fit(model, (X, Y), CosineWarmRestarts(0.1, reset_optimizer=True))
    assert "get_config" not in vars(model.optimizer)


@inside_a_cycle
@pytest.mark.parametrize("reset", [False, True])
def test_goes_on_in_mid_cycle_bit_for_bit(tmp_path, reset):
    whole = network(keras.optimizers.Adam(0.01))
    fit(whole, (X, Y), restarts(reset_optimizer=reset), epochs=4)
    part = network(keras.optimizers.Adam(0.01))
    fit(part, (X, Y), restarts(reset_optimizer=reset), epochs=2)
    part.save(tmp_path / "part.keras")
    loaded = keras.models.load_model(tmp_path / "part.keras")
    fit(loaded, (X, Y), restarts(reset_optimizer=reset), initial_epoch=2, epochs=4)
    np.testing.assert_array_equal(everything(whole), everything(loaded))


@inside_a_cycle
def test_goes_on_in_a_new_process_bit_for_bit(tmp_path):
    saved, result = tmp_path / "part.keras", tmp_path / "result.npz"
    whole = network(keras.optimizers.Adam(0.01))
    fit(whole, (X, Y), restarts(), epochs=4)
    part = network(keras.optimizers.Adam(0.01))
    fit(part, (X, Y), restarts(), keras.callbacks.ModelCheckpoint(saved), epochs=2)
    child = ROOT / "tests" / "support" / "resume_child.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    subprocess.run(
        [sys.executable, "-W", "ignore", str(child), str(saved), str(result)],
        check=True,
        env=environment,
    )
    with np.load(result) as arrays:
        for name, expected in zip(arrays.files, whole.get_weights(), strict=True):
            np.testing.assert_array_equal(arrays[name], expected)


def test_a_warm_up_that_is_no_number_is_refused_by_name():
    with pytest.raises(TypeError, match=r"^CosineWarmRestarts: warmup_steps must be an integer"):
        CosineWarmRestarts(warmup_steps="3")


def test_data_of_unknown_length_that_ends_after_the_last_cycle_is_not_inside_one():
    def batches():
        for _ in range(7):
            yield X[:8], Y[:8]

    model = network(keras.optimizers.SGD())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        warnings.filterwarnings("error", message="CosineWarmRestarts")
        callback = CosineWarmRestarts(0.1, first_cycle_steps=2, cycles=2)  # ends after 2 and 6
        model.fit(batches(), shuffle=False, verbose=0, callbacks=[callback])
    assert callback.cycle_ends == [2, 6]


@pytest.mark.parametrize("mult", [1e10, 1e308])
def test_a_next_end_that_never_comes_is_not_advised(mult):
    with pytest.warns(UserWarning, match=r"ends are step 2. .* Let it end there\.$"):
        applied(CosineWarmRestarts(0.1, first_cycle_steps=2, cycle_mult=mult), epochs=2)


def marks(callback):
    return [(event.epoch, event.step, event.cycle, event.action) for event in callback.events]


@pytest.mark.filterwarnings("ignore:.*(ends|stopped) inside a cycle")
def test_events_are_the_restarts_of_the_present_fit():
    model = network(keras.optimizers.SGD())
    callback = restarts()
    assert callback.events == []
    fit(model, (X, Y), callback, epochs=4)  # cycles end after 8 and 24 of 24
    assert marks(callback) == [(1, 8, 1, "restart")]
    assert [mark.epochs for mark in history_marks([callback])] == [2]
    callback = CosineWarmRestarts(0.1, cycle_mult=1)
    fit(model, (X, Y), callback, epochs=3)
    assert marks(callback) == [(0, 6, 1, "restart"), (1, 12, 2, "restart")]
    fit(model, (X, Y), callback, initial_epoch=2, epochs=3)  # which begins with one
    assert marks(callback) == [(1, 12, 2, "restart")]
    fit(model, (X, Y), callback, epochs=1)
    assert marks(callback) == []


@pytest.mark.filterwarnings("ignore:.*after the last cycle", "ignore:.*input ran out of data")
def test_no_event_where_no_cycle_begins():
    model = network(keras.optimizers.SGD())
    callback = CosineWarmRestarts(0.1, cycle_mult=1, cycles=2)
    fit(model, (X, Y), callback)
    assert marks(callback) == [(0, 6, 1, "restart")]
    callback = CosineWarmRestarts(0.1, first_cycle_steps=5, cycle_mult=1)
    fit(model, (batches(5),), callback, batch_size=None, epochs=1)
    assert marks(callback) == []
    callback = CosineWarmRestarts(
        0.1, cycle_mult=1, on_cycle_end=lambda cycle, logs: setattr(model, "stop_training", True)
    )
    fit(model, (X, Y), callback)
    assert marks(callback) == []


@pytest.mark.filterwarnings("ignore:.*inside a cycle")
def test_events_where_updates_take_several_batches():
    model = network(keras.optimizers.SGD(gradient_accumulation_steps=4), slots=False)
    callback = CosineWarmRestarts(0.1, first_cycle_steps=2, cycle_mult=1)
    fit(model, (X, Y), callback)  # 18 batches, restarts after 8 and 16
    assert marks(callback) == [(1, 2, 1, "restart"), (2, 4, 2, "restart")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"reset_optimizer": "yes"},
        {"reset_optimizer": 1},
        {"reset_optimizer": None},
        {"on_cycle_end": 3},
        {"on_cycle_end": lambda cycle: None},
        {"on_cycle_end": lambda cycle, logs, more: None},
    ],
)
def test_arguments_of_another_kind(arguments):
    name = next(iter(arguments))
    with pytest.raises(TypeError, match=f"^CosineWarmRestarts: {name} must .*Received: {name}="):
        CosineWarmRestarts(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_lr": -1.0}, "max_lr must be"),
        ({"max_lr": 0.1, "min_lr": 0.2}, "max_lr must be"),
        ({"cycle_mult": 0.5}, "cycle_mult must be"),
        ({"max_lr_decay": 0.0}, "max_lr_decay must be"),
        ({"first_cycle_epochs": 0}, "first_cycle_epochs must be"),
        ({"first_cycle_steps": 0}, "first_cycle_steps must be"),
        ({"first_cycle_steps": 4, "first_cycle_epochs": 1}, "Pass one of the two"),
        ({"first_cycle_steps": 4, "warmup_steps": 4}, "no room for its warm-up"),
        ({"cycles": 0}, "cycles must be"),
        ({"snapshots": -1}, "snapshots must be"),
        ({"snapshot_folder": "here"}, "a folder needs snapshots"),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(ValueError, match=f"^CosineWarmRestarts: .*{error}"):
        CosineWarmRestarts(**arguments)


def test_unknown_length_of_epochs():
    def finite():
        for _ in range(6):
            yield X[:8], Y[:8]

    model = network(keras.optimizers.SGD())
    for callback in (CosineWarmRestarts(0.1), CyclicLR(0.0, 0.1), OneCycle(0.1, momentum=None)):
        with pytest.raises(ValueError, match="Pass steps_per_epoch to fit"):
            fit(model, (finite(),), callback, batch_size=None)
    seen = []
    callback = restarts(first_cycle_steps=3, on_cycle_end=lambda cycle, logs: seen.append(cycle))
    with pytest.warns(UserWarning, match="stopped inside a cycle|ran out of data"):
        fit(model, (finite(),), callback, batch_size=None, epochs=1)
    assert seen == [0]


@pytest.mark.parametrize("curve", ["cosine", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_is_torchs(curve, three_phase):
    torch = pytest.importorskip("torch") if keras.backend.backend() == "torch" else None
    callback = OneCycle(0.1, curve=curve, three_phase=three_phase)
    spy = applied(callback)
    if torch is None:
        schedule = schedules.OneCycle(0.1, steps=18, curve=curve, three_phase=three_phase)
        rates, momenta = schedule.values(range(18)), schedule.momentum().values(range(18))
    else:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
        peer = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            0.1,
            total_steps=18,
            anneal_strategy={"cosine": "cos"}.get(curve, curve),
            three_phase=three_phase,
        )
        rates, momenta = [], []
        for step in range(18):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if step < 17:
                peer.step()
    np.testing.assert_allclose(spy.rates, rates, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(spy.momenta, momenta, rtol=1e-6)


def test_one_cycle_leaves_or_refuses_momentum():
    spy = applied(OneCycle(0.1, momentum=None), keras.optimizers.SGD(0.1))
    assert set(spy.momenta) == {None}
    with pytest.raises(ValueError, match=r"SGD\(momentum=0.9\), or leave .* \(momentum=None\)"):
        applied(OneCycle(0.1, momentum=(0.85, 0.95)), keras.optimizers.SGD(0.1))
    for bad in ((0.9, 0.8), (0.9,), (0.5, 1.0)):
        with pytest.raises(ValueError, match="OneCycle: momentum must"):
            OneCycle(0.1, momentum=bad)
    with pytest.raises(ValueError, match="max_lr must be"):
        OneCycle(-0.1)


def test_cyclic_follows_the_paper():
    spy = applied(CyclicLR(0.01, 0.1, step_size_epochs=0.5, mode="triangular2"), epochs=2)
    t = np.arange(12)
    cycle = np.floor(1 + t / 6)
    height = np.maximum(0, 1 - np.abs(t / 3 - 2 * cycle + 1)) / 2 ** (cycle - 1)
    np.testing.assert_allclose(spy.rates, 0.01 + 0.09 * height, rtol=1e-5)
    steps = applied(CyclicLR(0.01, 0.1, step_size_steps=3, mode="triangular2"), epochs=2)
    assert steps.rates == spy.rates


@pytest.mark.parametrize(
    "arguments",
    [{"mode": "square"}, {"step_size_steps": 0}, {"step_size_epochs": -1.0}, {"gamma": 2.0}],
)
def test_cyclic_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"^CyclicLR: {next(iter(arguments))} must be"):
        CyclicLR(0.0, 0.1, **arguments)
    with pytest.raises(ValueError, match="Pass one of the two"):
        CyclicLR(0.0, 0.1, step_size_steps=2, step_size_epochs=1)


def test_two_of_them_in_one_fit_are_refused():
    model = network(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="only one callback of a fit"):
        fit(model, (X, Y), CosineWarmRestarts(0.1), CyclicLR(0.0, 0.1, step_size_epochs=1))
    in_graph = network(keras.optimizers.SGD(schedules.Constant(0.1)))
    with pytest.raises(ValueError, match="already has a schedule"):
        fit(in_graph, (X, Y), CosineWarmRestarts(0.1))
    assert np.isfinite(fit(model, (X, Y), LRScheduler(lambda step: 0.1), epochs=1)["loss"][0])


@inside_a_cycle
def test_the_hook_may_evaluate_a_model_of_its_closure_in_mid_epoch():
    weights = []
    for looks in (False, True):
        model, seen = network(keras.optimizers.SGD(0.1)), []

        def look(cycle, logs, model=model, seen=seen):
            seen.append(model.evaluate(X, Y, verbose=0))

        callback = CosineWarmRestarts(
            0.1, first_cycle_steps=4, cycle_mult=1, on_cycle_end=look if looks else None
        )
        fit(model, (X, Y), callback, epochs=2)
        weights.append(model.get_weights())
    assert len(seen) == 3
    assert seen[-1] == model.evaluate(X, Y, verbose=0)  # after the last step
    for left, right in zip(*weights, strict=True):
        np.testing.assert_array_equal(left, right)
