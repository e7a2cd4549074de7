"""`WeightAverage` beside its formula in NumPy, seen by whatever evaluates or saves, resumable."""

import math

import keras
import numpy as np
import pytest
from support.drives import data, everything, fit, network

from keras_lr import schedules
from keras_lr.callbacks import (
    LRScheduler,
    ReduceOnPlateauPlus,
    SwapScheduleFreeWeights,
    WeightAverage,
)
from keras_lr.callbacks.weight_average.averaging import averaging_weight

X, Y = data()


class Weights(keras.callbacks.Callback):
    """Notes the training weights after each batch, past everything that shows others."""

    def __init__(self):
        super().__init__()
        self.sets = []

    def on_train_batch_end(self, batch, logs=None):
        self.sets.append(weights(self.model))


def weights(model):
    return [np.array(keras.ops.convert_to_numpy(each.value)) for each in model.weights]


def formula(sets, decay=None, *, every=1, start=0):
    """Return the average of sets of weights as the docstring defines it."""
    average, taken = None, 0
    for update, values in enumerate(sets, 1):
        if update <= start or (update - start) % every:
            continue
        values = [value.astype("float64") for value in values]
        d = taken / (taken + 1) if decay is None else min(decay, (1 + taken) / (10 + taken))
        if average is None:
            average = values
        else:
            average = [d * a + (1 - d) * v for a, v in zip(average, values, strict=True)]
        taken += 1
    return average


def assert_close(left, right, **tolerance):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 1e-5, "atol": 1e-6}))


def sgd(**arguments):
    return network(keras.optimizers.SGD(0.05, momentum=0.9), **arguments)


def averaged(**arguments):
    """Return a callback that leaves BatchNorm as averaged."""
    return WeightAverage(**{"batch_norm": False, **arguments})


@pytest.mark.parametrize(
    ("decay", "arguments"),
    [
        (0.9, {}),
        (0.2, {"every_steps": 2, "start_steps": 3}),
        (None, {}),
        (None, {"start_epochs": 1, "every_steps": 4}),
    ],
)
def test_the_model_has_the_average_of_the_formula(decay, arguments):
    model, plain = sgd(), sgd()
    average, spy = averaged(decay=decay, **arguments), Weights()
    assert fit(model, (X, Y), average, spy) == fit(plain, (X, Y))
    every = arguments.get("every_steps", 1)
    start = arguments.get("start_steps", 6 * arguments.get("start_epochs", 0))
    expected = formula(spy.sets, decay, every=every, start=start)
    assert_close(weights(model), expected)
    assert_close(average.averages[decay], expected)
    assert average.kept == decay
    assert_close(spy.sets[-1], weights(plain), rtol=0, atol=0)
    assert not {"evaluate", "save", "make_train_function"} & set(vars(model))


def test_the_equal_average_at_the_ends_of_epochs_is_swa():
    model, spy = sgd(), Weights()
    fit(model, (X, Y), averaged(decay=None, start_epochs=1, every_epochs=2), spy, epochs=6)
    ends = [spy.sets[6 * epoch - 1] for epoch in (3, 5)]
    assert_close(weights(model), [np.mean(each, axis=0) for each in zip(*ends, strict=True)])


@pytest.mark.parametrize("spe", [1, 4])
def test_several_steps_in_one_execution_are_averaged_one_by_one(spe, backend):
    spe = 1 if backend == "torch" else spe
    one, several = sgd(), sgd(spe=spe)
    for model in (one, several):
        fit(model, (X, Y), averaged(decay=0.9))
    assert_close(weights(several), weights(one))


def test_updates_are_counted_under_accumulation():
    optimizer = keras.optimizers.SGD(0.05, gradient_accumulation_steps=3)
    model, spy = network(optimizer), Weights()
    fit(model, (X, Y), averaged(decay=None), spy, epochs=2)
    trainable = [index for index, each in enumerate(model.weights) if each.trainable]
    expected = formula(spy.sets[2::3])
    assert_close([weights(model)[i] for i in trainable], [expected[i] for i in trainable])


def test_an_update_that_loss_scaling_skips_is_left_out():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.05), initial_scale=2.0**126
    )
    model, spy = network(optimizer), Weights()
    fit(model, (X, Y), averaged(decay=None), spy, epochs=4)
    made = int(optimizer.iterations)
    assert 0 < made < len(spy.sets)
    assert_close(weights(model)[:2], formula(spy.sets[-made:])[:2])


def several_optimizers():
    kernels, others = keras.optimizers.SGD(0.05), keras.optimizers.Adam(0.01)
    return keras.optimizers.MultiOptimizer(
        lambda variable: kernels if variable.name == "kernel" else others
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.01, use_ema=True),
        pytest.param(several_optimizers, marks=pytest.mark.needs("optimizers.MultiOptimizer")),
        lambda: keras.optimizers.SGD(schedules.Cosine(0.1, 0.0, steps=18)),
    ],
)
def test_any_optimizer_and_schedule(optimizer):
    model, spy = network(optimizer()), Weights()
    fit(model, (X, Y), averaged(decay=0.9), spy, validation_data=(X, Y))
    assert_close(weights(model), formula(spy.sets, 0.9))


def test_beside_a_driver_and_a_plateau():
    model, spy = sgd(), Weights()
    driver = LRScheduler(schedules.Cosine(0.1, 0.0, steps=18))
    plateau = ReduceOnPlateauPlus("loss", patience=1, min_delta=10.0)
    history = fit(model, (X, Y), driver, plateau, averaged(decay=0.9), spy)
    assert len(history["learning_rate"]) == 3
    assert_close(weights(model), formula(spy.sets, 0.9))


@pytest.mark.parametrize("first", [True, False])
def test_validation_checkpoints_and_early_stopping_see_the_average(first, tmp_path):
    model, spy = sgd(), Weights()
    path = tmp_path / "{epoch}.weights.h5"
    others = [
        keras.callbacks.ModelCheckpoint(path, save_weights_only=True),
        keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True),
    ]
    average = averaged(decay=0.9)
    order = [average, *others] if first else [*others, average]
    history = fit(model, (X, Y), *order, spy, validation_data=(X, Y))
    assert fit(sgd(), (X, Y))["loss"] == history["loss"]
    for epoch in range(3):
        other = sgd()
        other.load_weights(tmp_path / f"{epoch + 1}.weights.h5")
        assert_close(weights(other), formula(spy.sets[: 6 * (epoch + 1)], 0.9))
        value = other.evaluate(X, Y, batch_size=8, verbose=0)
        assert history["val_loss"][epoch] == pytest.approx(value, rel=1e-5)
    after = model.evaluate(X, Y, batch_size=8, verbose=0)
    assert after == pytest.approx(min(history["val_loss"]), rel=1e-5)


@pytest.mark.parametrize("keep", ["average", "best", "last"])
def test_what_is_kept(keep):
    model, spy = network(keras.optimizers.SGD(0.3)), Weights()
    average = averaged(decay=0.5, keep=keep)
    history = fit(model, (X, Y), average, spy, epochs=6, validation_data=(X, Y))
    after = model.evaluate(X, Y, batch_size=8, verbose=0)
    best = min(history["val_loss"])
    if keep == "best":
        assert after == pytest.approx(best, rel=1e-5)
        assert average.best == pytest.approx(best)
    elif keep == "average":
        assert_close(weights(model), formula(spy.sets, 0.5))
    else:
        assert_close(weights(model), spy.sets[-1], rtol=0, atol=0)


def test_the_best_of_several_decays_is_kept():
    model, spy = sgd(), Weights()
    decays = (0.99, 0.5, None)
    average = averaged(decay=decays)
    history = fit(model, (X, Y), average, spy, validation_data=(X, Y))
    for name, decay in zip(("0.99", "0.5", "equal"), decays, strict=True):
        expected = formula(spy.sets, decay)
        assert_close(average.averages[decay], expected)
        other = sgd()
        other.set_weights([value.astype("float32") for value in expected])
        value = other.evaluate(X, Y, batch_size=8, verbose=0)
        assert history[f"val_loss_decay_{name}"][-1] == pytest.approx(value, rel=1e-4)
    every = zip(*(history[f"val_loss_decay_{n}"] for n in ("0.99", "0.5", "equal")), strict=True)
    assert history["val_loss"] == [min(each) for each in every]
    assert_close(weights(model), formula(spy.sets, average.kept))
    assert fit(sgd(), (X, Y))["loss"] == history["loss"]


def test_batch_norm_statistics_are_those_of_the_training_data():
    def statistics(model):
        """Return mean and variance of the first layer's outputs in batches of the fit."""
        first = model.layers[0]
        outputs = np.array(keras.ops.convert_to_numpy(first(keras.ops.convert_to_tensor(X))))
        batches = outputs.reshape(-1, 8, outputs.shape[-1])
        return [batches.mean(1).mean(0), batches.var(1).mean(0)]

    model, twin = sgd(), sgd()
    fit(model, (X, Y), WeightAverage(0.9))
    assert_close(weights(model)[4:6], statistics(model), rtol=1e-4)
    fit(twin, (X, Y), averaged(decay=0.9))
    assert_close(model.layers[0].get_weights(), twin.layers[0].get_weights())
    for given in (X, 3):
        other = sgd()
        fit(other, (X, Y), WeightAverage(0.9, batch_norm=given))
        assert_close(other.layers[0].get_weights(), twin.layers[0].get_weights())
        assert not np.allclose(weights(other)[5], weights(twin)[5])


def generator(x, y):
    while True:
        for begin in range(0, len(x), 8):
            yield x[begin : begin + 8], y[begin : begin + 8]


def test_data_that_can_be_read_only_once_need_an_argument():
    model = sgd()
    before = weights(model)
    arguments = {"steps_per_epoch": 6, "shuffle": False, "verbose": 0}
    with pytest.raises(ValueError, match="read once more"):
        model.fit(generator(X, Y), callbacks=[WeightAverage()], **arguments)
    assert_close(weights(model), before, rtol=0, atol=0)
    assert "evaluate" not in vars(model)
    other = [WeightAverage(0.9, batch_norm=X)]
    model.fit(generator(X, Y), callbacks=other, **arguments)
    assert np.isfinite(model.evaluate(X, Y, verbose=0))


@pytest.mark.parametrize("arguments", [{"decay": 0.9}, {"decay": (0.9, None)}, {"keep": "best"}])
def test_a_fit_in_parts_is_one_fit(arguments):
    whole, parts = sgd(), sgd()
    fit(whole, (X, Y), averaged(**arguments), epochs=4, validation_data=(X, Y))
    average = averaged(**arguments)
    for epoch in range(4):
        fit(parts, (X, Y), average, initial_epoch=epoch, epochs=epoch + 1, validation_data=(X, Y))
    assert_close([everything(parts)], [everything(whole)], rtol=0, atol=0)


def test_a_state_goes_on_in_another_process():
    whole, first, second = sgd(), sgd(), sgd()
    fit(whole, (X, Y), averaged(decay=0.9), epochs=4)
    average = averaged(decay=0.9)
    fit(first, (X, Y), average, epochs=2)
    second.build()
    second.optimizer.build(second.trainable_variables)
    for new, old in zip(second.optimizer.variables, first.optimizer.variables, strict=True):
        new.assign(old)
    second.set_weights(first.get_weights())
    other = averaged(decay=0.9)
    other.set_state(average.get_state())
    fit(second, (X, Y), other, initial_epoch=2, epochs=4)
    assert_close([everything(second)], [everything(whole)], rtol=0, atol=0)


def test_a_loop_over_single_epochs_is_not_told_that_it_is_over(recwarn):
    whole, parts = sgd(), sgd()
    fit(whole, (X, Y), averaged(start_epochs=2), epochs=4)
    average = averaged(start_epochs=2)
    for epoch in range(4):
        fit(parts, (X, Y), average, initial_epoch=epoch, epochs=epoch + 1)
    assert_close([everything(parts)], [everything(whole)], rtol=0, atol=0)
    assert not [each for each in recwarn if "WeightAverage" in str(each.message)]


@pytest.mark.parametrize("damage", [-5, math.nan, "x", {}, [1, "x"], [None], True, 7])
@pytest.mark.parametrize(
    "part", ["decays", "taken", "kept", "averages", "best", "steps", "training"]
)
def test_a_damaged_state_is_refused(part, damage):
    if (part, damage) in [("taken", 7), ("decays", [None])]:  # whole, of another callback
        return
    average = averaged(decay=0.9)
    fit(sgd(), (X, Y), average)
    state = average.get_state()
    average.set_state(state)
    with pytest.raises(ValueError, match=f"^WeightAverage: .*{part}") as refusal:
        average.set_state({**state, part: damage})
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("batch_norm", ["no", math.nan, 2.5, b"1", 1 + 2j])
def test_what_is_no_data_for_statistics_is_refused(batch_norm):
    with pytest.raises(TypeError, match="batch_norm must be data"):
        WeightAverage(batch_norm=batch_norm)


class Crash(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("decay", [0.9, (0.9, None)])
@pytest.mark.parametrize("with_files", [True, False])
def test_backup_and_restore_goes_on(tmp_path, with_files, decay):
    def callbacks():
        folder = tmp_path / "backup"
        files = {"backup_dir": folder} if with_files else {}
        return averaged(decay=decay, **files), keras.callbacks.BackupAndRestore(folder)

    arguments = {"epochs": 4, "validation_data": (X, Y)}
    whole, model, again = sgd(), sgd(), sgd()
    fit(whole, (X, Y), averaged(decay=decay), **arguments)
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), *callbacks(), Crash(2), **arguments)
    spy = Weights()
    history = fit(again, (X, Y), *callbacks(), spy, **arguments)
    assert len(history["loss"]) == 2
    plain, end = sgd(), Weights()
    fit(plain, (X, Y), end, epochs=4)
    assert_close(spy.sets[-1], end.sets[-1], rtol=0, atol=0)  # the training weights went on
    if with_files:
        assert_close([everything(again)], [everything(whole)], rtol=0, atol=0)
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_is_missing_or_damaged_is_told(tmp_path):
    files = averaged(backup_dir=tmp_path)
    model = sgd()
    with pytest.warns(UserWarning, match="saved state of the epoch"):
        fit(model, (X, Y), files, initial_epoch=1, epochs=2)
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "weight_average-1.npz").write_bytes(b"half")
    with pytest.warns(UserWarning, match="damaged"):
        fit(model, (X, Y), averaged(backup_dir=tmp_path), initial_epoch=1, epochs=2)
    assert "evaluate" not in vars(model)


@pytest.mark.parametrize("hook", ["on_test_batch_end", "on_train_batch_end", "on_epoch_end"])
def test_an_exception_leaves_the_training_weights(hook):
    class Raises(keras.callbacks.Callback):
        pass

    def crash(*arguments, **named):
        raise KeyboardInterrupt

    raises = Raises()
    setattr(raises, hook, crash)
    model, plain = sgd(), sgd()
    for each, callbacks in ((model, [averaged()]), (plain, [])):
        with pytest.raises(KeyboardInterrupt):
            fit(each, (X, Y), *callbacks, raises, validation_data=(X, Y))
    assert_close(model.get_weights(), plain.get_weights(), rtol=0, atol=0)
    assert fit(model, (X, Y), averaged())["loss"] == fit(plain, (X, Y))["loss"]
    assert "evaluate" not in vars(model)


def test_weights_that_are_set_are_taken_for_the_average():
    class Sets(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                self.model.set_weights(wanted)

    wanted = [np.full_like(each, 0.25) for each in weights(sgd())]
    for keep in ("average", "best"):
        model = sgd()
        fit(model, (X, Y), averaged(keep=keep), Sets(), validation_data=(X, Y))
        assert_close(weights(model), wanted)


def test_an_average_that_has_met_nan_begins_anew():
    class Breaks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.good = getattr(self, "good", None) or weights(self.model)
            for variable, value in zip(self.model.weights, self.good, strict=True):
                variable.assign(value * np.nan if epoch == 1 else value)

    model, spy = network(keras.optimizers.SGD(0.05)), Weights()
    fit(model, (X, Y), averaged(decay=0.9), Breaks(), spy, epochs=4, validation_data=(X, Y))
    assert all(np.isfinite(each).all() for each in weights(model))
    assert_close(weights(model), formula(spy.sets[18:], 0.9))


def test_layers_may_be_unfrozen_in_between():
    model, spy = sgd(), Weights()
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.05), "mse")
    average = averaged(decay=None)
    fit(model, (X, Y), average, spy, epochs=1)
    model.layers[0].trainable = True
    model.compile(keras.optimizers.SGD(0.05), "mse")
    fit(model, (X, Y), average, spy, initial_epoch=1, epochs=2)
    assert_close(weights(model), formula(spy.sets))


def test_one_average_in_a_fit():
    with pytest.raises(ValueError, match="only one callback of a fit can show"):
        fit(sgd(), (X, Y), averaged(), averaged())


@pytest.mark.needs("optimizers.ScheduleFreeAdamW")
def test_one_average_of_a_schedule_free_optimizer_beside_it():
    model = network(keras.optimizers.ScheduleFreeAdamW(0.01))
    with pytest.raises(ValueError, match="Leave one of them out"):
        fit(model, (X, Y), SwapScheduleFreeWeights(), averaged())


def test_an_average_that_never_begins_is_told():
    model = sgd()
    with pytest.warns(UserWarning, match="before any weights were averaged"):
        fit(model, (X, Y), averaged(start_epochs=9))
    plain = sgd()
    fit(plain, (X, Y))
    assert_close(weights(model), weights(plain), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"decay": 1.0}, "decay must be"),
        ({"decay": (0.9, 0.9)}, "different"),
        ({"decay": ()}, "different"),
        ({"decay": "0.9"}, "number"),
        ({"every_steps": 0}, "every_steps"),
        ({"every_steps": 2, "every_epochs": 1}, "only one"),
        ({"start_steps": 2, "start_epochs": 1}, "only one"),
        ({"start_steps": 2, "every_epochs": 1}, "counts from an epoch"),
        ({"start_steps": True}, "integer"),
        ({"keep": "worst"}, "keep must be"),
        ({"mode": "up"}, "mode must be"),
        ({"monitor": None}, "monitor must be"),
        ({"decay": (0.9, 0.8), "monitor": "loss"}, "validation"),
        ({"batch_norm": True}, "batch_norm"),
        ({"batch_norm": 0}, "batch_norm"),
        ({"backup_dir": 3}, "backup_dir"),
    ],
)
def test_arguments_are_checked(arguments, match):
    with pytest.raises((TypeError, ValueError), match=match):
        WeightAverage(**arguments)


@pytest.mark.parametrize("arguments", [{"keep": "best"}, {"decay": (0.9, 0.5)}])
def test_without_validation_nothing_is_the_best(arguments):
    with pytest.raises(ValueError, match="monitor must be a scalar in the logs"):
        fit(sgd(), (X, Y), averaged(**arguments))


def test_the_weight_of_new_weights():
    assert averaging_weight(0.999, 0) == averaging_weight(None, 0) == 1.0
    assert averaging_weight(None, 3) == 0.25
    assert averaging_weight(0.999, 10) == pytest.approx(9 / 20)
    assert averaging_weight(0.999, 10**6) == pytest.approx(0.001)


@pytest.mark.parametrize("first", [True, False])
def test_a_plateau_goes_back_to_the_average_that_evaluated_best(first):
    model, spy = network(keras.optimizers.SGD(0.3)), Weights()
    plateau = ReduceOnPlateauPlus(
        patience=1, min_delta=9.0, max_reductions=1, stop_after=2, restore_best_weights=True
    )
    average = averaged(decay=0.5)
    order = [plateau, average] if first else [average, plateau]
    history = fit(model, (X, Y), *order, spy, epochs=9, validation_data=(X, Y))
    assert len(history["val_loss"]) < 9
    after = model.evaluate(X, Y, batch_size=8, verbose=0)
    assert after == pytest.approx(min(history["val_loss"]), rel=1e-4)


def test_one_average_of_the_optimizer_beside_it():
    model = network(keras.optimizers.SGD(0.05, use_ema=True))
    with pytest.raises(ValueError, match="Leave one of them out"):
        fit(model, (X, Y), keras.callbacks.SwapEMAWeights(), averaged())


def test_a_loop_of_ones_own_over_train_on_batch():
    model, sets = sgd(), []
    callbacks = keras.callbacks.CallbackList([averaged(decay=0.9)], model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for step in range(6):
        callbacks.on_train_batch_begin(step)
        batch = slice(8 * step, 8 * step + 8)
        logs = model.train_on_batch(X[batch], Y[batch], return_dict=True)
        callbacks.on_train_batch_end(step, logs)
        sets.append(weights(model))
    callbacks.on_train_end()
    assert_close(weights(model), formula(sets, 0.9))


def test_layers_may_be_unfrozen_in_mid_fit():
    class Unfreezes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.layers[0].trainable = True
                self.model.compile(keras.optimizers.SGD(0.05), "mse")

    model, spy = sgd(), Weights()
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.05), "mse")
    fit(model, (X, Y), averaged(decay=None), Unfreezes(), spy, validation_data=(X, Y))
    assert_close(weights(model), formula(spy.sets))
