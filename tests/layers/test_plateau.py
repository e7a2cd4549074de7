"""`ReduceOnPlateauPlus` on some groups of layers, or some optimizers, by their names."""

import keras
import numpy as np
import pytest
from layers.networks import FACTORS, data, network, weights
from support.tiny import JIT, identical

import keras_lr as klr
from keras_lr import schedules

EAGER = {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 1e9}
HALVED = np.array([1.0, 1.0, 0.5, 0.25])  # the first evaluation has nothing to be worse than


def compiled(optimizer=None, factors=FACTORS, make=network):
    model = make()
    optimizer = klr.by_layer(optimizer or keras.optimizers.SGD(0.0625), model, factors)
    model.compile(optimizer, "mse", jit_compile=JIT)
    return model


def fit(model, *callbacks, epochs=4, **arguments):
    given = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(*data(), epochs=epochs, callbacks=list(callbacks), **given).history


def plateau(*names, **arguments):
    return klr.ReduceOnPlateauPlus(**{**EAGER, "optimizers": list(names), **arguments})


def assert_logged(history, name, rates):
    np.testing.assert_allclose(history[f"learning_rate{name}"], rates, rtol=1e-6)


@pytest.mark.parametrize("names", [["body"], ["head", "mid"]])
def test_only_the_groups_it_names_are_reduced(names):
    model = compiled()
    twin = compiled()
    callback = plateau(*names)
    history = fit(model, callback)
    for name, factor in FACTORS.items():
        assert_logged(history, f"/{name}", 0.0625 * factor * (HALVED if name in names else 1.0))
    assert len(callback.events) == 3
    for scale in HALVED:  # by hand
        twin.optimizer.factors = {name: FACTORS[name] * scale for name in names}
        fit(twin, epochs=1)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    left = {name: FACTORS[name] * (0.125 if name in names else 1.0) for name in FACTORS}
    assert model.optimizer.factors == pytest.approx(left)  # as Keras' leaves the learning rate


def test_a_bound_is_one_on_the_rate_of_the_group():
    model = compiled()
    callback = plateau("body", min_lr=0.003)
    history = fit(model, callback, epochs=8)
    assert_logged(history, "/body", [0.0078125, 0.0078125, 0.00390625, *[0.003] * 5])
    assert len(callback.events) == 2  # not again at its bound, for a rounding


def test_under_a_schedule_in_the_graph_nothing_is_compiled_anew():
    traces = []

    class Traced(keras.layers.Dense):
        def call(self, inputs):
            traces.append(len(traces))
            return super().call(inputs)

    def make():
        keras.utils.set_random_seed(0)
        layers = [Traced(4, name="body"), keras.layers.Dense(2, name="head")]
        return keras.Sequential([keras.Input((6,)), *layers])

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            counts.append(len(traces))

    counts, schedule = [], schedules.Linear(0.0625, 0.0, steps=32)
    model = compiled(keras.optimizers.SGD(schedule), {"body": 0.5, "head": 1.0}, make)
    history = fit(model, plateau("body"), Count())
    values = schedule.values(np.arange(3, 16, 4))
    assert_logged(history, "/head", values)
    assert_logged(history, "/body", 0.5 * values * HALVED)
    assert keras.backend.backend() == "torch" or counts[1:] == counts[:-1]


@pytest.mark.parametrize("plateau_first", [True, False])
@pytest.mark.parametrize("by_name", [True, False])
def test_beside_a_driver_it_scales_its_groups(plateau_first, by_name):
    model = compiled()
    fall = schedules.Cosine(0.0625, 0.0, steps=16)
    values = fall.values(np.arange(3, 16, 4))
    given = {"body": fall, "head": schedules.Constant(0.03125)} if by_name else fall
    callbacks = [plateau("body"), klr.LRScheduler(given)]
    history = fit(model, *(callbacks if plateau_first else callbacks[::-1]))
    share = 1.0 if by_name else FACTORS["body"]
    assert_logged(history, "/body", values * HALVED * share)
    assert_logged(history, "/head", [0.03125] * 4 if by_name else values)
    assert_logged(history, "/mid", [0.03125] * 4 if by_name else 0.5 * values)


def two_optimizers():
    model = network()
    slow, quick = keras.optimizers.SGD(0.0625, name="slow"), keras.optimizers.Adam(0.25, name="up")
    by_path = keras.optimizers.OptimizerMap(quick)
    by_path[model.layers[0].kernel.path] = slow
    optimizer = keras.optimizers.MultiOptimizer(by_path)
    model.compile(optimizer, "mse", jit_compile=JIT)
    return model


@pytest.mark.needs("optimizers.MultiOptimizer")
@pytest.mark.parametrize("name", ["slow", "up"])
@pytest.mark.parametrize("driven", ["not", "by name", "one of them"])
def test_optimizers_by_name_beside_a_driver(name, driven):
    rates = {"slow": 0.0625, "up": 0.25}
    schedule = {key: schedules.Constant(rate / 2) for key, rate in rates.items()}
    if driven == "one of them":
        del schedule[name]
    drivers = [] if driven == "not" else [klr.LRScheduler(schedule)]
    history = fit(two_optimizers(), *drivers, plateau(name))
    for key, rate in rates.items():
        own = rate / 2 if drivers and key in schedule else rate
        assert_logged(history, f"_{key}", own * (HALVED if key == name else 1.0))


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_one_schedule_for_all_optimizers_and_a_plateau_on_one():
    model = two_optimizers()
    before = weights(model)[0]
    displaced = weights(two_optimizers())[0]
    assert identical([before], [displaced])
    history = fit(model, klr.LRScheduler(schedules.Constant(0.125)), plateau("up"))
    assert_logged(history, "", 0.125 * np.maximum(HALVED, 0.25))


def test_two_of_them_for_two_groups():
    model = compiled()
    slow = plateau("head", patience=2)
    history = fit(model, plateau("body"), slow)
    assert_logged(history, "/body", 0.0625 * FACTORS["body"] * HALVED)
    assert_logged(history, "/head", 0.0625 * np.array([1.0, 1.0, 1.0, 0.5]))


def test_a_group_that_thaws_keeps_what_the_plateau_has_made_of_the_others(tmp_path):
    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / f"{epoch}.keras")

    model = compiled()
    history = fit(model, klr.Unfreeze({"body": 2}), plateau("head", "body"), Save())
    assert_logged(history, "/head", 0.0625 * HALVED)
    assert_logged(history, "/body", 0.0625 * FACTORS["body"] * np.array([0.0, 0.0, 1.0, 0.5]))
    left = {**FACTORS, "head": 0.125, "body": FACTORS["body"] / 4}
    assert model.optimizer.factors == pytest.approx(left)
    saved = keras.saving.load_model(tmp_path / "1.keras").optimizer.factors
    assert saved == pytest.approx({**FACTORS, "head": 0.5})


def test_it_goes_on_from_its_state():
    whole, parts = compiled(), compiled()
    fit(whole, plateau("body"), epochs=4)
    first = plateau("body")
    fit(parts, first, epochs=2)
    second = plateau("body")
    second.set_state(first.get_state())
    fit(parts, second, initial_epoch=2)
    assert identical(weights(whole), weights(parts))
    assert whole.optimizer.factors == parts.optimizer.factors


def test_under_a_schedule_it_goes_on_from_its_state_and_does_not_reduce_twice():
    schedule = schedules.Constant(0.0625)
    whole, parts = (compiled(keras.optimizers.SGD(schedule)) for _ in range(2))
    fit(whole, plateau("body"), epochs=4)
    first = plateau("body")
    fit(parts, first, epochs=3)
    second = plateau("body")
    second.set_state(first.get_state())
    fit(parts, second, initial_epoch=3)
    assert identical(weights(whole), weights(parts))


def test_a_rescue_keeps_the_cut():
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                broken = self.model.get_weights()
                broken[0][:] = np.nan
                self.model.set_weights(broken)

    model = compiled()
    callback = plateau("body", patience=9, max_rescues=1, restore_optimizer=True)
    fit(model, callback, Break())
    assert [event.action for event in callback.events] == ["rescue"]
    assert model.optimizer.factors == pytest.approx({**FACTORS, "body": FACTORS["body"] / 2})
    assert all(np.isfinite(each).all() for each in weights(model))


def test_a_rescue_does_not_freeze_what_has_thawed():
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.set_weights([each * np.nan for each in self.model.get_weights()])

    model = compiled()
    rescuer = klr.ReduceOnPlateauPlus("loss", max_rescues=1, restore_optimizer=True)
    history = fit(model, klr.Unfreeze({"body": 2}), rescuer, Break())
    assert history["learning_rate/body"][3] > 0


@pytest.mark.parametrize("names", [["hat"], ["body", "hat"], "hat"])
def test_a_name_of_no_group_is_refused_before_training(names):
    model = compiled()
    before = weights(model)
    with pytest.raises(ValueError, match="must be some of the groups 'body', 'mid', 'head'"):
        fit(model, klr.ReduceOnPlateauPlus(**EAGER, optimizers=names))
    assert identical(before, weights(model))


@pytest.mark.parametrize("driven", ["together", "by name", "in the graph", "not"])
def test_it_is_evaluated_every_few_steps(driven):
    fall = schedules.Linear(0.0625, 0.0, steps=16)
    schedule = {"together": fall, "by name": {"body": fall, "head": fall}}.get(driven)
    model = compiled(keras.optimizers.SGD(fall if driven == "in the graph" else 0.0625))
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((logs["learning_rate/body"], logs["learning_rate/head"]))

    drivers = [klr.LRScheduler(schedule)] if schedule else []
    fit(model, *drivers, plateau("body", monitor="batch_loss", frequency=3), Look())
    body, head = np.transpose(seen)
    share = 1.0 if driven == "by name" else FACTORS["body"]
    halvings = np.maximum(np.arange(16) // 3 - 1, 0)
    np.testing.assert_allclose(body / head, share * 0.5**halvings, rtol=1e-5)
