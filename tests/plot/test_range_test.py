"""The picture of a range test: the data first, then what ends up on the Axes."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from keras_lr import RangeTestResult, plot_range_test

RATES = np.geomspace(1e-6, 100.0, 161)
CLEAN = 2.0 - 1.5 / (1.0 + 1e-3 / RATES) + RATES


def result(losses=CLEAN, **changes):
    fields = {
        "learning_rates": RATES,
        "losses": losses,
        "smoothed_losses": losses,
        "stop_reason": "completed",
        "default_learning_rate": 1e-3,
    }
    return RangeTestResult(**fields | changes)


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def labels(ax):
    return {text.get_text() for text in ax.get_legend().get_texts()}


def test_every_suggestion_is_marked_on_the_line():
    drawn = result().picture()
    assert {mark.rule: mark.learning_rate for mark in drawn.marks} == result().suggestions()
    rates = [mark.learning_rate for mark in drawn.marks]
    assert rates == sorted(rates)
    for mark in drawn.marks:
        expected = 2.0 - 1.5 / (1.0 + 1e-3 / mark.learning_rate) + mark.learning_rate
        assert mark.loss == pytest.approx(expected, abs=0.05)  # the kernel flattens bends


def test_the_diverged_part_is_left_out():
    drawn = result().picture()
    assert drawn.limits[0] == pytest.approx(CLEAN.min(), rel=0.01)
    assert drawn.limits[1] == CLEAN[0]
    assert 1.0 < drawn.learning_rates[-1] < 3.0  # where the loss is back at its start
    np.testing.assert_array_equal(drawn.learning_rates, RATES[: len(drawn.smoothed)])


@pytest.mark.parametrize("explosion", [1e12, np.inf, np.nan])
def test_an_explosion_changes_nothing_before_it(explosion):
    wild = np.where(RATES > 10.0, explosion, CLEAN)
    assert result(wild).picture().limits == result().picture().limits


def test_the_line_follows_the_probe():
    noisy = CLEAN + np.random.default_rng(0).normal(size=len(RATES))
    probed = result(noisy, probe_losses=CLEAN).picture()
    np.testing.assert_array_equal(probed.smoothed, result().picture().smoothed)


@pytest.mark.parametrize("losses", [np.full(161, 2.3), 2.0 + RATES], ids=["flat", "rising"])
def test_a_record_without_suggestion_says_so(losses, ax):
    drawn = result(losses).picture()
    assert drawn.marks == ()
    assert "no suggestion" in drawn.note
    plot_range_test(result(losses), ax)
    assert drawn.note in [text.get_text() for text in ax.texts]
    low, high = ax.get_ylim()
    assert low < losses[0] < high


def test_a_record_without_a_finite_loss_cannot_be_drawn():
    with pytest.raises(ValueError, match="needs a finite loss"):
        result(np.full(161, np.nan)).picture()


def test_axes_are_named_logarithmic_and_returned(ax):
    assert plot_range_test(result(), ax) is ax
    assert ax.get_xscale() == "log"
    assert "earning rate" in ax.get_xlabel()
    assert "Loss" in ax.get_ylabel()
    assert labels(ax) == {"batch loss", "smoothed"}


def test_without_axes_a_figure_is_made_and_not_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: shown.append(args))
    before, style = plt.get_fignums(), dict(plt.rcParams)
    drawn = plot_range_test(result())
    assert len(plt.get_fignums()) == len(before) + 1
    assert shown == []
    assert dict(plt.rcParams) == style
    plt.close(drawn.figure)


def test_everything_recorded_is_drawn(ax):
    repeats = CLEAN + np.linspace(-0.1, 0.1, 5)[:, None]
    validation = np.where(np.arange(161) % 20 == 0, CLEAN + 0.05, np.nan)
    record = result(probe_losses=CLEAN, validation_losses=validation, repeat_losses=repeats)
    plot_range_test(record, ax)
    expected = {"batch loss (median)", "quartiles", "probe loss", "validation loss", "smoothed"}
    assert labels(ax) == expected
    (line,) = [line for line in ax.lines if line.get_label() == "validation loss"]
    np.testing.assert_array_equal(line.get_xdata(), RATES[::20])


def test_labels_of_suggestions_do_not_overlap(ax):
    plot_range_test(result(default_learning_rate=1.7e-3), ax)
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_text()]  # no stems
    names = [text.get_text().split()[0] for text in ax.texts if text.get_text()]
    assert set(names) == set(result().suggestions())
    rows = sorted((box.y0, box.y1) for box in boxes)
    assert all(below[1] <= above[0] + 1.0 for below, above in pairwise(rows))
    assert all(box.x1 <= ax.get_window_extent().x1 for box in boxes)


@pytest.mark.parametrize("rules", [["valley", "consensus"], "valley"])
def test_only_the_rules_asked_for_are_marked(ax, rules):
    plot_range_test(result(), ax, rules=rules)
    named = {text.get_text().split()[0] for text in ax.texts if text.get_text()}
    assert named == ({rules} if isinstance(rules, str) else set(rules))


def test_an_unknown_rule_is_refused(ax):
    with pytest.raises(ValueError, match="must be one of"):
        plot_range_test(result(), ax, rules=["steepest"])
