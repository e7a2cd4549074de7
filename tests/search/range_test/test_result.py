"""The result object: locked arrays, equality, round trips, and what it says about itself."""

import copy
import json
import pickle
import sys
import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from keras_lr import RangeTestResult
from keras_lr.search import suggest
from keras_lr.search.suggest import RULES, SuggestionError

RATES = np.geomspace(1e-9, 10.0, 101)
CLEAN = 2.0 - 1.5 / (1.0 + 1e-3 / RATES) + RATES


def result(**changes):
    fields = {
        "learning_rates": RATES,
        "losses": CLEAN,
        "smoothed_losses": CLEAN,
        "stop_reason": "completed",
        "steps": 101,
        "default_learning_rate": 1e-3,
    }
    return RangeTestResult(**fields | changes)


@pytest.fixture
def full():
    """A result with every field, NaN and infinity among the values."""
    rng = np.random.default_rng(0)
    repeats = CLEAN + 0.05 * rng.normal(size=(5, 101))
    repeats[0, 80:] = np.nan
    repeats[:, 100] = np.nan
    validation = np.where(np.arange(101) % 10 == 0, CLEAN, np.nan)
    losses = np.where(np.arange(101) == 100, np.inf, CLEAN)
    return result(
        losses=losses,
        stop_reason="loss is not finite: inf at 10",
        optimizer_learning_rate=0.01,
        probe_losses=CLEAN,
        validation_losses=validation,
        repeat_losses=repeats,
    )


def test_arrays_are_copies_and_locked():
    mine = CLEAN.copy()
    record = result(losses=mine, repeat_losses=[mine])
    mine[0] = 99.0
    assert record.losses[0] == CLEAN[0]
    assert record.losses.dtype == np.float64
    for array in (record.learning_rates, record.losses, record.repeat_losses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        record.losses = mine


@pytest.mark.parametrize(
    "field", ["losses", "smoothed_losses", "probe_losses", "validation_losses", "repeat_losses"]
)
def test_lengths_must_agree(field):
    with pytest.raises(ValueError, match=rf"{field} must hold one value .*\(101\)"):
        result(**{field: CLEAN[:-1]})


def test_equality_is_by_value_and_nan_equals_nan(full):
    assert full == replace(full)
    assert full != replace(full, validation_losses=None)
    assert full != replace(full, probe_losses=CLEAN + 1.0)
    assert full != replace(full, stop_reason="completed")
    assert full != "a result"


def test_round_trip_through_json(full):
    text = json.dumps(full.to_dict())
    assert RangeTestResult.from_dict(json.loads(text)) == full
    assert RangeTestResult.from_dict(result().to_dict()) == result()
    from_numpy = result(default_learning_rate=np.float32(0.5))
    assert json.loads(json.dumps(from_numpy.to_dict()))["default_learning_rate"] == 0.5


def test_bounds_are_those_of_the_steps_done():
    record = result()
    assert (record.min_lr, record.max_lr) == (pytest.approx(1e-9), pytest.approx(10.0))


def test_spread_holds_the_quartiles_of_the_repeats_still_running(full):
    finite = [column[np.isfinite(column)] for column in full.repeat_losses.T[:100]]
    expected = np.array([np.percentile(column, [25, 75]) for column in finite]).T
    np.testing.assert_allclose(full.spread[:, :100], expected)
    assert np.isnan(full.spread[:, 100]).all()


@pytest.mark.parametrize("repeats", [None, [CLEAN]])
def test_there_is_no_spread_without_repeats(repeats):
    assert result(repeat_losses=repeats).spread is None


@pytest.mark.parametrize("rule", sorted(RULES.keys() - {"consensus"}))
def test_suggest_asks_the_rule(rule):
    assert result().suggest(rule) == RULES[rule](RATES, CLEAN)


def test_the_default_rule_is_consensus_with_the_optimizers_default():
    record = result(default_learning_rate=1e-9)
    assert record.suggest() == suggest.consensus(RATES, CLEAN, default=1e-9)
    assert record.suggest() != suggest.consensus(RATES, CLEAN)


def test_rules_prefer_the_probe():
    noisy = CLEAN + np.random.default_rng(0).normal(size=101)
    assert result(losses=noisy, probe_losses=CLEAN).suggestions() == result().suggestions()
    with pytest.raises(SuggestionError, match="probe batch"):
        result(losses=noisy).suggest()


def test_unknown_rule():
    with pytest.raises(ValueError, match=r"one of 'valley', .*Received: rule='steepest'"):
        result().suggest("steepest")


def test_every_rule_suggests_or_refuses():
    short = result(
        learning_rates=RATES[55:], losses=CLEAN[55:], smoothed_losses=CLEAN[55:]
    )  # no level stretch at the start
    assert set(short.refusals()) == {"slide"}
    assert set(short.suggestions()) == RULES.keys() - {"slide"}
    assert short.suggestions()["valley"] == short.suggest("valley")


def test_a_flat_record_is_refused_by_every_rule():
    flat = result(losses=np.full(101, 2.3))
    assert flat.suggestions() == {}
    assert flat.refusals().keys() == RULES.keys()
    assert all("it is flat" in reason for reason in flat.refusals().values())


def test_repr_tells_how_far_why_and_what():
    record = result(
        learning_rates=RATES[:80],
        losses=CLEAN[:80],
        smoothed_losses=CLEAN[:80],
        stop_reason="diverged (smoothed loss 9.1, its best was 2.2)",
        steps=101,
    )
    expected = (
        f"(80 of 101 steps, 1e-09 to {RATES[79]:.3g}; diverged; suggestion {record.suggest():.1e} "
    )
    assert repr(record) == f"RangeTestResult{expected}(consensus))"


def test_repr_without_a_suggestion():
    flat = result(losses=np.full(101, 2.3), steps=None)
    expected = "(101 steps, 1e-09 to 10; completed; no suggestion, see refusals())"
    assert repr(flat) == f"RangeTestResult{expected}"


@pytest.mark.parametrize("rates", [[1.0, 0.1], [0.1, 0.1], [-1.0, 1.0], [0.1, np.nan]])
def test_repr_of_what_is_no_sweep_does_not_raise(rates):
    lying = RangeTestResult(
        learning_rates=rates, losses=[1.0, 2.0], smoothed_losses=[1.0, 2.0], stop_reason="completed"
    )
    assert repr(lying).endswith("; completed; no record of a sweep)")
    with pytest.raises(ValueError, match="learning_rates must be finite, positive and increasing"):
        lying.suggest()


def test_every_rule_is_asked_once(monkeypatch, full):
    asked = []
    plain = RangeTestResult.suggest
    monkeypatch.setattr(
        RangeTestResult, "suggest", lambda self, rule: asked.append(rule) or plain(self, rule)
    )
    full.suggestions()
    assert len(asked) == len(set(asked))


def test_dataframe_has_the_recorded_columns(full):
    plain = result().to_dataframe()
    assert list(plain.columns) == ["learning_rates", "losses", "smoothed_losses"]
    np.testing.assert_array_equal(plain["losses"], CLEAN)
    frame = full.to_dataframe()
    assert list(frame.columns[3:]) == [
        "probe_losses",
        "validation_losses",
        "lower_quartile",
        "upper_quartile",
    ]
    assert (frame.index.name, len(frame)) == ("step", 101)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result().to_dataframe()


def test_plot_draws_into_the_axes_given():
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert result().plot(ax=ax, rules=["consensus"]) is ax
    assert len(ax.texts) >= 1
    plt.close(figure)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, copy.copy, lambda r: pickle.loads(pickle.dumps(r))]
)
def test_a_copy_is_equal_and_locked(copied, full):
    twin = copied(full)
    assert twin == full
    for name in ("losses", "repeat_losses"):
        assert not getattr(twin, name).flags.writeable


def falling_until(decades, steps=101):
    rates = np.geomspace(1e-6, 10.0**decades, steps)
    losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
    return RangeTestResult(
        learning_rates=rates, losses=losses, smoothed_losses=losses, stop_reason="completed"
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_sweep_that_ends_in_mid_fall_warns(rule):
    short = falling_until(-3)
    assert short.still_falling
    with pytest.warns(UserWarning, match=r"suggest: .* max_lr=0.001. Raise max_lr"):
        short.suggest(rule)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short.suggestions()
        assert "completed, the loss still falling" in repr(short)
        whole = falling_until(2)
        whole.suggest(rule)
    assert not whole.still_falling
    assert "falling" not in repr(whole)


def test_repr_names_each_reason_once():
    reasons = ["diverged (smoothed loss 5.3, its best was 1.2)", "completed", "diverged (NaN)"]
    assert "; diverged; completed; " in repr(
        replace(falling_until(2), stop_reason="; ".join(reasons))
    )
