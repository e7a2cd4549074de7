"""The state of a plateau, kept, damaged and given back."""

import json
import math

import keras
import pytest
from support.plateau import NOISY, Scripted, Watch, fit, make_model, scripted
from support.tiny import identical

from keras_lr import schedules
from keras_lr.callbacks.plateau import ReduceOnPlateauPlus


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


def test_the_state_needs_a_fit():
    with pytest.raises(RuntimeError, match="once a fit has begun"):
        ReduceOnPlateauPlus().get_state()
