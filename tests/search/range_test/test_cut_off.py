"""A sweep whose fit was cut off: put back by the time the exception is out, and never later."""

import gc
import warnings

import keras
import numpy as np
import pytest
from support.tiny import JIT, compiled, identical, random_numbers, regression, values

from keras_lr import LRRangeTest, LRScheduler
from keras_lr.schedules import Constant

BACKEND = keras.backend.backend()
X, Y = regression()
SHORT = {"steps": 40, "min_lr": 1e-3, "max_lr": 0.1}


class StruckError(Exception):
    pass


DATA_ERRORS = (StruckError, ValueError, RuntimeError)
if BACKEND == "tensorflow":  # which wraps what a generator raises
    import tensorflow as tf

    DATA_ERRORS += (tf.errors.OpError,)


class Strikes(keras.callbacks.Callback):
    """Raises in one of its methods, the second time it is called if it is called twice."""

    def __init__(self, method, error=StruckError):
        super().__init__()
        self.calls = 0

        def strike(*arguments, **named):
            self.calls += 1
            if self.calls == 2 or method in ("on_train_begin", "on_train_end"):
                raise error

        setattr(self, method, strike)


def batches(break_at=None):
    """Yield batches; raise at one of them."""
    for index in range(1000):
        if index == break_at:
            raise StruckError
        yield X[:20], Y[:20]


METHODS = [
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_batch_end",
    "on_epoch_end",
    "on_train_end",
]
PLACES = [*METHODS, "data", "validation data"]


def fit_struck(model, finder, place, error=StruckError, before=False, steps=None):
    """Fit a model with a finder until something raises; return nothing, hold nothing."""
    data = {"x": X, "y": Y, "batch_size": 50, "validation_data": (X[:50], Y[:50])}
    callbacks = [finder]
    if place == "data":
        data = {"x": batches(break_at=6), "steps_per_epoch": 4}
    elif place == "validation data":
        data |= {"validation_data": batches(break_at=3), "validation_steps": 5}
    else:
        callbacks.insert(0 if before else 1, Strikes(place, error))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(DATA_ERRORS if "data" in place else error):
            model.fit(**data, epochs=3, verbose=0, callbacks=callbacks)


def trained():
    model = compiled()
    model.fit(X, Y, 50, verbose=0)
    return model


@pytest.mark.parametrize("place", PLACES)
def test_all_is_put_back_when_the_exception_is_out(place):
    model = trained()
    before, optimizer = values(model), model.optimizer
    keras.utils.set_random_seed(1)
    finder = LRRangeTest(**SHORT)
    fit_struck(model, finder, place)
    assert identical(values(model), before)
    assert model.optimizer is optimizer
    for name in ("compile", "make_train_function", "evaluate"):
        assert name not in vars(model)
    numbers = random_numbers()
    keras.utils.set_random_seed(1)
    assert numbers == random_numbers()
    if place not in ("on_train_begin", "on_train_batch_begin"):  # before a second update
        assert finder.result.stop_reason.startswith("interrupted after ")
        assert len(finder.result.losses) >= 2


@pytest.mark.parametrize("place", ["on_train_begin", "on_train_batch_end", "on_train_end"])
def test_also_by_a_callback_before_the_finder_and_by_ctrl_c(place):
    model = trained()
    before = values(model)
    fit_struck(model, LRRangeTest(**SHORT), place, KeyboardInterrupt, before=True)
    assert identical(values(model), before)


def recompiled(model):
    model.compile(keras.optimizers.Adam(0.3), "mae", jit_compile=JIT)


def rate_set(model):
    model.optimizer.learning_rate = 0.25


def weights_set(model):
    model.set_weights([0.5 * weight for weight in model.get_weights()])


def frozen(model):
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=JIT)


def frozen_alone(model):
    model.layers[0].trainable = False


def replaced(model):
    model.optimizer = keras.optimizers.Adam(0.3)
    model.optimizer.build(model.trainable_variables)


def optimizer_state_set(model):
    model.optimizer.iterations.assign(77)


def reseeded(model):
    keras.utils.set_random_seed(77)


def fitted(model):
    model.fit(X, Y, 50, verbose=0, shuffle=False)


def train_on_batch(model):
    model.train_on_batch(X[:20], Y[:20])


def evaluated(model):
    model.evaluate(X, Y, verbose=0)


def pruned(model):
    model.layers[-1].kernel.assign(0 * model.layers[-1].kernel)


ACTIONS = [
    recompiled,
    rate_set,
    weights_set,
    frozen,
    replaced,
    optimizer_state_set,
    reseeded,
    fitted,
    train_on_batch,
    evaluated,
    pruned,
]


def after(action, finder=None, place="on_train_batch_end", kept=()):
    """Return the model after an action and a fit, with a fit that was struck before, or without."""
    model = trained()
    keras.utils.set_random_seed(5)
    if finder is not None:
        fit_struck(model, finder, place)
    action(model)
    model.fit(X, Y, 50, 2, verbose=0)
    gc.collect()
    return values(model), random_numbers(), model


@pytest.mark.parametrize("action", ACTIONS)
def test_what_the_user_does_next_is_as_if_there_had_been_no_sweep(action):
    struck, numbers, model = after(action, LRRangeTest(**SHORT))
    plain, expected, twin = after(action)
    assert identical(struck, plain)
    assert numbers == expected
    assert type(model.optimizer) is type(twin.optimizer)
    assert model.loss == twin.loss


def test_a_layer_frozen_without_compiling_stays_frozen():
    if BACKEND == "jax":  # where Keras itself cannot train it
        for finder in (LRRangeTest(**SHORT), None):
            with pytest.raises(ValueError, match="must be a list of tensors corresponding 1:1"):
                after(frozen_alone, finder, "on_epoch_end")
        return
    struck, _, model = after(frozen_alone, LRRangeTest(**SHORT), "on_epoch_end")
    assert not model.layers[0].trainable
    assert identical(struck, after(frozen_alone)[0])


def test_weights_that_are_loaded_next_stay(tmp_path):
    path = tmp_path / "other.weights.h5"
    other = compiled()
    other.save_weights(path)
    struck, _, _ = after(lambda model: model.load_weights(path), LRRangeTest(**SHORT), "data")
    plain, _, _ = after(lambda model: model.load_weights(path))
    assert identical(struck, plain)


@pytest.mark.parametrize("action", [rate_set, weights_set, fitted, pruned])
def test_leaving_the_context_later_undoes_nothing(action):
    model, finder = trained(), LRRangeTest(**SHORT)
    with finder:
        fit_struck(model, finder, "on_epoch_end")
        action(model)
        present = values(model)
    assert identical(values(model), present)
    finder.restore()
    assert identical(values(model), present)
    model.fit(X, Y, 50, 20, verbose=0, callbacks=[finder])
    assert finder.result.stop_reason == "completed"
    assert identical(values(model), present)


def test_a_schedule_of_the_optimizer_is_back_too():
    model = compiled(lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 40)))
    schedule = model.optimizer._learning_rate
    fit_struck(model, LRRangeTest(**SHORT), "on_epoch_end")
    assert model.optimizer._learning_rate is schedule


def test_averages_are_not_written_over_the_weights():
    model = compiled(lambda: keras.optimizers.SGD(0.05, use_ema=True))
    model.fit(X, Y, 50, 2, verbose=0)
    model.set_weights([1.5 * weight for weight in model.get_weights()])
    before = values(model)
    fit_struck(model, LRRangeTest(**SHORT), "on_train_batch_end")
    assert identical(values(model), before)
    assert "finalize_variable_values" not in vars(model.optimizer)


def test_a_driver_gives_the_rate_back_at_once():
    model = trained()
    fit_struck(model, LRScheduler(Constant(0.5)), "on_epoch_end")
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    rate_set(model)
    model.fit(X, Y, 50, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25)


def test_an_evaluation_that_a_callback_makes_and_catches_ends_nothing():
    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises((StruckError, ValueError)):
                self.model.evaluate(X[:10], Y[:5], verbose=0)

    model, finder = trained(), LRRangeTest(**SHORT | {"steps": 10})
    model.fit(X, Y, 50, 10, verbose=0, callbacks=[finder, Looks()])
    assert finder.result.stop_reason == "completed"


def test_compiling_in_the_middle_of_a_sweep_is_refused():
    class Compiles(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            recompiled(self.model)

    model = trained()
    before, optimizer = values(model), model.optimizer
    with pytest.raises(ValueError, match="LRRangeTest: the model cannot be compiled during a"):
        model.fit(X, Y, 50, 10, verbose=0, callbacks=[LRRangeTest(**SHORT), Compiles()])
    assert model.optimizer is optimizer
    assert identical(values(model), before)


# ---------------------------------------------------------------- a loop of the user's own


def loop_struck(model, finder):
    callbacks = keras.callbacks.CallbackList([finder], model=model, epochs=9, steps=9)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for batch in range(4):
        callbacks.on_train_batch_begin(batch)
        model.train_on_batch(X[:20], Y[:20])
        callbacks.on_train_batch_end(batch)


@pytest.mark.parametrize(
    ("action", "named"), [(rate_set, "learning rate"), (pruned, "kernel"), (replaced, "optimizer")]
)
def test_of_a_loop_that_was_left_only_what_nobody_has_changed_is_put_back(action, named):
    model = trained()
    before = model.get_weights()
    loop_struck(model, LRRangeTest(**SHORT))
    action(model)
    with pytest.warns(UserWarning, match=rf"^LRRangeTest: a run that was cut off.*kept='{named}'"):
        model.fit(X, Y, 50, epochs=0, verbose=0)
    same = [np.array_equal(*pair) for pair in zip(model.get_weights(), before, strict=True)]
    assert same.count(False) == (action is pruned)
    if action is rate_set:
        assert float(model.optimizer.learning_rate) == pytest.approx(0.25)


def test_a_loop_that_was_left_is_undone_without_a_word_where_nothing_has_changed():
    model = trained()
    before = values(model)
    loop_struck(model, LRRangeTest(**SHORT))
    model.fit(X, Y, 50, epochs=0, verbose=0)
    assert identical(values(model), before)
