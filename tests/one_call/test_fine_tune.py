"""`fine_tune`: the head alone, then all layers, within the epochs asked for."""

import json

import keras
import numpy as np
import pytest
from one_call.support import VALIDATION, X, Y, light
from support.tiny import JIT, identical

from keras_lr import FineTuneResult, by_layer, fine_tune, fit, layer_decay

GIVEN = {"batch_size": 8, "verbose": 0, "tune": 0.01}


def test_a_notebook_shows_both_stages_and_the_factors():
    fitted = fit(light("adam"), X, Y, steps=10, tune=0.05, verbose=0)
    shown = FineTuneResult(head=None, whole=fitted, factors={"body": 0.25})._repr_html_()
    assert "head" not in shown.partition("<img")[0]
    both = FineTuneResult(head=fitted, whole=fitted, factors={"body": 0.25})._repr_html_()
    for row in ("head, peak", "whole, peak", "factor of body", "0.25"):
        assert row in both.partition("<img")[0]


def pretrained(optimizer="adam"):
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Dense(6, activation="relu", name="low"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(4, activation="relu", name="high"),
    ]
    backbone = keras.Sequential([keras.Input((8,)), *layers], name="backbone")
    head = keras.layers.Dense(1, name="head")
    model = keras.Sequential([keras.Input((8,)), backbone, head])
    model.compile(optimizer, "mse", metrics=["mae"], jit_compile=JIT)
    return model


def values(model):
    return [np.array(keras.ops.convert_to_numpy(each)) for each in model.weights]


class Epochs(keras.callbacks.Callback):
    """Notes all weights at the end of each epoch of both stages."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(values(self.model))


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_head_trains_first_and_then_everything(name):
    model, epochs = pretrained(name), Epochs()
    before = values(model)
    result = fine_tune(
        model, X, Y, epochs=3, freeze_epochs=2, callbacks=[epochs], averages=(), **GIVEN
    )
    head, below = slice(len(before) - 2, None), slice(0, len(before) - 2)
    for seen in epochs.seen[:2]:
        assert identical(before[below], seen[below])  # the statistics of BatchNorm included
        assert not identical(before[head], seen[head])
    assert not any(identical([a], [b]) for a, b in zip(before, epochs.seen[2], strict=True))
    assert (result.head.training_steps, result.whole.training_steps) == (16, 8)
    assert result.total_steps == 24
    assert model.optimizer.factors == result.factors
    np.testing.assert_allclose(list(result.factors.values()), [0.01, 0.1, 1.0], rtol=1e-6)
    assert len(model.trainable_variables) == 8


def test_the_first_stage_is_fit_with_a_frozen_backbone():
    model, twin = pretrained("sgd"), pretrained("sgd")
    keras.utils.set_random_seed(0)
    first = fine_tune(model, X, Y, epochs=2, validation_data=VALIDATION, **GIVEN).head
    twin.get_layer("backbone").trainable = False
    twin.compile("sgd", "mse", metrics=["mae"], jit_compile=JIT)
    keras.utils.set_random_seed(0)
    second = fit(twin, X, Y, epochs=1, validation_data=VALIDATION, **GIVEN)
    for name, losses in second.history.history.items():
        np.testing.assert_allclose(first.history.history[name], losses, rtol=1e-5)


def test_each_stage_finds_a_peak_within_the_budget():
    model = pretrained()
    result = fine_tune(model, X, Y, epochs=120, freeze_epochs=60, batch_size=8, verbose=0)
    assert result.total_steps == 120 * 8
    assert result.head.peak_source in ("trials", "default")
    assert result.peak == result.whole.peak


def test_without_frozen_epochs_there_is_one_stage():
    result = fine_tune(pretrained(), X, Y, epochs=1, freeze_epochs=0, **GIVEN)
    assert result.head is None
    assert result.total_steps == 8


def test_layers_that_were_frozen_stay_so():
    model = pretrained()
    model.get_layer("backbone").get_layer("low").trainable = False
    before = values(model)
    fine_tune(model, X, Y, epochs=2, averages=(), **GIVEN)
    after = values(model)
    assert identical(before[:2], after[:2])
    assert len(model.trainable_variables) == 6


@pytest.mark.parametrize("head", ["head", ["high", "head"]])
def test_head_and_factors_can_be_given(head):
    model = pretrained()
    result = fine_tune(
        model, X, Y, epochs=2, head=head, factors=layer_decay(model, 0.5), averages=(), **GIVEN
    )
    np.testing.assert_allclose(list(result.factors.values()), [0.25, 0.5, 1.0])


def test_an_optimizer_with_groups_keeps_them():
    model = pretrained()
    model.compile(by_layer("adam", model, {"backbone": 0.5}), "mse", jit_compile=JIT)
    result = fine_tune(model, X, Y, epochs=2, averages=(), **GIVEN)
    assert result.factors == {"backbone": 0.5, "rest": 1.0}
    with pytest.raises(ValueError, match="groups with factors already"):
        fine_tune(model, X, Y, epochs=2, factors={"head": 1.0}, **GIVEN)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"epochs": 1}, ValueError, "must leave epochs"),
        ({"epochs": 2.5}, TypeError, "integer"),
        ({"epochs": 3, "freeze_epochs": -1}, ValueError, "at least 0"),
        ({"epochs": 3, "lowest": 0.0}, ValueError, "above 0"),
        ({"epochs": 3, "head": "hat"}, ValueError, "must match"),
        ({"epochs": 3, "head": ["backbone", "head"]}, ValueError, "layers below the head"),
        ({"epochs": 3, "factors": {"hat": 1.0}}, ValueError, "must match"),
        ({"epochs": 3, "steps": 10}, ValueError, "not for two stages"),
        ({"epochs": 3, "schedule": "cosine"}, TypeError, "must be a schedule"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_changed(arguments, kind, words):
    model = pretrained(keras.optimizers.Adam())
    before, optimizer = values(model), model.optimizer
    with pytest.raises(kind, match=words):
        fine_tune(model, X, Y, **{**GIVEN, **arguments})
    assert identical(before, values(model))
    assert model.optimizer is optimizer
    assert len(model.trainable_variables) == 8
    model.fit(X, Y, verbose=0)


def test_a_backup_is_refused(tmp_path):
    backup = keras.callbacks.BackupAndRestore(str(tmp_path))
    with pytest.raises(ValueError, match="cannot be resumed"):
        fine_tune(pretrained(), X, Y, epochs=2, callbacks=[backup], **GIVEN)


def test_a_run_that_raises_leaves_the_model_compiled_as_it_was():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stop")

    model = pretrained(keras.optimizers.Adam())
    optimizer = model.optimizer
    with pytest.raises(RuntimeError, match="stop"):
        fine_tune(model, X, Y, epochs=2, callbacks=[Stop()], **GIVEN)
    assert model.optimizer is optimizer
    assert all(layer.trainable for layer in model.layers)
    assert len(model.trainable_variables) == 8
    model.fit(X, Y, verbose=0)


def test_its_result_is_written_down_and_drawn():
    result = fine_tune(pretrained(), X, Y, epochs=3, **{**GIVEN, "tune": False})
    again = FineTuneResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    frame = again.to_dataframe()
    assert frame["training_steps"].sum() == result.total_steps
    assert frame.index.tolist() == ["head", "whole"]
    assert [ax.get_ylabel() for ax in result.plot()] == ["Learning rate", "Loss"]


def test_what_was_compiled_meanwhile_stays_when_a_run_raises():
    class Recompile(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.compile("rmsprop", "mae", jit_compile=JIT)
            raise RuntimeError("stop")

    model = pretrained()
    with pytest.raises(RuntimeError, match="stop"):
        fine_tune(model, X, Y, epochs=3, callbacks=[Recompile()], **GIVEN)
    assert type(model.optimizer).__name__ == "RMSprop"
    assert model.loss == "mae"
    model.fit(X, Y, verbose=0)


def population_statistics(model, batch_size):
    """Return the mean over batches of what the only BatchNorm layer sees."""
    backbone = model.get_layer("backbone")
    low = np.array(keras.ops.convert_to_numpy(backbone.get_layer("low")(X)))
    batches = np.split(low, range(batch_size, len(low), batch_size))
    shares = [len(batch) / len(low) for batch in batches]
    means = np.average([batch.mean(0) for batch in batches], axis=0, weights=shares)
    return means, np.average([batch.var(0) for batch in batches], axis=0, weights=shares)


@pytest.mark.parametrize("validated", [False, True])
def test_statistics_of_batch_norm_are_those_of_the_weights_it_leaves(validated):
    model, user = pretrained(), Epochs()
    given = {"validation_data": VALIDATION} if validated else {}
    fine_tune(model, X, Y, epochs=3, callbacks=user, shuffle=False, **GIVEN, **given)
    norm = model.get_layer("backbone").get_layer("norm")
    means, variances = population_statistics(model, GIVEN["batch_size"])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(norm.moving_mean), means, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(norm.moving_variance), variances, rtol=1e-4, atol=1e-6
    )
    assert len(user.seen) == 3


def test_data_that_can_be_read_once_leaves_them_as_they_are():
    def batches():
        for start in range(0, 10**6, 8):
            rows = np.arange(start, start + 8) % len(X)
            yield X[rows], Y[rows]

    model, epochs = pretrained(), Epochs()
    arguments = {"epochs": 2, "steps_per_epoch": 4, "shuffle": False, "tune": 0.01, "verbose": 0}
    fine_tune(model, batches(), callbacks=[epochs], averages=(), **arguments)
    assert identical(epochs.seen[-1], values(model))
