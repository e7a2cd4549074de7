"""Nothing is left behind on a model, wherever in a fit an exception strikes."""

import copy
import itertools
import pickle
import signal

import keras
import numpy as np
import pytest
from support.drives import data, fit, network

from keras_lr import LRRangeTest
from keras_lr.callbacks import (
    Cooldown,
    CosineWarmRestarts,
    LRScheduler,
    OneCycle,
    ReduceOnPlateauPlus,
    SwapScheduleFreeWeights,
    WeightAverage,
)

X, Y = data()
has_schedule_free = hasattr(keras.optimizers, "ScheduleFreeAdamW")


class Strike(keras.callbacks.Callback):
    """Raises at one of the hooks of a fit."""

    def __init__(self, hook, error=RuntimeError):
        super().__init__()

        def strike(*arguments, **named):
            raise error("struck")

        setattr(self, hook, strike)


def broken_data():
    for _ in range(2):
        yield X[:8], Y[:8]
    raise RuntimeError("struck")


SITES = [
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_batch_end",
    "on_epoch_end",
]
CALLBACKS = {
    "scheduler": lambda: LRScheduler(lambda step: 0.1, momentum=lambda step: 0.5),
    "observer": LRScheduler,
    "cycle": lambda: OneCycle(0.1),
    "restarts": lambda: CosineWarmRestarts(0.1, snapshots=2),
    "plateau": lambda: ReduceOnPlateauPlus("loss", max_rescues=1, restore_best_weights=True),
    "finder": lambda: LRRangeTest(steps=100),
    "average": lambda: WeightAverage(0.9),
    "cooldown": lambda: Cooldown(steps=5, at_step=2),
}


def attributes(model):
    """Return the names of what a model and its optimizer hold, and the optimizer's own settings."""
    optimizer = model.optimizer
    held = {name for name in vars(model) if name != "_eval_epoch_iterator"}
    handler = signal.getsignal(signal.SIGINT)
    return held, set(vars(optimizer)), type(model.train_function), optimizer.momentum, handler


def cut_off(model, *callbacks, **arguments):
    error = arguments.pop("error", RuntimeError)
    with pytest.raises(error, match="struck"):
        fit(model, (X, Y), *callbacks, validation_data=(X, Y), **arguments)


def check_clean(model, twin, rate=0.25):
    assert attributes(model) == attributes(twin)
    optimizer = model.optimizer
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == rate
    assert len(optimizer.variables) == len(twin.optimizer.variables)


def sgd():
    return network(keras.optimizers.SGD(0.25, momentum=0.9))


@pytest.mark.filterwarnings("ignore:CosineWarmRestarts")
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("kind", CALLBACKS)
def test_nothing_is_left_behind(kind, site):
    model, twin = sgd(), sgd()
    ours, strike = CALLBACKS[kind](), Strike(site)
    strikes_first = (list(CALLBACKS).index(kind) + SITES.index(site)) % 2
    cut_off(model, *([strike, ours] if strikes_first else [ours, strike]))
    cut_off(twin, Strike(site))
    check_clean(model, twin)


@pytest.mark.parametrize("kind", ["scheduler", "plateau", "finder"])
def test_nor_where_the_data_breaks(kind):
    model, twin = sgd(), sgd()
    for each, callbacks in ((model, [CALLBACKS[kind]()]), (twin, [])):
        with pytest.raises(Exception, match="struck"):
            each.fit(
                broken_data(), steps_per_epoch=6, shuffle=False, verbose=0, callbacks=callbacks
            )
    check_clean(model, twin)


class Breaking(keras.Sequential):
    """A model whose third step raises."""

    steps = 0

    def train_step(self, *arguments):
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("struck")
        return super().train_step(*arguments)


VIEWS = {kind: CALLBACKS[kind] for kind in ("average", "cooldown", "scheduler")}
if has_schedule_free:
    VIEWS["swap"] = SwapScheduleFreeWeights


@pytest.mark.parametrize("kind", VIEWS)
def test_nor_where_the_step_raises(kind):
    held = []
    for callbacks in ([VIEWS[kind]()], []):
        model = Breaking([keras.Input((4,)), keras.layers.Dense(1)])
        optimizer = keras.optimizers.SGD(0.25, momentum=0.9)
        if kind == "swap":
            optimizer = keras.optimizers.ScheduleFreeAdamW(0.1)
        model.compile(optimizer, "mse", run_eagerly=True)
        model.optimizer.build(model.trainable_variables)
        with pytest.raises(RuntimeError, match="struck") as error:
            fit(model, (X, Y), *callbacks)
        handler = signal.getsignal(signal.SIGINT)
        settings = {name for name in vars(optimizer) if not name.startswith("_keras_lr")}
        held.append((set(vars(model)), settings, handler, error))
    assert held[0][:3] == held[1][:3]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "pair", list(itertools.permutations(["observer", "average", "cooldown"], 2))
)
def test_nor_after_two_callbacks_of_a_fit_that_ends(pair):
    model, twin = sgd(), sgd()
    fit(model, (X, Y), *[CALLBACKS[kind]() for kind in pair], validation_data=(X, Y), epochs=1)
    fit(twin, (X, Y), validation_data=(X, Y), epochs=1)
    check_clean(model, twin)


def test_nor_at_ctrl_c_while_the_exception_is_held_and_the_model_is_used():
    model, twin = sgd(), sgd()
    with pytest.raises(KeyboardInterrupt, match="struck") as held:
        fit(model, (X, Y), CALLBACKS["scheduler"](), Strike("on_epoch_end", KeyboardInterrupt))
    twin.fit(X, Y, verbose=0)
    model.train_on_batch(X[:8], Y[:8])
    check_clean(model, twin)
    assert held


@pytest.mark.filterwarnings("ignore:CosineWarmRestarts")
def test_then_the_model_can_be_saved_copied_and_evaluated(tmp_path):
    for kind in CALLBACKS:
        model = sgd()
        cut_off(model, CALLBACKS[kind](), Strike("on_epoch_end"))
        expected = model.predict(X, verbose=0)
        model.save(tmp_path / "model.keras")
        for again in (
            keras.saving.load_model(tmp_path / "model.keras"),
            pickle.loads(pickle.dumps(model)),
            copy.deepcopy(model),
        ):
            np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
            assert float(keras.ops.convert_to_numpy(again.optimizer.learning_rate)) == 0.25
        model.evaluate(X, Y, verbose=0)


@pytest.mark.skipif(not has_schedule_free, reason="Keras has had Schedule-Free since 3.14")
@pytest.mark.parametrize("site", SITES)
def test_a_view_of_averaged_weights_is_not_left_behind(site):
    model, twin = (network(keras.optimizers.ScheduleFreeAdamW(0.1)) for _ in range(2))
    cut_off(model, SwapScheduleFreeWeights(), Strike(site))
    cut_off(twin, Strike(site))
    assert set(vars(model)) == set(vars(twin))
