"""Data and arguments of the searches, refused in the library's own words before any training."""

import math

import keras
import numpy as np
import pytest
from support.tiny import JIT, identical, regression, values

from keras_lr import LRRangeTest, lr_find, lr_sweep, tune_adam, tune_lr
from keras_lr._engine.train_function import TrainFunction

X, Y = regression(samples=60)


def shown(value):
    """Return the name of a case, the same in every process: without the place in memory."""
    return str(value).split(" at 0x")[0]


QUICK = {"batch_size": 20, "verbose": 0}
SEARCHES = {
    lr_find: {"steps": 3},
    lr_sweep: {"steps": 2, "learning_rates": [1e-3, 1e-2]},
    tune_lr: {"steps": 12, "max_cost": 40},
    tune_adam: {"steps": 3, "lr": (1e-3, 1e-2), "validation_data": (X, Y)},
}
LOOKED_AT = [lr_find, lr_sweep, tune_adam]  # with validation data


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    made = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    made.compile("adam", "mse", jit_compile=JIT)
    made.optimizer.build(made.trainable_variables)
    return made


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[20 * index : 20 * index + 20], Y[20 * index : 20 * index + 20]


def refused(monkeypatch, model, search, **arguments):
    """Return the message of a refusal, made before the first step."""
    monkeypatch.setattr(TrainFunction, "__call__", None)
    before = values(model)
    options = {"x": X, "y": Y} | QUICK | SEARCHES[search] | arguments
    with pytest.raises((TypeError, ValueError), match=rf"^{search.__name__}: ") as told:
        search(model, **options)
    assert identical(values(model), before)
    assert len(str(told.value)) < 300
    return str(told.value)


CLASS_WEIGHTS = [[1], "a", 3, {"a": 1}, {0: "a"}, {0: math.nan}, {0: -1.0}, {-1: 1}, np.ones(2)]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("value", CLASS_WEIGHTS, ids=shown)
def test_class_weights(monkeypatch, model, search, value):
    assert "class_weight" in refused(monkeypatch, model, search, class_weight=value)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("value", ["a", 0, -1, 1.5, True, [1], 10**30, np.ones(2)], ids=shown)
@pytest.mark.parametrize("name", ["steps_per_epoch", "batch_size"])
def test_numbers_of_batches_and_samples(monkeypatch, model, search, name, value):
    assert name in refused(monkeypatch, model, search, **{name: value})


LENGTHS = [
    {"y": Y[:30]},
    {"sample_weight": np.ones(7)},
    {"x": X[:30]},
    {"y": np.array(0.1)},
    {"y": 3},
    {"y": []},
    {"sample_weight": (Y[:, 0], Y[:, 0])},
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("value", LENGTHS, ids=[str(list(each)) for each in LENGTHS])
def test_lengths_that_do_not_agree(monkeypatch, model, search, value):
    message = refused(monkeypatch, model, search, **value)
    assert next(iter(value)) in message


class Empty(Batches):
    def __len__(self):
        return 0


class CountedElsewhere(Batches):
    """Says how many batches there are without a length."""

    num_batches = 0

    def __len__(self):
        raise NotImplementedError


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("value", [Empty, CountedElsewhere, lambda: iter([(X, Y)])])
def test_what_holds_no_batch_that_can_be_taken_again(monkeypatch, model, search, value):
    message = refused(monkeypatch, model, search, x=value(), y=None)
    assert "x" in message
    if search in LOOKED_AT:
        message = refused(monkeypatch, model, search, validation_data=value())
        assert "validation_data" in message


@pytest.mark.parametrize("search", SEARCHES)
def test_batches_without_a_length_are_searched(model, search):
    batches = CountedElsewhere()
    batches.num_batches = 3
    assert search(model, batches, **{"verbose": 0} | SEARCHES[search])


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    "value", [None, 3, "a", [], [None], {}, np.array(0.1), X[:0], object(), len], ids=shown
)
def test_what_is_no_data(monkeypatch, model, search, value):
    assert "x" in refused(monkeypatch, model, search, x=value)


VALIDATIONS = [[None], np.array(0.1), (), 3, "a", {}, (X, Y[:7]), (X, Y, None, None), (X, None), X]


@pytest.mark.parametrize("search", LOOKED_AT)
@pytest.mark.parametrize("index", range(len(VALIDATIONS)))
def test_what_is_no_validation_data(monkeypatch, model, search, index):
    message = refused(monkeypatch, model, search, validation_data=VALIDATIONS[index])
    assert "validation_data" in message


@pytest.mark.parametrize("value", [[None], np.array(0.1), 3, (X, Y[:7])], ids=shown)
def test_what_the_range_test_cannot_validate_on(value):
    with pytest.raises(ValueError, match=r"^LRRangeTest: .*validation_data"):
        LRRangeTest(validation_data=value)


def test_rates_beside_a_dataset_are_not_taken_for_targets(monkeypatch, model):
    message = refused(monkeypatch, model, lr_sweep, x=Batches(), y=[1e-3, 1e-2])
    assert message.endswith("Pass learning rates by name, learning_rates=[...].")
    for search in (lr_find, tune_lr, tune_adam):
        assert "y must be None" in refused(monkeypatch, model, search, x=Batches(), y=Y)


@pytest.mark.parametrize("value", ["a", None, {}, [1j], [[1], [2, 3]], object(), 10**400, [1e39]])
def test_learning_rates_that_are_none(monkeypatch, model, value):
    assert "learning_rates" in refused(monkeypatch, model, lr_sweep, learning_rates=value)


@pytest.mark.parametrize("value", ["a", 3, [1], np.ones(2), object(), dict])
def test_schedules_that_are_none(monkeypatch, model, value):
    assert "schedule must be" in refused(monkeypatch, model, tune_lr, schedule=value)


@pytest.mark.parametrize(
    ("search", "name"),
    [(lr_sweep, "scale"), (tune_lr, "quick"), (tune_lr, "thorough"), (tune_lr, "apply")],
)
@pytest.mark.parametrize("value", ["no", 2, None, np.ones(2)], ids=shown)
def test_flags(monkeypatch, model, search, name, value):
    assert name in refused(monkeypatch, model, search, **{name: value})


@pytest.mark.parametrize("search", SEARCHES)
def test_numbers_too_large_to_be_meant(monkeypatch, model, search):
    assert "steps" in refused(monkeypatch, model, search, steps=10**30)


@pytest.mark.parametrize("value", [{}, {"a": 1}, np.array(0.1), object(), (X, Y[:7]), X[:0]])
def test_what_is_no_probe(monkeypatch, model, value):
    assert "probe" in refused(monkeypatch, model, lr_find, probe=value)


class Endless(Batches):
    """Has no last batch."""

    @property
    def num_batches(self):
        return None


def test_endless_validation_data_needs_a_length(model):
    data = Endless()
    with pytest.raises(ValueError, match=r"lr_find: .* must have a length.*Pass validation_steps"):
        lr_find(model, X, Y, validation_data=data, verbose=0)
    found = lr_find(model, X, Y, steps=10, validation_data=data, validation_steps=2, verbose=0)
    assert np.isfinite(found.validation_losses[-1])


def test_a_step_that_reports_a_vector_is_refused_in_words():
    class Vector(keras.Sequential):
        def train_step(self, *arguments):
            result = super().train_step(*arguments)
            logs, *state = result if isinstance(result, tuple) else (result,)
            logs = {"loss": keras.ops.stack([logs["loss"]] * 3)}
            return (logs, *state) if state else logs

    model = Vector([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=JIT)
    with pytest.raises(ValueError, match=r"^train_step: .* one number. Received: shape=\(3,\)"):
        lr_find(model, X, Y, verbose=0)
