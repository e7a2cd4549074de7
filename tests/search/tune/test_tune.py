"""Tuning: its trials against a twin model, its arithmetic, its bounds, and no trace left."""

import math

import keras
import numpy as np
import pytest
from support.tiny import JIT, compiled, identical, random_numbers, regression, values

from keras_lr.search.data import TrainingData
from keras_lr.search.tune.climb import ProbeClimb, Trial, horizon_correction
from keras_lr.search.tune.families import family_of
from keras_lr.search.tune.tune import tune_lr

X, Y = regression(samples=512)


def light(optimizer=None, jit_compile=JIT):
    """Return a model that compiles quickly, without randomness in training."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(optimizer or keras.optimizers.Adam(), "mse", jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)
    return model


def arrays(batch):
    return [keras.ops.convert_to_numpy(part) for part in batch]


def test_each_trial_is_what_a_fresh_model_would_do():
    result = tune_lr(light(jit_compile="auto"), X, Y, epochs=100, max_cost=80, verbose=0)
    data = TrainingData("test", X, Y)
    probe_x, probe_y = map(np.concatenate, zip(*map(arrays, data.probe()), strict=True))
    assert len(probe_x) == 256
    assert result.trial_steps == 20
    assert result.untrained == pytest.approx(light().evaluate(probe_x, probe_y, verbose=0))
    for trial in result.trials:
        twin = light()
        twin.optimizer.learning_rate = 10**trial.x
        for batch in data.batches(20, 0):
            twin.train_on_batch(batch[0], batch[1])
        assert trial.score == pytest.approx(twin.evaluate(probe_x, probe_y, verbose=0), rel=1e-4)


def test_the_choice_is_the_climb_s_vertex_corrected_for_the_run():
    result = tune_lr(light(), X, Y, epochs=100, verbose=0)
    climb = ProbeClimb(math.log10(0.001) + 0.6, result.untrained)
    for trial in result.trials:
        assert climb.ask() == pytest.approx(trial.x)
        climb = climb.tell(*trial)
    assert climb.ask() is None
    short = 10 ** climb.vertex()
    assert result.short_run_learning_rate == pytest.approx(short)
    expected = horizon_correction(short, 50, 1600, 0.35, epochs=100.0, learned=climb.learned)
    assert result.learning_rate == pytest.approx(expected)
    assert result.cost_steps == 50 * len(result.trials) <= 200
    assert result.cost_share == result.cost_steps / 1600
    assert (result.total_steps, result.beta, result.schedule) == (1600, 0.35, None)


@pytest.mark.parametrize("validation", [{}, {"validation_split": 0.5}])
def test_the_model_is_as_before(validation):
    model, twin = compiled(keras.optimizers.Adam), compiled(keras.optimizers.Adam)
    for each in (model, twin):
        keras.utils.set_random_seed(4)
        each.fit(X, Y, verbose=0)
    before = values(model)
    keras.utils.set_random_seed(5)
    drawn = random_numbers()
    keras.utils.set_random_seed(5)
    tune_lr(model, X, Y, epochs=20, max_cost=60, start="default", verbose=0, **validation)
    assert random_numbers() == drawn
    assert identical(before, values(model))
    keras.utils.set_random_seed(5)
    expected = twin.fit(X, Y, verbose=0).history["loss"]
    keras.utils.set_random_seed(5)
    assert model.fit(X, Y, verbose=0).history["loss"] == expected


def test_a_tuned_learning_rate_beats_one_that_is_far_too_small():
    losses = {}
    for rate in ("small", "tuned"):
        model = light(keras.optimizers.SGD(1e-6))
        y = X.sum(axis=1, keepdims=True)
        if rate == "tuned":
            tune_lr(model, X, y, epochs=20, apply=True, verbose=0)
        losses[rate] = model.fit(X, y, epochs=20, verbose=0).history["loss"][-1]
    assert losses["tuned"] < 0.1 * losses["small"]


def test_apply_sets_the_learning_rate_and_nothing_else_does():
    model = light()
    result = tune_lr(model, X, Y, epochs=20, max_cost=40, verbose=0)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == np.float32(0.001)
    tune_lr(model, X, Y, epochs=20, max_cost=40, apply=True, verbose=0)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(
        result.learning_rate
    )


def test_a_learning_rate_of_zero_can_be_replaced():
    model = light(keras.optimizers.SGD(0.0))
    result = tune_lr(model, X, Y, epochs=20, max_cost=40, apply=True, verbose=0)
    applied = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    assert applied == pytest.approx(result.learning_rate)


def test_the_peak_of_a_schedule_is_found():
    decay = keras.optimizers.schedules.PolynomialDecay(7.0, 320, 0.0)
    options = {"epochs": 20, "max_cost": 40, "verbose": 0}
    constant = tune_lr(light(), X, Y, **options)
    given = tune_lr(light(), X, Y, schedule=decay, **options)
    built_in = tune_lr(light(keras.optimizers.Adam(decay)), X, Y, **options)
    mean_share = np.mean(1 - np.arange(320) / 320)
    expected = constant.learning_rate / mean_share
    assert given.learning_rate == pytest.approx(expected, rel=1e-4)
    assert built_in.learning_rate == pytest.approx(expected, rel=1e-4)
    for result in (given, built_in):
        share = result.learning_rate / 7.0
        np.testing.assert_allclose(result.schedule.values([0, 80]), share * np.array([7.0, 5.25]))


SCHEDULES = {
    "cosine": lambda s: s.Cosine(3.0, 0.0, steps=320),
    "warm-up and linear": lambda s: s.Linear(1e-3, 0.0, steps=304).warmup(16),
    "exponential": lambda s: s.Exponential(5.0, 0.1, steps=320),
    "half a decay": lambda s: s.InverseTime(0.1, decay=1 / 320),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_has_the_constant_rate_for_its_mean(name):
    from keras_lr import schedules

    options = {"epochs": 20, "max_cost": 40, "verbose": 0}
    constant = tune_lr(light(), X, Y, **options)
    found = tune_lr(light(), X, Y, schedule=SCHEDULES[name](schedules), **options)
    assert found.schedule.values(range(320)).mean() == pytest.approx(constant.learning_rate)
    assert found.schedule.values(range(320)).max() == pytest.approx(found.learning_rate)


def test_a_peak_is_ten_times_the_constant_rate_at_most():
    from keras_lr import schedules

    options = {"epochs": 20, "max_cost": 40, "verbose": 0}
    brief = schedules.Exponential(1.0, 1e-12, steps=320)
    constant = tune_lr(light(), X, Y, **options)
    found = tune_lr(light(), X, Y, schedule=brief, **options)
    assert found.learning_rate == pytest.approx(10 * constant.learning_rate)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, 50),
        ({"thorough": True}, 100),
        ({"quick": True}, 50),
        ({"quick": False}, 100),
        ({"thorough": True, "quick": False}, 100),
        ({"thorough": True, "max_cost": 240}, 60),
    ],
)
def test_how_long_a_trial_is(arguments, steps):
    result = tune_lr(light(), X[:64], Y[:64], steps=120, verbose=0, **arguments)
    assert result.trial_steps == steps
    assert result.cost_steps == steps * len(result.trials)


VALIDATION = regression(samples=96, seed=1)


def test_validation_data_counts_as_much_as_the_probe():
    options = {"epochs": 100, "max_cost": 80, "verbose": 0}
    result = tune_lr(light(), X, Y, validation_data=VALIDATION, **options)
    data = TrainingData("test", X, Y)
    probe = tuple(map(np.concatenate, zip(*map(arrays, data.probe()), strict=True)))

    def score(model):
        return (model.evaluate(*probe, verbose=0) + model.evaluate(*VALIDATION, verbose=0)) / 2

    assert result.validated
    assert result.untrained == pytest.approx(score(light()))
    for trial in result.trials:
        twin = light()
        twin.optimizer.learning_rate = 10**trial.x
        for batch in data.batches(20, 0):
            twin.train_on_batch(batch[0], batch[1])
        assert trial.score == pytest.approx(score(twin), rel=1e-4)


def test_a_split_is_the_validation_data_it_says():
    options = {"steps": 200, "max_cost": 40, "verbose": 0}
    split = tune_lr(light(), X, Y, validation_split=0.25, **options)
    given = tune_lr(light(), X[:384], Y[:384], validation_data=(X[384:], Y[384:]), **options)
    assert split == given
    assert split.validated
    assert not tune_lr(light(), X[:384], Y[:384], **options).validated


def test_validation_can_be_all_that_differs():
    options = {"steps": 200, "max_cost": 40, "verbose": 0, "probe": None}
    alone = tune_lr(light(), X, Y, **options)
    both = tune_lr(light(), X, Y, validation_data=VALIDATION, monitor="val_loss", **options)
    for trial, other in zip(alone.trials, both.trials, strict=False):
        assert trial.x == other.x
        twin = light()
        twin.optimizer.learning_rate = 10**trial.x
        for batch in TrainingData("test", X, Y).batches(10, 0):
            twin.train_on_batch(batch[0], batch[1])
        expected = (trial.score + twin.evaluate(*VALIDATION, verbose=0)) / 2
        assert other.score == pytest.approx(expected, rel=1e-4)


def test_the_peak_of_a_short_run_is_the_climb_s():
    result = tune_lr(light(), X, Y, steps=200, max_cost=80, verbose=0)
    climb = ProbeClimb(result.trials[0].x, result.untrained, trials=result.trials)
    assert result.short_run_peak == pytest.approx(10 ** climb.peak())
    assert result.short_run_peak >= result.short_run_learning_rate


def test_a_schedule_that_takes_no_vector_comes_back_to_train_with(tmp_path):
    warm = keras.optimizers.schedules.CosineDecay(0.0, 160, warmup_target=0.1, warmup_steps=20)
    model = light(keras.optimizers.Adam(warm))
    result = tune_lr(model, X, Y, epochs=20, max_cost=40, verbose=0)
    assert result.schedule.values(range(180)).max() == pytest.approx(result.learning_rate)
    model.compile(keras.optimizers.Adam(result.schedule), "mse", jit_compile=JIT)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer._learning_rate == result.schedule


def test_a_schedule_of_the_library_comes_back_scaled():
    from keras_lr import schedules

    shape = schedules.Cosine(1.0, 0.0, steps=320)
    result = tune_lr(light(), X, Y, epochs=20, schedule=shape, max_cost=40, verbose=0)
    assert float(keras.ops.convert_to_numpy(result.schedule(0))) == pytest.approx(
        result.learning_rate
    )


def test_where_the_search_starts():
    options = {"epochs": 20, "max_cost": 40, "verbose": 0}
    assert tune_lr(light(), X, Y, start=0.02, **options).trials[0].x == pytest.approx(
        math.log10(0.02) + 0.6
    )
    options["max_cost"] = 140
    ranged = tune_lr(light(), X, Y, start="range_test", **options)
    assert ranged.cost_steps == 100 + 10 * len(ranged.trials)


def test_the_cost_is_said_beforehand_and_kept(capsys):
    result = tune_lr(light(), X, Y, epochs=100, max_cost=0.05)
    assert "tune_lr: at most 80 training steps, 5% of the run's 1600." in capsys.readouterr().out
    assert result.cost_steps <= 80


OPTIMIZERS = keras.optimizers


@pytest.mark.parametrize(
    ("make", "learning_rate", "beta"),
    [
        (lambda: OPTIMIZERS.SGD(5.0, name="adam"), 0.01, 0.1),
        (lambda: OPTIMIZERS.Adam(5.0), 0.001, 0.35),
        (lambda: OPTIMIZERS.Lion(5.0), 0.001, 0.35),
        (lambda: OPTIMIZERS.RMSprop(5.0), 0.001, 0.35),
        (lambda: OPTIMIZERS.Adagrad(5.0), 0.01, 0.1),
        (lambda: OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.SGD()), 0.01, 0.1),
        (lambda: type("Mine", (OPTIMIZERS.SGD,), {})(), 0.01, 0.1),
    ],
)
def test_an_optimizer_s_family_is_read_from_its_class(make, learning_rate, beta):
    family = family_of(make())
    assert (family.learning_rate, family.beta) == (learning_rate, beta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": None}, "one of steps and epochs must be given"),
        ({"steps": 400}, "one of steps and epochs must be given"),
        ({"epochs": 2}, "at least as long as a trial"),
        ({"max_cost": 39}, "leave 10 steps for each"),
        ({"max_cost": 0.001}, "leave 10 steps for each"),
        ({"max_cost": 120, "start": "range_test"}, "beside the 100 of the range test"),
        ({"max_cost": -1}, "max_cost must be"),
        ({"epochs": 5, "thorough": True}, "pass thorough=False or max_cost"),
        ({"validation_split": 1.5}, "below 1"),
        ({"validation_data": (X, Y * math.nan)}, "untrained model must be finite"),
        ({"start": "best"}, "start must be"),
        ({"start": 0.0}, "start must be"),
        ({"start": 1e30, "max_cost": 40}, "one of the trials must lower the loss"),
        ({"x": iter([(X, Y)]), "y": None}, "a generator gives them only once"),
        ({"y": Y * math.nan}, "untrained model must be finite"),
    ],
)
def test_bad_input_is_refused_and_the_model_left_alone(arguments, message):
    model = light()
    before = values(model)
    with pytest.raises(ValueError, match=message):
        tune_lr(model, **{"x": X, "y": Y, "epochs": 20, "verbose": 0} | arguments)
    assert identical(before, values(model))


def test_a_loss_that_never_moves_is_refused():
    model = light()
    model.compile("sgd", lambda y, z: 0.0 * keras.ops.square(y - z), jit_compile=JIT)
    with pytest.raises(ValueError, match="training must move the loss"):
        tune_lr(model, X, Y, epochs=20, max_cost=40, verbose=0)


def test_apply_is_refused_where_a_schedule_is_built_in():
    model = light(OPTIMIZERS.Adam(OPTIMIZERS.schedules.ExponentialDecay(0.1, 10, 0.9)))
    with pytest.raises(ValueError, match="needs an optimizer with a plain learning rate"):
        tune_lr(model, X, Y, epochs=20, apply=True, verbose=0)


def test_the_result_says_what_was_found():
    result = tune_lr(light(), X, Y, epochs=20, max_cost=40, verbose=0)
    assert isinstance(result.trials[0], Trial)
    assert repr(result).startswith("TuneResult(learning_rate=0.0")
