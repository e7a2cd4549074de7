"""Sweeps against the loop that users write, and what they leave behind: nothing."""

import contextlib
import itertools
import math

import keras
import numpy as np
import pytest
from support.tiny import JIT, compiled, identical, loss_of_step, random_numbers, regression, values

from keras_lr._engine.trials import Trials
from keras_lr.search.data import TrainingData
from keras_lr.search.progress import Progress
from keras_lr.search.sweep import costs
from keras_lr.search.sweep.sweep import lr_sweep

RATES = [1e-3, 1e-2, 1e-1]
STEPS = 12


def naive_losses(make, rate, x, y, steps=STEPS, seed=0):
    """Train a fresh model as a user would, on the batches that a sweep draws."""
    model = make()
    keras.utils.set_random_seed(7)
    losses = []
    for batch in TrainingData("test", x, y).batches(steps, seed):
        model.optimizer.learning_rate = rate
        losses.append(loss_of_step(model, batch[0], batch[1]))
    return np.array(losses), model


def sgd():
    return keras.optimizers.SGD(0.01, momentum=0.9)


def light(optimizer=sgd):
    """Return a model that compiles quickly."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(optimizer(), "mse", jit_compile=JIT)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize(("optimizer", "jit"), [(keras.optimizers.Adam, JIT), (sgd, "auto")])
def test_every_lane_is_what_a_fresh_model_would_do(optimizer, jit):
    def make():
        return compiled(optimizer, jit_compile=jit, metrics=["mae"])

    x, y = regression()
    held_out = regression(seed=1)
    model = make()
    model.fit(x, y, epochs=0, verbose=0)  # building draws random numbers
    keras.utils.set_random_seed(7)
    result = lr_sweep(model, x, y, RATES, STEPS, validation_data=held_out, verbose=0)
    for lane, rate in enumerate(RATES):
        losses, twin = naive_losses(make, rate, x, y)
        np.testing.assert_allclose(result.losses[lane], losses, rtol=1e-5)
        assert result.final["loss"][lane] == pytest.approx(losses[-3:].mean(), rel=1e-5)
        logs = twin.evaluate(*held_out, verbose=0, return_dict=True)
        assert result.final["val_loss"][lane] == pytest.approx(logs["loss"], rel=1e-4)
        assert result.final["val_mae"][lane] == pytest.approx(logs["mae"], rel=1e-4)
    best = RATES[int(np.argmin(result.final["val_loss"]))]
    assert (result.best_lr, result.measure) == (best, "val_loss")


def test_lanes_trained_at_once_give_the_same(backend):
    x, y = regression()
    options = {"validation_data": regression(seed=1), "verbose": 0}
    model = compiled(metrics=["mae"])
    rates = [*RATES, 1e30]
    if backend != "jax":
        with pytest.raises(ValueError, match="only on JAX"):
            lr_sweep(model, x, y, rates, STEPS, method="lanes", **options)
        return
    before = values(model)
    one, all_at_once = (
        lr_sweep(model, x, y, rates, STEPS, method=method, **options)
        for method in ("sequential", "lanes")
    )
    assert (one.method, all_at_once.method) == ("sequential", "lanes")
    np.testing.assert_allclose(all_at_once.losses[:3], one.losses[:3], rtol=1e-4)
    assert sorted(one.final) == sorted(all_at_once.final) == ["loss", "mae", "val_loss", "val_mae"]
    for name, lanes in one.final.items():
        np.testing.assert_allclose(all_at_once.final[name], lanes, rtol=1e-4)
    assert identical(before, values(model))


def test_auto_measures_and_changes_nothing_but_the_time():
    x, y = regression()
    one, chosen = (
        lr_sweep(light(), x, y, RATES, STEPS, method=method, verbose=0)
        for method in ("sequential", "auto")
    )
    np.testing.assert_allclose(chosen.losses, one.losses, rtol=1e-4)


def test_training_goes_on_as_if_nothing_had_been():
    x, y = regression()
    twin, model = compiled(), compiled()
    keras.utils.set_random_seed(7)
    expected = twin.fit(x, y, epochs=2, verbose=0).history["loss"]
    drawn = random_numbers()
    keras.utils.set_random_seed(7)
    lr_sweep(model, x, y, [*RATES, 1e30], STEPS, validation_data=(x, y), verbose=0)
    assert model.fit(x, y, epochs=2, verbose=0).history["loss"] == expected
    assert random_numbers() == drawn
    assert identical(values(model), values(twin))


@pytest.mark.parametrize("step", [0, 1, STEPS, 2 * STEPS + 1])
def test_an_interrupted_sweep_leaves_the_model_alone(monkeypatch, step):
    model = light()
    x, y = regression()
    model.fit(x, y, verbose=0)
    history = model.history
    before, made = values(model), []
    plain = Trials.step

    def interrupted(self, *arguments):
        if len(made) == step:
            raise KeyboardInterrupt
        made.append(plain(self, *arguments))
        return made[-1]

    monkeypatch.setattr(Trials, "step", interrupted)
    keras.utils.set_random_seed(5)
    known = step > 2 * STEPS  # two learning rates, which can be compared
    with contextlib.nullcontext() if known else pytest.raises(KeyboardInterrupt):
        lr_sweep(model, x, y, RATES, STEPS, method="sequential", verbose=0)
    assert len(made) == step
    assert identical(before, values(model))
    assert model.history is history
    after = random_numbers()
    keras.utils.set_random_seed(5)
    assert random_numbers() == after


def test_a_schedule_is_swept_by_a_factor():
    def decaying(factor):
        schedule = keras.optimizers.schedules.ExponentialDecay(0.01 * factor, 4, 0.5)
        return light(lambda: keras.optimizers.Adam(schedule))

    x, y = regression()
    model = decaying(1.0)
    schedule = model.optimizer._learning_rate
    result = lr_sweep(model, x, y, [0.1, 1.0, 5.0], STEPS, scale=True, verbose=0)
    assert model.optimizer._learning_rate is schedule
    for lane, factor in enumerate((0.1, 1.0, 5.0)):
        twin = decaying(factor)
        batches = TrainingData("test", x, y).batches(STEPS, 0)
        losses = [loss_of_step(twin, b[0], b[1]) for b in batches]
        np.testing.assert_allclose(result.losses[lane], losses, rtol=1e-4)


def test_a_diverged_lane_stops_early_and_is_flagged():
    x, y = regression()
    result = lr_sweep(light(), x, y, [1e-4, 1e-3, 1e20], STEPS, verbose=0)
    assert result.diverged.tolist() == [False, False, True]
    assert result.stopped_at[2] < STEPS
    assert np.isnan(result.losses[2, -1])
    assert result.final["loss"][2] == math.inf
    assert result.cost_steps == 2 * STEPS + result.stopped_at[2]


def test_a_lane_with_a_validation_loss_that_is_nan_diverged_and_is_not_the_best():
    x, y = regression()
    held_out = x[:32], y[:32] * np.nan
    with pytest.raises(ValueError, match="every learning rate diverged"):
        lr_sweep(light(), x, y, RATES, 1, validation_data=held_out, verbose=0)
    # Weights of infinity after the only step: its own loss, of before, is still finite.
    result = lr_sweep(
        light(), x, 1e3 * y, [*RATES, 3e38], 1, validation_data=(x, y), method="sequential",
        verbose=0,
    )  # fmt: skip
    assert result.diverged.tolist() == [False, False, False, True]
    assert result.final["val_loss"][3] == math.inf
    assert np.isfinite(result.final["loss"]).all()
    assert result.best_lr in RATES


def test_steps_are_updates_under_gradient_accumulation():
    x, y = regression()
    model = light(lambda: keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
    result = lr_sweep(model, x, y, RATES, 5, verbose=0)
    assert result.losses.shape == (3, 5)
    assert result.stopped_at.tolist() == [5, 5, 5]
    assert result.cost_steps == 15


def test_repeats_see_other_batches_and_give_medians():
    x, y = regression()
    result = lr_sweep(light(), x, y, RATES, STEPS, repeats=3, verbose=0)
    assert result.repeat_losses.shape == (3, 3, STEPS)
    np.testing.assert_array_equal(result.losses, np.median(result.repeat_losses, axis=0))
    single = lr_sweep(light(), x, y, RATES, STEPS, seed=1, verbose=0)
    np.testing.assert_allclose(result.repeat_losses[1], single.losses, rtol=1e-5)
    assert not np.array_equal(result.repeat_losses[0], result.repeat_losses[1])


def test_epochs_are_counted_by_the_data():
    x, y = regression(samples=100)
    result = lr_sweep(light(), x, y, RATES, epochs=2, batch_size=25, verbose=0)
    assert result.losses.shape[1] == 8


def test_a_dataset_serves_as_well_as_arrays():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return regression(samples=16, seed=index)

    result = lr_sweep(light(), Batches(), learning_rates=RATES, steps=7, verbose=0)
    model = light()
    losses = []
    for x, y in TrainingData("test", Batches()).batches(7, 0):
        model.optimizer.learning_rate = RATES[1]
        losses.append(loss_of_step(model, x, y))
    np.testing.assert_allclose(result.losses[1], losses, rtol=1e-5)


def test_an_unbuilt_model_is_built_as_fit_would():
    x, y = regression()
    result = lr_sweep(compiled(built=False), x, y, RATES, STEPS, verbose=0)
    assert np.isfinite(result.losses).all()


def once(x, y):
    yield x, y


X, Y = regression()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": None}, "one of steps and epochs must be given"),
        ({"epochs": 2}, "one of steps and epochs must be given"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rates": [0.1, 0.01]}, "positive, finite and increasing"),
        ({"learning_rates": [0.1, 0.1]}, "positive, finite and increasing"),
        ({"learning_rates": [0.0, 0.1]}, "positive, finite and increasing"),
        ({"learning_rates": [0.1, math.nan]}, "positive, finite and increasing"),
        ({"learning_rates": []}, "positive, finite and increasing"),
        ({"x": once(X, Y), "y": None}, "a generator gives them only once"),
        ({"x": X[:0], "y": Y[:0]}, "at least one batch"),
        ({"x": None, "y": None}, "at least one batch"),
        ({"learning_rates": [1e20, 1e25]}, "every learning rate diverged"),
        ({"y": Y * math.nan}, "every learning rate diverged"),
        ({"scale": True}, "needs an optimizer built with a schedule"),
        ({"method": "fast"}, "method must be one of"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_bad_input_is_refused_and_the_model_left_alone(arguments, message):
    model = light()
    model.train_on_batch(X, Y)
    before = values(model)
    given = {"x": X, "y": Y, "learning_rates": RATES, "steps": STEPS, "verbose": 0} | arguments
    with pytest.raises(ValueError, match=message):
        lr_sweep(model, **given)
    assert identical(before, values(model))


def test_a_loss_that_never_moves_is_refused():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", lambda y, z: 0.0 * keras.ops.square(y - z), jit_compile=JIT)
    with pytest.raises(ValueError, match="must depend on the learning rate"):
        lr_sweep(model, X, Y, RATES, STEPS, verbose=0)


def test_what_is_no_compiled_model_is_refused():
    with pytest.raises(TypeError, match="must be a Keras model"):
        lr_sweep("model", X, Y, RATES, STEPS)
    with pytest.raises(ValueError, match="must be compiled"):
        lr_sweep(keras.Sequential([keras.layers.Dense(1)]), X, Y, RATES, STEPS)


@pytest.mark.parametrize("units", [8, 10_000])
def test_auto_gives_the_same_whichever_way_it_tries_first(units):
    x = np.random.default_rng(0).normal(size=(64, 4))
    results = []
    for method in ("sequential", "auto"):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(units), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(), "mse", jit_compile=JIT)
        rates = np.geomspace(1e-7, 1e-5, 16)
        results.append(lr_sweep(model, x, x[:, :1], rates, 40, method=method, verbose=0))
    alone, auto = results
    np.testing.assert_allclose(auto.losses, alone.losses, rtol=1e-4)
    assert auto.cost_steps >= alone.cost_steps == 640


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_lanes_keep_the_present_proportions_of_several_optimizers(backend):
    def pair():
        first, second = (
            keras.optimizers.SGD(rate, name=n) for rate, n in ((0.1, "a"), (0.001, "b"))
        )
        named = keras.optimizers.OptimizerMap(first, {"(.*/)?second/.*": second})
        return keras.optimizers.MultiOptimizer(named)

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, name="first"), keras.layers.Dense(1, name="second")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(pair(), "mse", jit_compile=JIT)
    x = np.random.default_rng(0).normal(size=(64, 4))
    methods = ["sequential", "lanes" if backend == "jax" else "auto"]
    for rates in ((0.1, 0.001), (0.1, 0.1)):
        for optimizer, rate in zip(model.optimizer.optimizers, rates, strict=True):
            optimizer.learning_rate = rate
        alone, together = (
            lr_sweep(model, x, x[:, :1], [1e-3, 1e-2, 5e-2], 10, method=method, verbose=0)
            for method in methods
        )
        np.testing.assert_allclose(together.losses, alone.losses, rtol=1e-4)


class Silent(keras.Model):
    """Its training step reports no loss."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, *arguments):
        done = super().train_step(*arguments)
        if isinstance(done, tuple):
            return {"hinge": done[0]["loss"]}, done[1]
        return {"hinge": done["loss"]}


@pytest.mark.parametrize("method", ["auto", "lanes"])
def test_a_step_that_reports_no_loss_is_refused_by_name(method, backend):
    model = Silent()
    model.compile("sgd", "mse", jit_compile=JIT)
    x = np.zeros((64, 4))
    rule = "lr_sweep: the model's train_step must report its loss"
    if method == "lanes" and backend != "jax":
        rule = "lr_sweep: lanes are trained at once only on JAX"
    with pytest.raises(ValueError, match=rule):
        lr_sweep(model, x, x[:, :1], np.geomspace(1e-4, 1e-2, 8), 100, method=method, verbose=0)


def test_steps_made_twice_are_counted_as_cost_and_not_as_progress(monkeypatch):
    ways = itertools.chain(["sequential"], itertools.repeat("lanes"))
    monkeypatch.setattr(costs, "quicker_way", lambda *known: next(ways))
    shown = []
    monkeypatch.setattr(Progress, "update", lambda self, done, **values: shown.append(done))
    x = np.random.default_rng(0).normal(size=(64, 8))
    rates = np.geomspace(1e-6, 1e-4, 16)
    result = lr_sweep(light(), x, x[:, :1], rates, STEPS, verbose=1)
    total = rates.size * STEPS
    assert max(shown) == shown[-1] == total
    again = STEPS if result.method == "lanes" else 0
    assert result.cost_steps == total + again
