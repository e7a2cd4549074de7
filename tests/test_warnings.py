"""Warnings and errors are short, and warnings point at the line that the user wrote."""

import ast
import pathlib
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import compiled, regression

import keras_lr as klr
from keras_lr import schedules
from keras_lr._warnings import warn
from keras_lr.errors import LONGEST, complaint

PACKAGE = pathlib.Path(klr.__file__).parent
X, Y = regression(24)


class Broken:
    """A value that cannot be printed."""

    def __repr__(self):
        raise RuntimeError("the array has been deleted")


LONG = [
    "x" * 10**5,
    list(range(10**5)),
    {"key": ["value"] * 500},
    10**5000,
    np.zeros((100, 100)),
    Broken(),
    [[[[list(range(50))] * 9] * 9] * 9] * 9,
]
WORDS = st.text(st.characters(codec="ascii", categories=["L"]), max_size=400)


@given(WORDS, WORDS, st.dictionaries(st.sampled_from("abc"), st.sampled_from(LONG), min_size=1))
def test_no_message_is_longer_than_the_bound(rule, fix, received):
    message = complaint("ReduceOnPlateauPlus", rule, fix, **received)
    assert len(message) <= LONGEST
    assert "\n" not in message
    assert message.startswith("ReduceOnPlateauPlus: ")
    assert ". Received: " in message


def test_a_rule_and_a_fix_that_leave_room_are_not_shortened():
    rule, fix = "monitor must be in the logs", "Pass one of " + "a, " * 30
    message = complaint("Owner", rule, fix, monitor="x" * 500)
    assert message.startswith(f"Owner: {rule}. Received: monitor='xxx")
    assert message.endswith(f"{fix}.")


def test_every_warning_goes_one_way():
    for path in PACKAGE.rglob("*.py"):
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        direct = [call for call in calls if ast.unparse(call.func) == "warnings.warn"]
        assert not direct, path


def test_a_long_warning_is_shortened_and_points_here():
    with pytest.warns(UserWarning, match=r"^x+ \.\.\. x+$") as caught:
        warn("x" * 10**6)
    assert len(str(caught[0].message)) == LONGEST
    assert caught[0].filename == __file__


def generator():
    while True:
        yield X[:8], Y[:8]


class Stop(keras.callbacks.Callback):
    """Ends a fit over endless data."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch >= 3


def fit(*callbacks, x=X, epochs=2):
    metrics = [keras.metrics.MeanAbsoluteError(f"m{'_' * 40}{i}") for i in range(20)]
    compiled(metrics=metrics).fit(x, Y, 8, epochs, 0, callbacks=[*callbacks])


def over_endless_data(callback):
    compiled().fit(generator(), callbacks=[callback, Stop()], verbose=0)


CASES = {
    "cycle ends": lambda: over_endless_data(
        klr.CosineWarmRestarts(0.1, first_cycle_steps=3, cycle_mult=1)
    ),
    "longer than the fit": lambda: fit(klr.LRScheduler(schedules.Linear(0.1, 0.0, 10**6))),
    "ends inside a cycle": lambda: fit(klr.CosineWarmRestarts(0.1, first_cycle_steps=4)),
    "half a cycle": lambda: fit(klr.CyclicLR(0.0, 0.1, step_size_steps=10**5)),
    "steps of a cycle": lambda: fit(klr.OneCycle(0.1, steps=4000, momentum=None)),
    "min_lr": lambda: fit(klr.ReduceOnPlateauPlus("loss", min_lr=1.0)),
    "strict": lambda: fit(klr.ReduceOnPlateauPlus("nothing", mode="min", strict=False)),
    "nan": lambda: fit(klr.ReduceOnPlateauPlus("loss", max_rescues=1), x=X * np.nan),
    "sweep": lambda: fit(klr.LRRangeTest(steps=100)),
}


def warned(function):
    """Return the warnings of this library, whatever the backend warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module="keras.*")
        function()
    return [one for one in caught if issubclass(one.category, UserWarning)]


@pytest.mark.parametrize("case", CASES)
def test_warnings_of_a_fit_are_short_and_point_at_its_line(case):
    caught = warned(CASES[case])
    assert caught
    for warning in caught:
        assert len(str(warning.message)) <= LONGEST
        assert warning.filename == __file__


def test_a_warning_of_a_search_points_at_its_line():
    rates = np.geomspace(1e-6, 1e-2, 100)
    losses = 1.0 - 50 * rates
    result = klr.RangeTestResult(
        learning_rates=rates, losses=losses, smoothed_losses=losses, stop_reason="completed"
    )
    (warning,) = warned(result.suggest)
    assert "the suggestion is low" in str(warning.message)
    assert warning.filename == __file__


def test_a_warning_in_a_callback_of_the_user_points_at_the_callback():
    class Fitting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            fit(klr.CyclicLR(0.0, 0.1, step_size_steps=10**5))

    (warning,) = warned(lambda: fit(Fitting(), epochs=1))
    assert warning.filename == __file__


def test_an_error_that_lists_names_is_short():
    with pytest.raises(ValueError, match="monitor must be in the logs") as caught:
        fit(klr.ReduceOnPlateauPlus("nothing", mode="min"))
    assert len(str(caught.value)) <= LONGEST
