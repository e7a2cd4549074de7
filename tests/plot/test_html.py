"""Results as HTML, for notebooks."""

import base64
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from keras_lr import RangeTestResult, SweepResult, TuneResult
from keras_lr.search.tune.climb import Trial

RATES = np.geomspace(1e-6, 100.0, 161)


def range_test(losses):
    return RangeTestResult(
        learning_rates=RATES, losses=losses, smoothed_losses=losses, stop_reason="completed"
    )


def sweep():
    losses = np.exp(-np.outer([0.01, 0.1], np.arange(20.0)))
    return SweepResult(
        learning_rates=np.array([0.01, 0.1]),
        losses=losses,
        repeat_losses=losses[None],
        final={"loss": losses[:, -5:].mean(axis=1)},
        diverged=np.zeros(2, bool),
        stopped_at=np.full(2, 20),
        cost_steps=40,
    )


def falling():
    return range_test(2.0 - 1.5 / (1.0 + 1e-3 / RATES) + RATES)


@pytest.mark.parametrize("make", [falling, sweep, lambda: tuned()])
def test_a_table_and_a_picture_and_no_figure_left_open(make):
    before = plt.get_fignums()
    shown = make()._repr_html_()
    (image,) = re.findall(r"src='data:image/png;base64,([^']+)'", shown)
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def tuned():
    trials = ((-2.0, 1.0), (-1.0, 0.5), (0.0, 1.5))
    return TuneResult(
        learning_rate=0.08,
        trials=tuple(Trial(*each) for each in trials),
        untrained=2.0,
        short_run_learning_rate=0.1,
        trial_steps=50,
        total_steps=400,
        beta=0.3,
        cost_steps=150,
    )


def test_every_suggestion_is_in_the_table():
    result = falling()
    for rule, rate in result.suggestions().items():
        assert f"{rule}</th><td>{rate:.3g}<" in result._repr_html_()
    assert f"{sweep().best_lr:.3g}" in sweep()._repr_html_()


def test_a_result_with_nothing_to_draw_is_a_table():
    before = plt.get_fignums()
    shown = range_test(np.full(161, np.nan))._repr_html_()
    assert "<img" not in shown
    assert "see refusals()" in shown
    assert plt.get_fignums() == before
