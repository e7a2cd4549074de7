import json
import math
import subprocess
import sys
import textwrap
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_lr.callbacks.plateau.controller import PlateauController
from keras_lr.callbacks.plateau.state import PlateauState

ROOT = Path(__file__).parents[3]
ORACLES = json.loads((ROOT / "tests" / "oracles" / "plateau.json").read_text())
LENGTH = 40

# Dyadic numbers: every sum and product below is exact in float32, so a tie is a tie everywhere.
dyadic = st.integers(-600, 600).map(lambda n: n / 256)
thresholds = st.sampled_from([0.0, 2**-8, 2**-6, 2**-4, 0.5])
single = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
awkward = st.sampled_from([math.nan, math.inf, -math.inf])
shared = {
    "factor": st.sampled_from([0.1, 0.5, 0.75, 0.3]),
    "patience": st.integers(0, 5),
    "mode": st.sampled_from(["min", "max"]),
    "cooldown": st.integers(0, 4),
}


def run(controller, metrics, learning_rate=0.1):
    """Return the learning rate after each metric, and the actions taken."""
    state, rates, actions = controller.start(learning_rate), [], []
    for metric in metrics:
        state, decision = controller.update(state, metric)
        rates.append(state.rates[0])
        actions.append(decision.action)
    return rates, actions


class Optimizer:
    """All that Keras' callback asks of an optimizer: a learning rate kept in float32."""

    def __init__(self, rate):
        self.learning_rate = rate

    def __setattr__(self, name, value):
        object.__setattr__(self, name, np.float32(value))


def keras_trace(metrics, learning_rate, **arguments):
    callback = keras.callbacks.ReduceLROnPlateau("val_loss", **arguments)
    callback.set_model(SimpleNamespace(optimizer=Optimizer(learning_rate)))
    callback.on_train_begin()
    rates = []
    for epoch, metric in enumerate(metrics):
        callback.on_epoch_end(epoch, {"val_loss": metric})
        rates.append(float(callback.model.optimizer.learning_rate))
    return rates


def float32_trace(controller, metrics, learning_rate):
    """Run the controller as a training loop does: the rate makes a trip through float32."""
    state, rates = controller.start(float(np.float32(learning_rate))), []
    for metric in metrics:
        state, _ = controller.update(state, metric)
        state = state.moved([float(np.float32(rate)) for rate in state.rates])
        rates.append(state.rates[0])
    return rates


@pytest.mark.needs("callbacks.ReduceLROnPlateau._is_improvement")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    metrics=st.one_of(
        st.lists(dyadic, max_size=LENGTH),
        st.lists(single, max_size=LENGTH),
        st.lists(st.one_of(dyadic, awkward), max_size=LENGTH),
    ),
    arguments=st.fixed_dictionaries(
        {**shared, "min_delta": st.floats(0.0, 1.0), "min_lr": st.sampled_from([0.0, 1e-3, 0.1])}
    ),
    learning_rate=st.sampled_from([0.1, 1e-3, 2e-5, 3.0]),
)
def test_gives_keras_learning_rates_bit_for_bit(metrics, arguments, learning_rate):
    expected = keras_trace(metrics, learning_rate, **arguments)
    assert float32_trace(PlateauController(**arguments), metrics, learning_rate) == expected


@settings(max_examples=300, deadline=None)
@given(
    metrics=st.lists(st.integers(1, 600).map(lambda n: n / 256), max_size=LENGTH),
    arguments=st.fixed_dictionaries(
        {
            **shared,
            "threshold": thresholds,
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "min_lr": st.sampled_from([0.0, 1e-3, 0.1]),
            "eps": st.sampled_from([1e-8, 1e-3]),
        }
    ),
)
def test_gives_torch_learning_rates_live(metrics, arguments):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
    expected = []
    for metric in metrics:
        scheduler.step(metric)
        expected.append(optimizer.param_groups[0]["lr"])
    assert run(PlateauController(**from_torch(arguments)), metrics)[0] == expected


def from_torch(arguments):
    """Translate torch's arguments: it waits for one evaluation more, both times."""
    names = {"threshold": "min_delta"}
    translated = {names.get(name, name): value for name, value in arguments.items()}
    return translated | {
        "patience": arguments["patience"] + 1,
        "cooldown": arguments["cooldown"] + 1,
    }


def from_timm(arguments):
    return from_torch(
        {
            "factor": arguments["decay_rate"],
            "patience": arguments["patience_t"],
            "threshold": arguments["threshold"],
            "threshold_mode": "rel",
            "cooldown": arguments["cooldown_t"],
            "min_lr": arguments["lr_min"],
            "mode": arguments["mode"],
            "eps": 1e-8,
        }
    ) | {"start_after": arguments["warmup_t"] + 1}


def from_greedy(arguments):
    restart = arguments["reset_start"] == 2
    return {
        "mode": arguments["mode"],
        "factor": arguments["factor"],
        "increase_factor": 1 / arguments["factor"],
        "patience": arguments["patience"] + 1,
        "min_delta": arguments["threshold"],
        "threshold_mode": arguments["threshold_mode"],
        "min_lr": arguments["min_lr"],
        "max_lr": arguments["max_lr"],
        "eps": 1e-8,
        "smoothing": arguments["window_size"] if arguments["smooth"] else None,
        "window_average": "mean",
        "restart": restart,
        "restart_decay": 1.0,
    }


def from_optax(arguments):
    relative = arguments["rtol"] > 0
    return {
        "factor": arguments["factor"],
        "patience": arguments["patience"],
        "min_delta": arguments["rtol"] if relative else arguments["atol"],
        "threshold_mode": "rel" if relative else "abs",
        "cooldown": arguments["cooldown"] + 1,
        "min_scale": arguments["min_scale"],
    }


def recorded(peer):
    """Yield each recorded case: the peer's arguments, the metrics, the rates after each."""
    for case in ORACLES[peer]["cases"]:
        rates = np.full(len(case["metrics"]), np.nan)
        for index, rate in case["rates"]:
            rates[index:] = rate
        yield case["arguments"], [metric / 256 for metric in case["metrics"]], rates


@pytest.mark.parametrize(
    ("peer", "translate"),
    [("torch", from_torch), ("timm", from_timm), ("transformers", from_greedy)],
)
def test_gives_the_recorded_learning_rates_of(peer, translate):
    reductions = 0
    for arguments, metrics, expected in recorded(peer):
        rates, actions = run(PlateauController(**translate(arguments)), metrics)
        np.testing.assert_allclose(rates, expected, rtol=1e-12, err_msg=str(arguments))
        reductions += actions.count("reduce")
    assert reductions > 200, "the recorded cases hardly ever reduce"


def test_gives_the_recorded_scales_of_optax():
    for arguments, metrics, expected in recorded("optax"):
        block = arguments["accumulation_size"]
        means = np.reshape(metrics, (-1, block)).mean(axis=1)
        scales, _ = run(PlateauController(**from_optax(arguments)), means, learning_rate=1.0)
        # optax multiplies in float32: one rounding per reduction
        expected = expected[block - 1 :: block]
        np.testing.assert_allclose(scales, expected, rtol=LENGTH * 2**-24, atol=1e-37)


@given(metrics=st.lists(dyadic, max_size=LENGTH), min_delta=thresholds)
def test_relative_thresholds_do_not_depend_on_the_sign(metrics, min_delta):
    falling = PlateauController(patience=2, min_delta=min_delta, threshold_mode="rel")
    rising = PlateauController(patience=2, min_delta=min_delta, threshold_mode="rel", mode="max")
    assert run(falling, metrics) == run(rising, [-metric for metric in metrics])


EVERYTHING = {
    "factor": (0.5, 0.25),
    "patience": 2,
    "cooldown": 1,
    "max_reductions": 2,
    "increase_factor": 2.0,
    "max_lr": 0.4,
    "restart": True,
    "max_rescues": 3,
}


@given(
    metrics=st.lists(st.one_of(dyadic, awkward), max_size=LENGTH),
    smoothing=st.sampled_from([None, 0.9, 3]),
    killed=st.integers(0, LENGTH),
)
def test_a_state_sent_through_json_goes_on_without_a_seam(metrics, smoothing, killed):
    controller = PlateauController(**EVERYTHING, smoothing=smoothing)
    whole = split = controller.start(0.1)
    for index, metric in enumerate(metrics):
        if index == killed:
            split = PlateauState.from_dict(json.loads(json.dumps(split.to_dict())))
        whole, expected = controller.update(whole, metric)
        split, decision = controller.update(split, metric)
        assert split == whole
        assert repr(decision) == repr(expected)  # by repr: NaN differs from itself


@given(
    metrics=st.lists(st.one_of(single, awkward), max_size=LENGTH),
    smoothing=st.sampled_from([None, 0.5, 2]),
    rates=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=3),
)
def test_rates_stay_finite_and_between_their_bounds(metrics, smoothing, rates):
    controller = PlateauController(**EVERYTHING, smoothing=smoothing, min_scale=0.01)
    state = controller.start(rates)
    for metric in metrics:
        state, decision = controller.update(state, metric)
        for rate, start in zip(state.rates, rates, strict=True):
            assert 0.01 * start <= rate <= max(0.4, start)
        assert (decision.before != decision.after) <= (decision.action != "keep")


def test_a_list_of_factors_is_used_in_turn_and_its_last_again():
    rates, _ = run(PlateauController(factor=[0.5, 0.1], patience=1), [1.0] * 4, learning_rate=1.0)
    np.testing.assert_allclose(rates, [1.0, 0.5, 0.05, 0.005])


def test_reductions_end_and_then_training_stops():
    controller = PlateauController(factor=0.5, patience=2, max_reductions=1, stop_after=3)
    rates, actions = run(controller, [1.0] * 6, learning_rate=1.0)
    assert actions == ["keep", "keep", "reduce", "keep", "keep", "stop"]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]


def test_a_relative_floor_lets_a_small_rate_fall():
    rates, _ = run(PlateauController(patience=1, min_scale=0.05), [1.0] * 4, learning_rate=2e-5)
    np.testing.assert_allclose(rates, [2e-5, 2e-6, 1e-6, 1e-6])


def test_each_rate_has_its_own_floor():
    controller = PlateauController(patience=1, min_lr=0.05)
    state = controller.start([1.0, 0.1])
    for metric in [1.0, 1.0, 1.0]:
        state, _ = controller.update(state, metric)
    assert state.rates == (0.05, 0.05)


def test_restarts_jump_to_a_decayed_peak_and_judge_afresh():
    controller = PlateauController(
        factor=0.1, patience=1, max_reductions=1, restart=True, restart_decay=0.5
    )
    rates, actions = run(controller, [1.0] * 7, learning_rate=1.0)
    assert actions == ["keep", "reduce", "restart", "keep", "reduce", "restart", "keep"]
    np.testing.assert_allclose(rates, [1.0, 0.1, 0.5, 0.5, 0.05, 0.25, 0.25])


def test_a_restart_never_lowers_the_rate():
    controller = PlateauController(
        factor=0.9, patience=1, max_reductions=1, restart=True, restart_decay=0.1
    )
    rates, _ = run(controller, [1.0] * 3, learning_rate=1.0)
    assert rates == [1.0, 0.9, 0.9]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_metric_is_rescued_so_often_and_then_stops(bad):
    controller = PlateauController(factor=0.5, max_rescues=2)
    rates, actions = run(controller, [1.0, bad, 0.9, bad, bad], learning_rate=1.0)
    assert actions == ["keep", "rescue", "keep", "rescue", "stop"]
    assert rates == [1.0, 0.5, 0.5, 0.25, 0.25]


def test_no_restart_or_increase_goes_back_to_a_rate_that_diverged():
    controller = PlateauController(**EVERYTHING)
    state = controller.start(0.4)
    state, decision = controller.update(state, math.nan)
    assert decision.action == "rescue"
    for metric in [1.0] * 20 + list(np.linspace(1.0, 0.0, 20)):
        state, _ = controller.update(state, metric)
        assert state.rates[0] <= 0.2
    assert state.restarts > 0


@given(window=st.lists(dyadic, min_size=1, max_size=12), size=st.integers(2, 6))
def test_windows_average_the_last_values(window, size):
    tail = np.array(window)[-size:]
    for average, expected in [("median", np.median(tail)), ("mean", tail.mean())]:
        controller = PlateauController(smoothing=size, window_average=average)
        state = controller.start()
        for metric in window:
            state, decision = controller.update(state, metric)
        assert decision.value == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(metrics=st.lists(dyadic, min_size=1, max_size=12), past=st.floats(0.01, 0.99))
def test_the_moving_average_is_corrected_for_bias(metrics, past):
    weights = past ** np.arange(len(metrics))[::-1]
    controller = PlateauController(smoothing=past)
    state = controller.start()
    for metric in metrics:
        state, decision = controller.update(state, metric)
    expected = np.average(metrics, weights=weights)
    assert decision.value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_smoothing_does_not_remember_a_bad_value():
    controller = PlateauController(smoothing=3, max_rescues=1)
    state = controller.start()
    for metric in [1.0, math.nan, 3.0]:
        state, decision = controller.update(state, metric)
    assert decision.value == 2.0


def test_evaluations_at_the_start_are_ignored():
    _, actions = run(PlateauController(patience=1, start_after=2), [0.0, 0.0, 1.0, 1.0])
    assert actions == ["keep", "keep", "keep", "reduce"]


def test_a_decision_says_what_was_judged():
    controller = PlateauController(factor=0.5, patience=1, smoothing=2)
    state, first = controller.update(controller.start(0.5), 1.0)
    state, second = controller.update(state, 2.0)
    assert (first.improved, first.record, first.best) == (True, True, None)
    assert (second.improved, second.record, second.best) == (False, False, 1.0)
    assert (second.metric, second.value) == (2.0, 1.5)
    assert (second.before, second.after) == ((0.5,), (0.25,))
    assert second.reason == "no improvement in 1"


def test_neither_controller_nor_state_can_be_changed():
    controller = PlateauController()
    with pytest.raises(FrozenInstanceError):
        controller.factor = 0.5
    with pytest.raises(FrozenInstanceError):
        controller.start().wait = 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be .* below 1"),
        ({"factor": 0.0}, "factor must be .* above 0"),
        ({"factor": []}, "factor must not be empty"),
        ({"factor": [0.5, 2.0]}, r"Received: factor=2\.0"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"cooldown": -1}, "cooldown must be at least 0"),
        ({"mode": "best"}, "mode must be one of 'min', 'max'"),
        ({"threshold_mode": "percent"}, "threshold_mode must be one of"),
        ({"min_delta": -0.1}, "min_delta must be .* at least 0"),
        ({"min_lr": -1.0}, "min_lr must be .* at least 0"),
        ({"min_scale": 2.0}, "min_scale must be .* at most 1"),
        ({"smoothing": 1.0}, "smoothing must be .* below 1"),
        ({"smoothing": 1}, "smoothing must be at least 2"),
        ({"max_reductions": 0}, "max_reductions must be at least 1"),
        ({"stop_after": 2}, "stop_after needs an end of the reductions"),
        ({"restart": True}, "restart needs an end of the reductions"),
        ({"increase_factor": 2.0}, "increase_factor needs max_lr"),
        ({"increase_factor": 0.5, "max_lr": 1.0}, "increase_factor must be .* above 1"),
        ({"increase_factor": 2.0, "max_lr": 0.1, "min_lr": 0.2}, "max_lr must be .* at least 0.2"),
        ({"max_rescues": -1}, "max_rescues must be at least 0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=rf"PlateauController: .*{message}"):
        PlateauController(**arguments)


@pytest.mark.parametrize(
    "arguments", [{"patience": 2.5}, {"factor": "half"}, {"max_rescues": True}, {"cooldown": None}]
)
def test_refuses_what_is_no_number(arguments):
    with pytest.raises(TypeError, match=r"PlateauController: .* must be a"):
        PlateauController(**arguments)


def test_runs_without_keras():
    script = f"""
        import sys, types
        for package in ("keras_lr", "keras_lr.callbacks", "keras_lr.callbacks.plateau"):
            stub = types.ModuleType(package)
            stub.__path__ = [{str(ROOT)!r} + "/" + package.replace(".", "/")]
            sys.modules[package] = stub
        sys.modules["keras"] = None  # importing it is an error from here on
        from keras_lr.callbacks.plateau.controller import PlateauController
        controller = PlateauController(factor=0.5, patience=1)
        state = controller.start(1.0)
        for loss in [1.0, 1.0]:
            state, _ = controller.update(state, loss)
        print(state.rates)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "(0.5,)\n"
