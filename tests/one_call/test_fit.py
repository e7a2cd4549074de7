"""`fit` against Keras' own with the same callbacks, to the bit; its rates, its budget, its end."""

import keras
import numpy as np
import pytest
from one_call.support import VALIDATION, Weights, X, Y, by_hand, light
from support.drives import displacement
from support.tiny import EXECUTIONS, JIT, compiled, identical, random_numbers, values

from keras_lr import ReduceOnPlateauPlus, fit, schedules

SGD = keras.optimizers.SGD


@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_training_is_keras_own_to_the_bit(checkpoint, short_trials):
    arguments = {"x": X, "y": Y, "batch_size": 8, "validation_data": VALIDATION}
    model, twin = compiled(keras.optimizers.Adam), compiled(keras.optimizers.Adam)
    keras.utils.set_random_seed(5)
    result = fit(model, **arguments, epochs=12, checkpoint=checkpoint, verbose=0)
    drawn = random_numbers()
    keep = "best" if checkpoint else "average"
    epochs = len(result.history.epoch)
    keras.utils.set_random_seed(5)
    history = by_hand(twin, result, keep=keep, epochs=epochs, **arguments)
    assert random_numbers() == drawn
    twin.optimizer.learning_rate = result.peak
    assert identical(values(model), values(twin))
    assert result.history.history == history.history
    assert result.history.epoch == history.epoch


def test_without_validation_the_weights_are_the_last_ones_of_keras_own(short_trials):
    model, twin = light(), light()
    keras.utils.set_random_seed(5)
    result = fit(model, X, Y, batch_size=8, steps=90, verbose=0)
    keras.utils.set_random_seed(5)
    by_hand(twin, result, keep=None, x=X, y=Y, batch_size=8, epochs=len(result.history.epoch))
    twin.optimizer.learning_rate = result.peak
    assert identical(values(model), values(twin))
    assert (result.kept, result.kept_value, result.kept_epoch) == ("last", None, None)


def test_trials_train_with_nothing_of_the_validation_data(short_trials):
    poisoned_x, poisoned_y = X.copy(), Y.copy()
    poisoned_y[48:] = 1e6
    clean = fit(light(), X[:48], Y[:48], batch_size=8, steps=60, verbose=0)
    arguments = {"batch_size": 8, "steps": 60, "validation_split": 0.25, "verbose": 0}
    split = fit(light(), poisoned_x, poisoned_y, **arguments)
    assert split.tuning == clean.tuning


@pytest.mark.parametrize("executed", EXECUTIONS)
@pytest.mark.parametrize("updates", [3, 27])
def test_each_update_has_the_rate_of_the_closed_form(updates, executed):
    model, weights = displacement(SGD(), executed), Weights()
    x = np.ones((80, 1))
    result = fit(model, x, x, steps=updates, batch_size=8, tune=0.5, verbose=0, callbacks=[weights])
    i = np.arange(updates)
    rates = 0.5 * np.minimum(
        1, np.minimum((i + 1) / (0.05 * updates), (updates - i) / (0.3 * updates))
    )
    np.testing.assert_allclose(result.learning_rates, rates, rtol=1e-5)
    assert weights.seen[-1] == pytest.approx(-rates.sum(), rel=1e-5)
    if executed == 1:
        moved = -np.diff([0.0, *weights.seen])
        np.testing.assert_allclose(moved, rates, rtol=1e-3, atol=1e-6)


class Counting(keras.optimizers.Adam):
    """Counts the training steps it is asked to make."""

    made = 0

    def apply(self, *arguments, **named):
        self.made += 1
        return super().apply(*arguments, **named)


@pytest.mark.parametrize("accumulation", [None, 2])
def test_the_budget_is_kept_to_the_update(accumulation, short_trials):
    optimizer = Counting(gradient_accumulation_steps=accumulation)
    model = light(optimizer, run_eagerly=True)
    result = fit(model, X, Y, batch_size=8, steps=70, verbose=0)
    batches = accumulation or 1
    assert result.tuning_steps == 10 * len(result.tuning.trials)
    assert result.tuning_steps + result.training_steps == result.total_steps == 70
    assert optimizer.made == 70 * batches
    assert int(model.optimizer.iterations) == result.training_steps
    assert len(result.learning_rates) == result.training_steps


def test_epochs_are_a_budget_too(short_trials):
    model = light()
    result = fit(model, X, Y, batch_size=10, epochs=9, verbose=0)  # 7 batches in an epoch
    assert result.total_steps == 63
    assert result.tuning_steps + result.training_steps == 63
    last = -(-result.training_steps // 7)
    assert result.history.epoch == list(range(last))
    assert result.epoch_ends == (*range(7, 7 * last, 7), result.training_steps)
    assert all(len(each) == last for each in result.history.history.values())


def test_a_whole_run_of_the_usual_length():
    model = light()
    result = fit(model, X, Y, batch_size=8, steps=450, verbose=0)
    assert result.tuning.trial_steps == 50
    assert result.tuning_steps + result.training_steps == 450
    assert result.peak_source == "trials"
    untrained = light().evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0) < 0.5 * untrained


def test_the_optimizer_is_left_at_the_peak(short_trials):
    optimizer = SGD(0.123, momentum=0.9)
    model = light(optimizer)
    result = fit(model, X, Y, batch_size=8, steps=60, verbose=0)
    assert model.optimizer is optimizer
    assert float(optimizer.learning_rate) == pytest.approx(result.peak)
    assert result.learning_rates[-1] < 0.2 * result.peak
    losses = model.fit(X, Y, verbose=0).history
    assert set(losses) == {"loss"}


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_several_optimizers_keep_their_proportion(short_trials):
    first, second = SGD(0.1), SGD(0.01)
    model = light()
    both = keras.optimizers.MultiOptimizer(
        lambda variable: first if variable.name == "kernel" else second
    )
    model.compile(both, "mse", jit_compile=JIT)
    result = fit(model, X, Y, batch_size=8, steps=60, verbose=0)
    assert float(first.learning_rate) == pytest.approx(result.peak)
    assert float(second.learning_rate) == pytest.approx(result.peak / 10)


def test_tune_false_takes_the_optimizer_s_own_rate():
    result = fit(light(SGD(0.03)), X, Y, steps=20, tune=False, verbose=0)
    assert (result.peak, result.peak_source) == (pytest.approx(0.03), "optimizer")
    assert (result.tuning, result.tuning_steps, result.training_steps) == (None, 0, 20)


def test_where_no_trial_lowers_the_loss_the_default_is_the_peak(short_trials, capsys):
    model = light(SGD(0.3))
    x = X[:32]
    y = model.predict(x, verbose=0)  # which it knows already
    result = fit(model, x, y, steps=60, batch_size=8)
    assert (result.peak, result.peak_source) == (0.01, "default")
    assert result.tuning_steps + result.training_steps == 60
    assert "peak 0.01, the default, as no trial lowered the loss" in capsys.readouterr().out


def test_a_schedule_in_the_optimizer_is_set_aside_and_comes_back(short_trials, tmp_path):
    own = schedules.Linear(5.0, 0.0, steps=7)
    model, twin = light(SGD(own)), light(SGD(1.0))
    keras.utils.set_random_seed(5)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "epoch.keras")
    arguments = {"batch_size": 8, "steps": 60, "verbose": 0}
    result = fit(model, X, Y, callbacks=[checkpoint], **arguments)
    keras.utils.set_random_seed(5)
    expected = fit(twin, X, Y, tune=result.peak, **{**arguments, "steps": result.training_steps})
    np.testing.assert_allclose(result.learning_rates, expected.learning_rates, rtol=1e-6)
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    saved = keras.models.load_model(tmp_path / "epoch.keras")
    for each in (model, saved):
        assert each.optimizer._learning_rate == own
    assert int(model.optimizer.iterations) == result.training_steps
    again = fit(model, X, Y, tune=0.01, **arguments)
    assert again.learning_rates[10] == pytest.approx(0.01)


def test_a_fit_from_a_later_epoch_has_the_rest_of_the_epochs():
    result = fit(light(), X, Y, batch_size=8, epochs=8, initial_epoch=5, tune=0.01, verbose=0)
    assert result.total_steps == result.training_steps == 24
    assert result.history.epoch == [5, 6, 7]
    assert result.learning_rates[0] == pytest.approx(0.01 / 1.2)
    assert result.learning_rates[-1] == pytest.approx(0.01 / 7.2)


def test_a_plateau_reduces_what_the_shape_gives():
    plateau = ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=10.0)
    arguments = {"batch_size": 8, "steps": 40, "verbose": 0}
    result = fit(light(), X, Y, tune=0.01, callbacks=[plateau], **arguments)
    assert result.learning_rates[20] < 0.6 * 0.01


def test_early_stopping_ends_the_training():
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=10.0)
    result = fit(light(), X, Y, batch_size=8, steps=40, tune=0.01, callbacks=stop, verbose=0)
    assert result.training_steps == 16
    assert not result.interrupted


def test_loss_scaling_and_steps_of_the_user_s_own(short_trials):
    class Own(keras.Sequential):
        def compute_loss(self, *arguments, **named):
            return 2.0 * super().compute_loss(*arguments, **named)

    model = Own([keras.Input((8,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.LossScaleOptimizer(SGD())
    model.compile(optimizer, "mse", jit_compile=JIT)
    result = fit(model, X, Y, batch_size=8, steps=60, validation_data=VALIDATION, verbose=0)
    assert result.tuning_steps + result.training_steps == 60
    assert float(optimizer.inner_optimizer.learning_rate) == pytest.approx(result.peak)


def test_the_cost_is_said_first(short_trials, capsys):
    fit(light(), X, Y, batch_size=8, steps=60, verbose=2)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fit: ")]
    assert said[0] == (
        "fit: of 60 updates at most 40 (4 trials of 10) look for the learning rate; the others "
        "train."
    )
    assert "updates of training." in said[1]
    fit(light(), X, Y, batch_size=8, steps=60, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_short_run_has_no_trials():
    result = fit(light(SGD(0.5)), X, Y, batch_size=8, steps=12, verbose=0)
    assert (result.peak, result.peak_source, result.training_steps) == (0.02, "short", 12)


@pytest.mark.parametrize("built_in", [False, True])
def test_a_function_of_the_update_needs_no_tensors(built_in):
    optimizer = SGD(schedules.Constant(0.5) if built_in else 0.5)

    def halved(step):
        return 1.0 if step < 10 else 0.5

    arguments = {"steps": 20, "tune": 0.2, "batch_size": 8, "verbose": 0}
    result = fit(light(optimizer), X, Y, schedule=halved, **arguments)
    np.testing.assert_allclose(result.learning_rates, [0.2] * 10 + [0.1] * 10, rtol=1e-6)
