"""The range test on real models: exact losses, nothing changed, every kind of data."""

import contextlib
import importlib.util
import warnings

import keras
import numpy as np
import pytest
from support.tiny import (
    EXECUTIONS,
    JIT,
    compiled,
    identical,
    loss_of_step,
    network,
    random_numbers,
    regression,
    values,
)

import keras_lr
from keras_lr import LRRangeTest, lr_find
from keras_lr._engine.hooks import attach
from keras_lr._engine.step import StepHook

BACKEND = keras.backend.backend()
X, Y = regression()
SHORT = {"steps": 6, "min_lr": 1e-3, "max_lr": 0.1}


def find(model, **arguments):
    return lr_find(model, X, Y, **{"verbose": 0, "batch_size": 20, **SHORT, **arguments})


# ---------------------------------------------------------------- what is recorded


def test_learning_rates_are_the_sequence_of_the_definition():
    model = compiled()
    result = find(model)
    np.testing.assert_allclose(result.learning_rates, 1e-3 * 100 ** (np.arange(6) / 5), rtol=1e-12)
    linear = find(model, spacing="linear")
    np.testing.assert_allclose(linear.learning_rates, np.linspace(1e-3, 0.1, 6), rtol=1e-12)


@pytest.mark.parametrize("several", EXECUTIONS)
def test_losses_are_those_of_training_by_hand(several):
    result = find(compiled(steps_per_execution=several, dropout=0.0), shuffle=False)
    twin, losses = compiled(dropout=0.0), []
    for step, rate in enumerate(result.learning_rates):
        part = slice(20 * step, 20 * step + 20)
        twin.optimizer.learning_rate = float(rate)
        losses.append(loss_of_step(twin, X[part], Y[part]))
    np.testing.assert_allclose(result.losses, np.array(losses, dtype=float), rtol=1e-6)


def test_a_step_is_an_update_under_gradient_accumulation():
    def optimizer(steps):
        return lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)

    plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    start = plain.get_weights()
    losses = {}
    for steps, batch in ((None, 20), (2, 10)):
        plain.set_weights(start)
        plain.compile(optimizer(steps)(), "mse", jit_compile=JIT)
        losses[steps] = find(plain, batch_size=batch, shuffle=False).losses
    np.testing.assert_allclose(losses[2], losses[None], rtol=1e-5)


def test_an_update_may_span_epochs():
    model = compiled(lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    result = lr_find(model, X[:40], Y[:40], batch_size=20, verbose=0, **SHORT)
    assert result.stop_reason == "completed"


def test_in_a_fit_of_the_users_it_stops_and_restores_by_itself():
    model = compiled()
    finder = LRRangeTest(**SHORT)
    history = model.fit(X, Y, 50, 10, verbose=0, callbacks=[finder])  # 4 batches an epoch
    assert len(history.epoch) == 2
    assert finder.result.stop_reason == "completed"
    assert len(finder.result.losses) == 6
    assert "learning_rate" in history.history
    assert not model.stop_training


def test_stops_at_divergence():
    result = find(compiled(lambda: keras.optimizers.SGD()), steps=40, max_lr=1e6)
    assert result.stop_reason.startswith(("diverged", "the loss is not finite"))
    assert len(result.losses) < 40


def test_repeats_start_from_the_same_weights_on_other_batches():
    result = find(compiled(), repeats=3)
    assert result.repeat_losses.shape == (3, 6)
    np.testing.assert_allclose(result.losses, np.median(result.repeat_losses, axis=0))
    assert len(set(result.repeat_losses[:, 0])) == 3


def test_the_probe_is_the_same_batch_after_every_step():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(), "mse", jit_compile=JIT)
    result = find(model, probe=(X, Y), batch_size=len(X), shuffle=False)
    # The whole data is batch and probe: the probe after a step is the loss before the next.
    np.testing.assert_allclose(result.probe_losses[:-1], result.losses[1:], rtol=1e-5)


def test_a_probe_can_be_drawn_from_the_data():
    result = find(compiled(), probe=50)
    assert np.isfinite(result.probe_losses).all()


def test_validation_loss_every_so_many_steps():
    result = find(compiled(), validation_data=(X, Y), validation_every_steps=2)
    np.testing.assert_array_equal(np.isfinite(result.validation_losses), [False, True] * 3)


def test_the_decay_of_our_own_optimizer_is_off_while_its_lr_is_swept():
    decaying = find(compiled(lambda: keras_lr.optimizers.SGD(lr=0.1, decay=5.0)), shuffle=False)
    constant = find(compiled(lambda: keras_lr.optimizers.SGD(lr=0.1, decay=0.0)), shuffle=False)
    np.testing.assert_array_equal(decaying.losses, constant.losses)


def test_shows_progress_as_keras_does(capsys):
    find(compiled(), verbose=1)
    shown = capsys.readouterr().out
    assert "6/6" in shown
    assert "learning_rate" in shown
    find(compiled(), verbose=0)
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------- nothing is changed


def scheduled():
    return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 40))


def multi():
    chosen = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1, momentum=0.9))
    chosen[".*bias"] = keras.optimizers.Adam(0.01)
    return keras.optimizers.MultiOptimizer(chosen)


OPTIMIZERS = {
    "Adam": lambda: keras.optimizers.Adam(1e-3),
    "schedule": scheduled,
    "EMA": lambda: keras.optimizers.Adam(1e-3, use_ema=True),
    "accumulation": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=3),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)),
    "several": multi,
    "ours": lambda: keras_lr.Adam(lr=1e-3, decay=0.01),
}
TRIED = [
    pytest.param(
        name, marks=pytest.mark.needs("optimizers.MultiOptimizer") if name == "several" else ()
    )
    for name in OPTIMIZERS
]


@pytest.mark.parametrize("optimizer", TRIED)
def test_training_afterwards_is_bit_identical(optimizer):
    slots = optimizer != "Adam"  # one of them makes its slots in the sweep
    swept, plain = (compiled(OPTIMIZERS[optimizer], slots=slots) for _ in range(2))
    keras.utils.set_random_seed(1)
    find(swept, repeats=2, probe=(X, Y))
    swept.fit(X, Y, epochs=2, verbose=0)
    numbers = random_numbers()
    keras.utils.set_random_seed(1)
    plain.fit(X, Y, epochs=2, verbose=0)
    assert identical(values(swept), values(plain))
    assert numbers == random_numbers()


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("how", ["lr_find", "callback"])
def test_bit_identical_from_an_unbuilt_model_too(built, how):
    swept, plain = (compiled(built=built, slots=False) for _ in range(2))
    keras.utils.set_random_seed(1)
    if how == "lr_find":
        find(swept)
    else:
        swept.fit(X, Y, 20, 3, verbose=0, callbacks=[LRRangeTest(**SHORT)])
    swept.fit(X, Y, epochs=2, verbose=0)
    keras.utils.set_random_seed(1)
    plain.fit(X, Y, epochs=2, verbose=0)
    assert identical(values(swept), values(plain))


@pytest.mark.parametrize("several", EXECUTIONS)
def test_the_next_fit_compiles_nothing_again(several):
    traces = []

    class Counted(keras.layers.Dense):
        def call(self, inputs):
            traces.append(1)
            return super().call(inputs)

    model = keras.Sequential([keras.Input((8,)), Counted(1)])
    model.compile("adam", "mse", steps_per_execution=several)
    model.fit(X, Y, 20, verbose=0)
    function, before = model.train_function, len(traces)
    find(model)
    model.fit(X, Y, 20, verbose=0)
    swept = len(traces) - before
    find(model)
    model.fit(X, Y, 20, verbose=0)
    again = len(traces) - before - swept
    assert model.train_function is function
    if BACKEND == "torch":  # runs eagerly: one call a batch, and nothing compiled
        assert again == swept
    else:  # alone, a step that was compiled inside a loop is compiled once more, for good
        assert swept <= (0 if several == 1 else 1)
        assert again == 0


def test_the_models_own_attributes_stay():
    model = compiled()
    first = model.fit(X, Y, verbose=0)
    model.stop_training = True
    before = dict(vars(model))
    find(model)
    assert model.history is first
    changed = [name for name, value in before.items() if vars(model).get(name) is not value]
    assert [name for name in changed if not name.startswith("_jax")] == []


# ---------------------------------------------------------------- cut off


class Strikes(keras.callbacks.Callback, StepHook):
    """Ends a fit at a given step, in one of the ways a fit can end."""

    owner, drives_learning_rate = "Strikes", False

    def __init__(self, step, cause):
        super().__init__()
        self.step, self.cause, self.seen = step, cause, -1

    def on_train_begin(self, logs=None):
        if self.cause == "Ctrl-C in a step":
            attach(self.model, self)

    def before_step(self, state):
        pass

    def after_step(self, state, logs):
        self.strike(KeyboardInterrupt)

    def on_train_batch_end(self, batch, logs=None):
        if self.cause == "exception":
            self.strike(RuntimeError)
        elif self.cause == "stop_training":
            self.seen += 1
            if self.seen == self.step:
                self.model.stop_training = True

    def strike(self, error):
        self.seen += 1
        if self.seen == self.step:
            raise error("struck")


ERRORS = ["exception", "Ctrl-C in a step"]
CAUSES = [*ERRORS, "stop_training"]


@pytest.mark.parametrize("cause", CAUSES)
def test_bit_identical_after_being_cut_off_at_any_step(cause):
    struck, plain = compiled(), compiled()
    for model in (struck, plain):
        keras.utils.set_random_seed(1)
        model.fit(X, Y, 20, verbose=0)
    for step in range(4):
        finder = LRRangeTest(**SHORT | {"steps": 4})
        keras.utils.set_random_seed(step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the fit was too short
            errors = (RuntimeError, KeyboardInterrupt)
            ends = pytest.raises(errors) if cause in ERRORS else contextlib.nullcontext()
            with ends, finder:
                struck.fit(X, Y, 20, verbose=0, callbacks=[finder, Strikes(step, cause)])
        numbers = random_numbers()
        keras.utils.set_random_seed(step)
        assert numbers == random_numbers()
        assert identical(values(struck), values(plain))
    for model in (struck, plain):
        keras.utils.set_random_seed(1)
        model.fit(X, Y, 20, 2, verbose=0)
    assert identical(values(struck), values(plain))


def test_ctrl_c_in_a_step_needs_no_context():
    model = compiled()
    model.fit(X, Y, verbose=0)
    before = values(model)
    finder = LRRangeTest(**SHORT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, 20, verbose=0, callbacks=[finder, Strikes(3, "Ctrl-C in a step")])
    assert identical(values(model), before)


def test_the_record_of_a_cut_off_sweep_is_kept():
    finder = LRRangeTest(**SHORT)
    with pytest.raises(RuntimeError, match="struck"), finder:
        compiled().fit(X, Y, 20, verbose=0, callbacks=[finder, Strikes(3, "exception")])
    assert finder.result.stop_reason == "interrupted after 4 of 6 steps"
    assert len(finder.result.losses) == 4


def test_a_loss_that_turns_nan_ends_the_sweep_and_restores():
    model = compiled(lambda: keras.optimizers.SGD(0.1))
    model.fit(X, Y, verbose=0)
    before = values(model)
    result = find(model, steps=30, min_lr=1.0, max_lr=1e30, stop_factor=None)
    assert result.stop_reason.startswith("the loss is not finite")
    assert identical(values(model), before)


def test_a_finder_used_again_does_not_undo_what_was_trained_meanwhile():
    model, finder = compiled(), LRRangeTest(**SHORT)
    with pytest.raises(RuntimeError, match="struck"):
        model.fit(X, Y, 20, verbose=0, callbacks=[finder, Strikes(3, "exception")])
    model.fit(X, Y, 20, verbose=0)
    trained = values(model)
    model.fit(X, Y, 20, verbose=0, callbacks=[finder])
    assert identical(values(model), trained)


def test_a_finder_used_again_at_once_starts_from_where_it_first_did():
    model, finder = compiled(), LRRangeTest(**SHORT)
    model.fit(X, Y, 20, verbose=0)
    trained = values(model)
    with pytest.raises(RuntimeError, match="struck"):
        model.fit(X, Y, 20, verbose=0, callbacks=[finder, Strikes(3, "exception")])
    model.fit(X, Y, 20, verbose=0, callbacks=[finder])
    assert identical(values(model), trained)


# ---------------------------------------------------------------- every kind of data


class Batches(keras.utils.PyDataset):
    """The data as a Keras data set of 5 batches."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        part = slice(40 * index, 40 * index + 40)
        return X[part], Y[part]


def endless():
    while True:
        yield X[:40], Y[:40]


def tf_data():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(40)


def tf_data_of_unknown_length():
    return tf_data().filter(lambda x, y: True)


def data_loader():
    import torch

    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return torch.utils.data.DataLoader(data, batch_size=40)


SOURCES = [lambda: Batches(), endless, tf_data, tf_data_of_unknown_length]
if importlib.util.find_spec("torch"):
    SOURCES.append(data_loader)


@pytest.mark.parametrize("source", SOURCES)
def test_any_data_source_over_as_many_epochs_as_it_takes(source):
    model = compiled(dropout=0.0)
    result = lr_find(model, source(), verbose=0, shuffle=False, **SHORT)
    assert len(result.losses) == 6
    first_batch = loss_of_step(compiled(dropout=0.0), X[:40], Y[:40])
    assert result.losses[0] == pytest.approx(float(first_batch), rel=1e-5)


class Noisy(Batches):
    """Data that draws random numbers as it is read."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + np.random.normal(size=x.shape), y


def test_reading_validation_data_moves_no_generator():
    model = compiled()
    model.fit(X, Y, verbose=0)
    keras.utils.set_random_seed(1)
    find(model, validation_data=Noisy())
    numbers = random_numbers()
    keras.utils.set_random_seed(1)
    assert numbers == random_numbers()


def test_dicts_several_outputs_and_weights():
    inputs = {"a": keras.Input((8,), name="a"), "b": keras.Input((8,), name="b")}
    joined = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = {
        "p": keras.layers.Dense(1, name="p")(joined),
        "q": keras.layers.Dense(1, name="q")(joined),
    }
    model = keras.Model(inputs, outputs)
    losses = {"p": "mse", "q": "mae"}
    model.compile("sgd", losses, loss_weights={"p": 1.0, "q": 0.5}, jit_compile=JIT)
    weights = {"p": np.ones(len(X)), "q": np.linspace(0, 1, len(X))}
    data = ({"a": X, "b": X}, {"p": Y, "q": Y})
    start = model.get_weights()
    result = lr_find(model, *data, sample_weight=weights, shuffle=False, verbose=0, **SHORT)
    model.set_weights(start)
    part = slice(0, 32)
    expected = model.train_on_batch(
        *({k: v[part] for k, v in each.items()} for each in (*data, weights)), return_dict=True
    )["loss"]
    assert result.losses[0] == pytest.approx(float(expected), rel=1e-5)


def test_class_weights_and_mixed_precision():
    keras.utils.set_random_seed(0)
    policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, dtype=policy)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=JIT)
    labels = (Y[:, 0] > 0).astype("int32")
    result = lr_find(model, X, labels, class_weight={0: 1.0, 1: 3.0}, verbose=0, **SHORT)
    assert np.isfinite(result.losses).all()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"min_lr": 1.0, "max_lr": 0.1}, "min_lr must be below max_lr"),
        ({"min_lr": 0.0}, "min_lr must be finite and above 0"),
        ({"max_lr": float("nan")}, "max_lr must be finite and above 0"),
        ({"steps": 1}, "steps must be at least 2"),
        ({"spacing": "cubic"}, "spacing must be one of"),
        ({"smoothing": 1.0}, "smoothing must be finite and at least 0 and below 1"),
        ({"stop_factor": 1.0}, "stop_factor must be finite and above 1"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"validation_every_steps": 0}, "validation_every_steps must be at least 1"),
    ],
)
def test_values_out_of_range_are_refused_at_once(arguments, rule):
    with pytest.raises(ValueError, match=f"^LRRangeTest: {rule}.*Received: "):
        LRRangeTest(**arguments)
    with pytest.raises(ValueError, match=f"^lr_find: {rule}.*Received: "):
        find(compiled(), **arguments)


def test_validation_data_that_cannot_be_gone_through_again_is_refused():
    with pytest.raises(TypeError, match="LRRangeTest: validation_data is iterated several times"):
        LRRangeTest(validation_data=((X, Y) for _ in range(2)))


@pytest.mark.parametrize("trained", [False, True])
def test_an_optimizer_beside_the_compiled_one_is_put_back(trained):
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)
            self.second = keras.optimizers.Adagrad(0.1)

        def call(self, x):
            return self.dense(x)

        def train_step(self, *arguments):
            logs = super().train_step(*arguments)
            variables = self.trainable_variables
            if BACKEND != "jax":  # where Keras trains with the compiled optimizer only
                self.second.apply([keras.ops.ones_like(v) for v in variables], variables)
            return logs

    def trained_twice(search):
        keras.utils.set_random_seed(1)
        model = Two()
        model.compile("adam", "mse", jit_compile=False)
        model(X[:1])
        if trained:
            model.fit(X, Y, 20, verbose=0)
        if search:
            find(model)
        model.fit(X, Y, 20, shuffle=False, verbose=0)
        return model.get_weights()

    for left, right in zip(trained_twice(False), trained_twice(True), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_probe_is_a_number_or_a_batch():
    with pytest.raises(TypeError, match="lr_find: probe must be a number of samples"):
        find(compiled(), probe=True)


def test_models_and_data_that_cannot_be_swept_are_refused():
    with pytest.raises(ValueError, match="lr_find: the model must be compiled"):
        find(network())
    no_optimizer = network()
    no_optimizer.compile(None, "mse")
    with pytest.raises(ValueError, match="must be compiled with an optimizer"):
        find(no_optimizer)
    with pytest.raises(TypeError, match="lr_find: model must be a Keras model"):
        lr_find(lambda x: x, X, Y)
    with pytest.raises(ValueError, match="lr_find: x must hold at least one batch"):
        lr_find(compiled(), X[:0], Y[:0])
    with pytest.raises(ValueError, match="lr_find: x must hold at least one batch"):
        lr_find(compiled())
    with pytest.raises(ValueError, match="lr_find: x must hold at least one batch"):
        lr_find(compiled(), [])
    with pytest.raises(ValueError, match="lr_find: validation_data must hold at least one batch"):
        find(compiled(), validation_data=(X[:0], Y[:0]))


def test_a_generator_that_ends_too_early_is_an_error_and_changes_nothing():
    model = compiled()
    model.fit(X, Y, verbose=0)
    before = values(model)
    with pytest.raises(ValueError, match=r"must last for the whole sweep.*steps=6, steps_made=3"):
        lr_find(model, ((X[:40], Y[:40]) for _ in range(3)), verbose=0, **SHORT)
    assert identical(values(model), before)


@pytest.mark.parametrize("batches", [6, 9])
def test_data_that_ends_in_a_later_repeat_is_an_error_too(batches):
    data = ((X[:40], Y[:40]) for _ in range(batches))
    with pytest.raises(ValueError, match=r"must last for the whole sweep.*repeats=2, steps=6"):
        lr_find(compiled(), data, verbose=0, repeats=2, **SHORT)
    finder = LRRangeTest(**SHORT, repeats=2)
    with pytest.warns(UserWarning, match="fit must be long enough"):
        compiled().fit(X, Y, 20, verbose=0, steps_per_epoch=batches, callbacks=[finder])
    assert finder.result.stop_reason == f"completed; interrupted after {batches} of 12 steps"
    assert len(finder.result.repeat_losses) == (1 if batches == 6 else 2)


def test_a_loss_that_is_nan_at_once_is_an_error_and_changes_nothing():
    model = compiled()
    model.fit(X, Y, verbose=0)
    before = values(model)
    with pytest.raises(ValueError, match=r"^lr_find: the loss of the first step must be finite"):
        lr_find(model, X, Y * np.nan, verbose=0)  # a ReLU may make 0 of a NaN in x
    assert identical(values(model), before)


def test_a_fit_too_short_for_the_sweep_warns():
    with pytest.warns(UserWarning, match="fit must be long enough.*steps_made=4"):
        compiled().fit(X, Y, 50, verbose=0, callbacks=[LRRangeTest(**SHORT)])


def test_two_range_tests_in_one_fit_are_refused():
    model = compiled()
    with pytest.raises(ValueError, match="only one callback of a fit can drive"):
        model.fit(X, Y, verbose=0, callbacks=[LRRangeTest(**SHORT), LRRangeTest(**SHORT)])


def test_a_train_step_without_a_loss_is_an_error():
    class Silent(keras.Sequential):
        def train_step(self, *arguments):
            out = super().train_step(*arguments)
            renamed = {"mistake": (out if BACKEND != "jax" else out[0])["loss"]}
            return renamed if BACKEND != "jax" else (renamed, out[1])

    model = Silent([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=JIT)
    with pytest.raises(ValueError, match="train_step must report its loss"):
        find(model)
