"""`SwapScheduleFreeWeights`: the average wherever the model is looked at, training untouched."""

import keras
import numpy as np
import pytest
from support.drives import data, fit, network

from keras_lr import schedules
from keras_lr.callbacks import LRScheduler, OneCycle, SwapScheduleFreeWeights

pytestmark = pytest.mark.needs("optimizers.ScheduleFreeAdamW")
X, Y = data()
LOW = schedules.Constant(0.6)


def schedule_free(**arguments):
    return network(keras.optimizers.ScheduleFreeAdamW(0.05), **arguments)


def average(model):
    """Return x = (y - (1 - beta) z) / beta of a model that holds y."""
    optimizer = model.optimizer
    slots = {variable.path.split("/", 1)[1]: variable for variable in optimizer.variables}
    weights = []
    for variable in model.trainable_variables:
        z = slots[variable.path.replace("/", "_") + "_momentum"]
        y, z = (np.float64(keras.ops.convert_to_numpy(v)) for v in (variable, z))
        weights.append((y - 0.1 * z) / 0.9)
    return weights


def trainable(model):
    return [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]


def assert_same(left, right, **tolerance):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0, "atol": 0}))


def test_fit_leaves_the_average_and_trains_the_same():
    plain, swapped = (schedule_free(slots=False, jit_compile="auto") for _ in range(2))
    first = fit(plain, (X, Y))
    second = fit(swapped, (X, Y), SwapScheduleFreeWeights(), validation_data=(X, Y))
    assert first["loss"] == second["loss"]
    assert_same(trainable(swapped), average(plain), atol=1e-6)
    assert second["val_loss"][-1] == pytest.approx(swapped.evaluate(X, Y, verbose=0), rel=1e-5)
    assert second["val_loss"][-1] != pytest.approx(plain.evaluate(X, Y, verbose=0), rel=1e-5)
    assert not {"evaluate", "save", "get_weights"} & set(vars(swapped))


@pytest.mark.parametrize("first", [True, False])
def test_checkpoints_and_early_stopping_take_the_average(tmp_path, first):
    path = tmp_path / "model.keras"
    model = schedule_free()
    others = [
        keras.callbacks.ModelCheckpoint(path),
        keras.callbacks.EarlyStopping("loss", restore_best_weights=True),
    ]
    swap = SwapScheduleFreeWeights()
    fit(model, (X, Y), *([swap, *others] if first else [*others, swap]))
    loaded = keras.models.load_model(path)
    assert_same(trainable(loaded), trainable(model), atol=1e-6)
    plain = schedule_free()
    fit(plain, (X, Y))
    assert_same(trainable(loaded), average(plain), atol=1e-6)


def test_a_second_fit_and_a_loaded_model_go_on_from_the_training_weights(tmp_path):
    whole = schedule_free()
    fit(whole, (X, Y), SwapScheduleFreeWeights(), epochs=4)
    parts = schedule_free()
    fit(parts, (X, Y), SwapScheduleFreeWeights(), epochs=2)
    parts.save(tmp_path / "parts.keras")
    loaded = keras.models.load_model(tmp_path / "parts.keras")
    for model in (parts, loaded):
        fit(model, (X, Y), SwapScheduleFreeWeights(), initial_epoch=2, epochs=4)
        assert_same(trainable(model), trainable(whole), atol=1e-4)


def test_a_model_trained_without_it_is_told_by_an_argument(tmp_path):
    model, twin = schedule_free(), schedule_free()
    fit(model, (X, Y), epochs=2)
    fit(twin, (X, Y), epochs=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    swap = SwapScheduleFreeWeights(averaged_at_start=False)
    fit(loaded, (X, Y), swap, initial_epoch=2, epochs=3)
    assert_same(trainable(loaded), average(twin), atol=1e-5)


class CrashIn(keras.callbacks.Callback):
    def __init__(self, hook):
        super().__init__()
        setattr(self, hook, self.crash)

    def crash(self, *arguments, **named):
        raise KeyboardInterrupt


@pytest.mark.parametrize("hook", ["on_test_batch_end", "on_train_batch_end", "on_epoch_end"])
def test_an_exception_leaves_the_training_weights(hook):
    model, plain = schedule_free(), schedule_free()
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), SwapScheduleFreeWeights(), CrashIn(hook), validation_data=(X, Y))
    with pytest.raises(KeyboardInterrupt):
        fit(plain, (X, Y), CrashIn(hook), validation_data=(X, Y))
    assert_same(model.get_weights(), plain.get_weights())
    assert "evaluate" not in vars(model)
    again = fit(model, (X, Y), SwapScheduleFreeWeights(), epochs=1)
    assert again["loss"] == fit(plain, (X, Y), epochs=1)["loss"]


def test_backup_and_restore_goes_on(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole, model = schedule_free(), schedule_free()
    fit(whole, (X, Y), SwapScheduleFreeWeights())
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), SwapScheduleFreeWeights(), backup(), Crash())
    for order in (1, -1):
        again = schedule_free()
        callbacks = [SwapScheduleFreeWeights(), backup()][::order]
        callbacks[0 if order == -1 else 1].delete_checkpoint = False
        fit(again, (X, Y), *callbacks)
        assert_same(trainable(again), trainable(whole), atol=1e-4)


def test_refused_where_the_optimizer_has_no_average():
    with pytest.raises(ValueError, match="must be Schedule-Free"):
        fit(network(keras.optimizers.Adam()), (X, Y), SwapScheduleFreeWeights())


def test_a_fit_after_one_that_was_cut_off_averages_once():
    class Raises(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    model = schedule_free()
    fit(model, (X, Y), SwapScheduleFreeWeights())
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), SwapScheduleFreeWeights(), Raises())
    history = fit(model, (X, Y), SwapScheduleFreeWeights(), validation_data=(X, Y))
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)
    assert not {"evaluate", "save", "get_weights"} & set(vars(model))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("driver", [lambda: OneCycle(0.05), lambda: LRScheduler(momentum=LOW)])
def test_the_average_is_that_of_the_beta_that_was_driven(driver, first, tmp_path):
    model = schedule_free()
    path = tmp_path / "model.weights.h5"
    saves = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    whole = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
    both = [SwapScheduleFreeWeights(), driver()]
    callbacks = both if first else both[::-1]
    history = fit(model, (X, Y), *callbacks, saves, whole, validation_data=(X, Y))
    expected = pytest.approx(history["val_loss"][-1], rel=1e-5)
    assert model.evaluate(X, Y, verbose=0) == expected
    assert keras.models.load_model(tmp_path / "model.keras").evaluate(X, Y, verbose=0) == expected
    model.load_weights(path)
    assert model.evaluate(X, Y, verbose=0) == expected


@pytest.mark.parametrize("first", [True, False])
def test_a_second_fit_goes_on_from_weights_made_with_a_driven_beta(first):
    def both():
        pair = [SwapScheduleFreeWeights(), LRScheduler(momentum=LOW)]
        return pair if first else pair[::-1]

    whole, parts = schedule_free(), schedule_free()
    fit(whole, (X, Y), *both(), epochs=4)
    fit(parts, (X, Y), *both(), epochs=2)
    fit(parts, (X, Y), *both(), initial_epoch=2, epochs=4)
    assert_same(trainable(parts), trainable(whole), atol=1e-4)


@pytest.mark.parametrize("driven", [True, False])
def test_a_state_tree_that_is_given_back_changes_nothing(driven):
    class Back(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            tree = self.model.get_state_tree(value_format="numpy_array")
            self.model.set_state_tree(tree)

    others = [LRScheduler(momentum=LOW)] if driven else []
    model, plain = schedule_free(), schedule_free()
    fit(model, (X, Y), SwapScheduleFreeWeights(), Back(), *others)
    fit(plain, (X, Y), SwapScheduleFreeWeights(), *others)
    assert_same(trainable(model), trainable(plain), atol=1e-5)


def test_two_of_them_in_one_fit_are_refused():
    model = schedule_free()
    with pytest.raises(ValueError, match="SwapScheduleFreeWeights: one of them is enough"):
        fit(model, (X, Y), SwapScheduleFreeWeights(), SwapScheduleFreeWeights())
    twin = schedule_free()
    assert fit(model, (X, Y), SwapScheduleFreeWeights()) == fit(twin, (X, Y))


def test_single_batches_are_evaluated_by_the_average():
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.whole = self.model.evaluate(X, Y, batch_size=len(X), verbose=0)
            self.batch = self.model.test_on_batch(X, Y)
            self.predicted = self.model.predict_on_batch(X)

    look, model = Look(), schedule_free()
    fit(model, (X, Y), look, SwapScheduleFreeWeights())
    assert float(look.batch) == pytest.approx(look.whole, rel=1e-5)
    np.testing.assert_allclose(look.predicted, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_moving_averages_are_not_written_over_the_average():
    """Of `use_ema`, which Keras puts into the weights before the callback has its last turn."""
    histories, models = [], []
    for arguments in ({}, {"use_ema": True, "ema_momentum": 0.5}):
        model = network(keras.optimizers.ScheduleFreeAdamW(0.05, **arguments))
        callbacks = [SwapScheduleFreeWeights()]
        histories.append(fit(model, (X, Y), *callbacks, validation_data=(X, Y)))
        models.append(model)
    assert histories[0]["val_loss"] == histories[1]["val_loss"]
    assert_same(*map(trainable, models))
    after = models[1].evaluate(X, Y, verbose=0)
    assert after == pytest.approx(histories[1]["val_loss"][-1], rel=1e-5)
    assert "finalize_variable_values" not in vars(models[1].optimizer)
