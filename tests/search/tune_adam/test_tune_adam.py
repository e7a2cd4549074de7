"""Tuning lr and decay: every trial against a twin, what is chosen, shared, refused, put back."""

import json
import math
import sys

import keras
import numpy as np
import optuna
import pytest
from support.searches import interrupted_after
from support.tiny import JIT, compiled, identical, random_numbers, regression, values

from keras_lr import optimizers
from keras_lr.search.data import TrainingData
from keras_lr.search.tune_adam.arguments import check_same
from keras_lr.search.tune_adam.choice import choose
from keras_lr.search.tune_adam.tune import tune_adam

X, Y = regression(samples=128)
VALIDATION = regression(samples=64, seed=1)
STEPS = 24
QUICK = {
    "steps": STEPS, "validation_data": VALIDATION, "n_trials": 6, "sampler": "tpe", "verbose": 0,
}  # fmt: skip
LR = (1e-3, 1e-1)


def light(optimizer=None, build=True):
    """Return a model that compiles quickly, without randomness in training."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(optimizer or keras.optimizers.Adam(), "mse", jit_compile=JIT)
    if build:
        model.optimizer.build(model.trainable_variables)
    return model


def twin_loss(trial, optimizer):
    """Return the validation loss of a fresh model trained by `train_on_batch`."""
    twin = light(optimizer)
    for batch in TrainingData("test", X, Y).batches(trial.steps, trial.repeat):
        twin.train_on_batch(batch[0], batch[1])
    return twin.evaluate(*VALIDATION, verbose=0)


@pytest.fixture(scope="module")
def tuned():
    return tune_adam(light(), X, Y, **QUICK, lr=LR)


def test_each_trial_is_what_a_decaying_adam_would_do(tuned):
    assert {trial.state for trial in tuned.trials} == {"complete", "pruned"}
    assert {trial.repeat for trial in tuned.trials} == {0, 1, 2}
    pruned = next(trial for trial in tuned.trials if trial.state == "pruned")
    for trial in (tuned.trials[1], pruned, tuned.trials[-1]):
        expected = twin_loss(trial, optimizers.Adam(lr=trial.lr, decay=trial.decay))
        assert trial.loss == pytest.approx(expected, rel=2e-4)


def test_momentum_and_weight_decay_are_those_of_an_optimizer_made_with_them():
    model = light(keras.optimizers.AdamW())
    result = tune_adam(
        model,
        X,
        Y,
        **QUICK,
        lr=LR,
        weight_decay=True,
        momentum=(0.7, 0.8),
        repeats=1,
        pruner=None,
    )
    for trial in result.trials[:2]:
        settings = {
            "lr": trial.lr,
            "decay": trial.decay,
            "weight_decay": trial.weight_decay,
        }
        expected = twin_loss(trial, optimizers.AdamW(**settings, beta_1=trial.momentum))
        assert trial.loss == pytest.approx(expected, rel=2e-4)
    assert set(result.arguments) == {"lr", "decay", "weight_decay", "beta_1"}
    assert 0.7 <= result.arguments["beta_1"] <= 0.8
    assert optimizers.AdamW(**result.arguments).decay == pytest.approx(result.decay)
    assert (model.optimizer.beta_1, model.optimizer.weight_decay) == (0.9, 0.004)


def test_a_library_s_own_decay_is_not_applied_twice(tuned):
    own = tune_adam(light(optimizers.Adam(lr=0.5, decay=0.1)), X, Y, **QUICK, lr=LR)
    assert [t.loss for t in own.trials] == pytest.approx([t.loss for t in tuned.trials], rel=1e-4)


def test_under_gradient_accumulation_decay_counts_updates():
    model = light(keras.optimizers.Adam(gradient_accumulation_steps=2))
    result = tune_adam(model, X, Y, **QUICK | {"n_trials": 2}, lr=LR, repeats=1, pruner=None)
    trial = result.trials[-1]
    assert trial.steps == STEPS
    assert trial.decay > 0
    twin = light(optimizers.Adam(lr=trial.lr, decay=trial.decay, gradient_accumulation_steps=2))
    for batch in TrainingData("test", X, Y).batches(2 * STEPS, 0):
        twin.train_on_batch(batch[0], batch[1])
    assert trial.loss == pytest.approx(twin.evaluate(*VALIDATION, verbose=0), rel=2e-4)


def test_the_same_call_gives_the_same_trials(tuned):
    again = tune_adam(light(), X, Y, **QUICK, lr=LR)
    assert again == tuned
    other = tune_adam(light(), X, Y, **QUICK, lr=LR, seed=7)
    assert other.trials[1].lr != tuned.trials[1].lr


def test_the_choice_follows_from_the_finalists_repeats(tuned):
    firsts = [t for t in tuned.trials if t.repeat == 0 and t.state == "complete"]
    finalists = sorted(firsts, key=lambda trial: trial.loss)[:3]
    losses = [[t.loss for t in tuned.trials if t.lr == first.lr] for first in finalists]
    assert {len(row) for row in losses} == {3}
    choice = choose([first.lr for first in finalists], losses)
    assert tuned.chosen == finalists[choice.index]
    assert tuned.loss == pytest.approx(np.mean(losses[choice.index]))
    assert tuned.ties == tuple(finalists[index] for index in choice.ties)
    assert tuned.standard_error == choice.standard_error
    assert tuned.within_noise == (len(choice.ties) > 1)


@pytest.mark.parametrize("others", [{}, {"momentum": True, "weight_decay": True}])
def test_the_model_is_as_before(others):
    model, twin = (compiled(keras.optimizers.Adam) for _ in range(2))
    for each in (model, twin):
        keras.utils.set_random_seed(4)
        each.fit(X, Y, verbose=0)
    before = values(model)
    keras.utils.set_random_seed(5)
    drawn = random_numbers()
    keras.utils.set_random_seed(5)
    tune_adam(model, X, Y, **QUICK | {"n_trials": 2}, repeats=2, **others)
    assert random_numbers() == drawn
    assert identical(before, values(model))
    keras.utils.set_random_seed(5)
    expected = twin.fit(X, Y, verbose=0).history["loss"]
    keras.utils.set_random_seed(5)
    assert model.fit(X, Y, verbose=0).history["loss"] == expected


def test_ctrl_c_returns_the_best_so_far(monkeypatch, tuned):
    model = light()
    before = values(model)
    interrupted_after(STEPS + 5, monkeypatch)
    result = tune_adam(model, X, Y, **QUICK, lr=LR)
    assert not result.finished
    assert result.trials == tuned.trials[:1]
    assert (result.lr, result.within_noise) == (tuned.trials[0].lr, None)
    assert "interrupted" in repr(result)
    assert identical(before, values(model))


def test_ctrl_c_before_anything_is_known_is_ctrl_c(monkeypatch):
    model = light()
    before = values(model)
    interrupted_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        tune_adam(model, X, Y, **QUICK, lr=LR)
    assert identical(before, values(model))


def test_a_storage_is_gone_on_with(monkeypatch, tmp_path, capsys):
    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    options = {**QUICK, "n_trials": 3, "repeats": 2, "lr": LR}
    whole = tune_adam(light(), X, Y, **options)
    options["storage"] = storage
    with monkeypatch.context() as patch:
        interrupted_after(STEPS + 5, patch)
        tune_adam(light(), X, Y, **options)
    result = tune_adam(light(), X, Y, **options)
    assert result.finished

    def found(result):
        return sorted((t.lr, t.final_share, t.repeat, t.state, t.loss) for t in result.trials)

    assert found(result) == found(whole)
    again = tune_adam(light(), X, Y, **options | {"verbose": 1})
    assert again == result
    assert "3 trials (3 are done already)" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"begun with other arguments.*Received: seed=1"):
        tune_adam(light(), X, Y, **options, seed=1)


def test_the_scale_is_tune_lr_s_and_its_learning_rate_is_tried_first(capsys):
    result = tune_adam(light(), X, Y, **QUICK | {"verbose": 1, "steps": 40}, repeats=2)
    first = result.trials[0]
    assert first.final_share == 1.0
    assert first.decay == 0.0
    low, high = result.lr_range
    assert (first.lr / low, high / first.lr) == pytest.approx((10**0.75, 10**1.25))
    said = capsys.readouterr().out
    most = 6 * 40 + 3 * 40 + 40
    assert f"tune_adam: at most {most} training steps: 6 trials and 3 repeats of 40, 40 for" in said
    assert result.cost_steps <= most


def test_a_grid_has_every_point_once():
    options = {**QUICK, "n_trials": None, "steps": 6}
    result = tune_adam(
        light(), X, Y, **options | {"sampler": "grid"}, lr=LR, repeats=1, pruner=None
    )
    points = {(t.lr, t.final_share) for t in result.trials}
    assert len(points) == len(result.trials) == 25
    assert result.loss == min(trial.loss for trial in result.trials)
    assert result.within_noise is None


@pytest.mark.parametrize(
    ("pruner", "rungs"),
    [
        (None, set()),
        ("halving", {3}),
        ("hyperband", {1, 3}),
        (optuna.pruners.ThresholdPruner(upper=0.0), set(range(1, 9))),
    ],
)
def test_a_pruner_is_asked_after_so_many_ninths(pruner, rungs):
    options = {**QUICK, "n_trials": 4, "sampler": optuna.samplers.RandomSampler(seed=0)}
    result = tune_adam(light(), X, Y, **options, lr=LR, repeats=1, pruner=pruner)
    for trial in result.study.trials[:3]:  # none is pruned before three have come to their end
        assert trial.state == optuna.trial.TrialState.COMPLETE
        assert set(trial.intermediate_values) == rungs
    last = result.trials[3]
    if isinstance(pruner, optuna.pruners.BasePruner):
        assert (last.state, last.steps) == ("pruned", round(STEPS / 9))


def test_what_diverges_is_said_and_not_chosen():
    model = light(keras.optimizers.SGD(0.01, momentum=0.9))
    result = tune_adam(model, X, 30 * Y, **QUICK, lr=(1e-3, 1e3), repeats=2)
    lost = [trial for trial in result.trials if trial.state == "diverged"]
    assert lost
    assert all(trial.loss == math.inf for trial in lost)
    assert math.isfinite(result.loss)


def test_the_result_as_data(tuned):
    told = json.loads(json.dumps(tuned.to_dict()))
    assert told["lr"] == tuned.lr
    assert told["chosen"] == told["trials"][tuned.chosen.number]
    frame = tuned.to_dataframe()
    assert len(frame) == len(tuned.trials)
    assert frame.loc[tuned.chosen.number, "lr"] == tuned.lr
    assert tuned.cost_steps == frame["steps"].sum()
    assert repr(tuned).startswith(f"AdamTuneResult(lr={tuned.lr:.3g}, decay=")
    assert len(tuned.study.trials) == len(tuned.trials)
    with pytest.raises(AttributeError):
        tuned.lr = 1.0


def test_without_pandas_the_error_says_what_to_install(monkeypatch, tuned):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"AdamTuneResult.to_dataframe: .*pip install pandas"):
        tuned.to_dataframe()


def test_a_study_of_another_version_is_refused_like_one_of_other_arguments():
    study = optuna.create_study(study_name="old")
    check_same(study, {"steps": 3, "cycles": 1})
    with pytest.raises(ValueError, match=r"other arguments.* Received: cycles=None, seed=0\."):
        check_same(study, {"steps": 3, "seed": 0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 2}, "one of steps and epochs must be given"),
        ({"steps": 1}, "must be at least 2"),
        ({"validation_data": None}, "there must be validation data"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"sampler": "grid"}, "a grid has as many trials as points"),
        ({"sampler": "best"}, "sampler must be"),
        ({"pruner": "best"}, "pruner must be"),
        ({"lr": (0.1, 0.01)}, "lr must be a lowest and a highest value"),
        ({"lr": 0.1}, "lr must be a lowest and a highest value"),
        ({"lr": (0, 0.1)}, "lr must be finite and above 0"),
        ({"momentum": (0.5, 1.5)}, "below 1"),
        (
            {"validation_data": (X, Y * math.nan)},
            "one of the runs must come to its end",
        ),
        ({"x": iter([(X, Y)]), "y": None}, "a generator gives them only once"),
    ],
)
def test_bad_input_is_refused_and_the_model_left_alone(arguments, message):
    model = light()
    before = values(model)
    with pytest.raises(ValueError, match=message):
        tune_adam(model, **{"x": X, "y": Y, **QUICK, "lr": LR, **arguments})
    assert identical(before, values(model))


def test_a_schedule_is_refused():
    model = light(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)))
    with pytest.raises(ValueError, match="take the place of a schedule"):
        tune_adam(model, X, Y, **QUICK)


def test_an_optimizer_without_momentum_is_refused():
    with pytest.raises(ValueError, match="momentum"):
        tune_adam(light(keras.optimizers.SGD()), X, Y, **QUICK, lr=LR, momentum=True)
