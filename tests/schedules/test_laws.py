"""The laws that every schedule keeps: see `cases.py` for the schedules."""

import json

import keras
import numpy as np
import pytest
from schedules.cases import CASES
from support.tiny import EXECUTIONS

from keras_lr import schedules

CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
STEPS = np.arange(51)


@CASE
def test_closed_form(case):
    values = case.schedule.values(STEPS)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, case.formula(STEPS.astype(float)), rtol=3e-6, atol=2e-7)


@CASE
def test_vector_is_scalars(case):
    vector = case.schedule.values(STEPS)
    chosen = [0, 1, 4, 9, 20, 50]
    scalars = [float(case.schedule(keras.ops.convert_to_tensor(step))) for step in chosen]
    np.testing.assert_allclose(vector[chosen], scalars, rtol=2e-6, atol=1e-7)


@CASE
def test_config_round_trip(case):
    schedule = case.schedule
    again = type(schedule).from_config(schedule.get_config())
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule)) == (
        schedule
    )


def in_numpy(value):
    """Return numbers, flags and tuples of them as NumPy has them."""
    if isinstance(value, tuple):
        return tuple(map(in_numpy, value))
    return np.asarray(value)[()] if isinstance(value, int | float) else value


@CASE
def test_numbers_of_numpy_become_plain(case):
    fields = {name: in_numpy(value) for name, value in case.schedule.fields().items()}
    again = type(case.schedule)(**fields)
    assert again == case.schedule
    assert repr(again) == repr(case.schedule)
    assert json.dumps(again.get_config()) == json.dumps(case.schedule.get_config())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "uint32", "int64", "uint64"])
@CASE
def test_steps_of_any_integer_type(case, dtype):
    expected = case.schedule.values(STEPS.astype("int32"))
    np.testing.assert_array_equal(case.schedule.values(STEPS.astype(dtype)), expected)


@CASE
def test_saved_in_a_model(case, tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(case.schedule), loss="mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer._learning_rate == case.schedule


PRINTABLE = [case for case in CASES if not isinstance(case.schedule, schedules.FromCallable)]


@pytest.mark.parametrize("case", PRINTABLE, ids=lambda case: case.name)
def test_repr_is_the_expression(case):
    assert eval(repr(case.schedule), vars(schedules)) == case.schedule


@CASE
def test_steps_and_cycle_ends(case):
    assert case.schedule.steps == case.steps
    assert tuple(case.schedule.cycle_ends(50)) == case.cycle_ends
    if case.steps is not None:  # the last value stays
        last, later = case.schedule.values([case.steps, case.steps + 1000])
        assert last == later


@CASE
def test_before_step_zero_is_step_zero(case):
    before, zero = case.schedule.values([-5, 0])
    assert before == zero


def test_every_public_schedule_has_a_case():
    public = {getattr(schedules, name) for name in schedules.__all__}
    shown = " ".join(f"{case.schedule!r} {type(case.schedule).__name__}(" for case in CASES)
    missing = {
        item.__name__
        for item in public
        if isinstance(item, type) and f"{item.__name__}(" not in shown
    }
    assert missing == {"Schedule"}


class AllCases(keras.optimizers.schedules.LearningRateSchedule):
    """The value of each case's schedule, in one vector."""

    def __call__(self, step):
        values = [keras.ops.convert_to_tensor(case.schedule(step), "float32") for case in CASES]
        return keras.ops.stack(values)


class Descent(keras.optimizers.Optimizer):
    """SGD that takes a vector of learning rates on every backend."""

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, gradient * learning_rate)


class Displacements(keras.Model):
    """One weight for each case, with gradient 1, so that descent moves it by the learning rate."""

    def __init__(self):
        super().__init__()
        self.moved = self.add_weight(shape=(len(CASES),), initializer="zeros")

    def call(self, x):
        return x * keras.ops.sum(self.moved)


@pytest.fixture(scope="module", params=EXECUTIONS)
def displacements(request):
    """What 40 steps under each schedule moved its weight by, in one compiled fit."""
    model = Displacements()
    model.compile(
        Descent(AllCases()),
        loss=lambda _, y_pred: keras.ops.mean(y_pred),
        steps_per_execution=request.param,
    )
    ones = np.ones((40, 1), "float32")
    model.fit(ones, ones, batch_size=1, epochs=1, verbose=0)
    weights = keras.ops.convert_to_numpy(model.moved)
    return {case.name: -float(weight) for case, weight in zip(CASES, weights, strict=True)}


@CASE
def test_unit_gradient(case, displacements):
    applied = case.formula(np.arange(40.0)).sum()
    np.testing.assert_allclose(displacements[case.name], applied, rtol=3e-6)
