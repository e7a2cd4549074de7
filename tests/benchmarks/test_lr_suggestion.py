"""The benchmark's regret and the published rules, on curves whose answer is known."""

import json
import math
import pathlib

import numpy as np
import pytest

from benchmarks.lr_suggestion.leave_one_out import (
    CHOICES,
    SHIPPED,
    TRIALS,
    corrected,
    left_out,
)
from benchmarks.lr_suggestion.regret import TRUTH, regret
from benchmarks.lr_suggestion.rules import (
    PEERS,
    Peer,
    Smoothing,
    minimum,
    steep,
    steepest_lr,
    valley,
)
from benchmarks.lr_suggestion.run import read
from benchmarks.lr_suggestion.table import brief, markdown, summary

RATES = np.geomspace(1e-7, 10.0, 100)


def sigmoid_fall(middle):
    """A loss that falls from 2 to 1, fastest with respect to log lr at `middle`."""
    return 1.0 + 1.0 / (1.0 + (RATES / middle) ** 2)


@pytest.mark.parametrize("task", TRUTH)
def test_the_best_learning_rate_has_no_regret_and_nonsense_all(task):
    known = TRUTH[task]
    best = known["learning_rates"][int(np.argmin(known["final_val_loss"]))]
    assert regret(task, best) == pytest.approx(0.0, abs=1e-9)
    assert regret(task, math.nan) == regret(task, 0.0) == 1.0


def test_regret_is_the_definition_s():
    known = TRUTH["digits_mlp_adam"]
    low, high = known["learning_rates"][5:7]
    losses = known["final_val_loss"]
    middle = (losses[5] + losses[6]) / 2
    expected = (middle - min(losses)) / (known["initial_val_loss"] - min(losses))
    assert regret("digits_mlp_adam", math.sqrt(low * high)) == pytest.approx(expected, rel=1e-4)


def test_a_debiased_average_of_a_constant_is_the_constant():
    np.testing.assert_allclose(Smoothing(0.98, debiased=True)(np.full(50, 3.0)), 3.0)


def test_steepest_rules_find_the_middle_of_a_fall():
    assert steep(RATES, sigmoid_fall(1e-3)) == pytest.approx(1e-3, rel=0.2)
    assert steepest_lr(RATES, sigmoid_fall(1e-3)) < 1e-3


def test_minimum_is_a_tenth_and_valley_lies_in_the_middle():
    losses = np.abs(np.log10(RATES) + 2)
    assert minimum(RATES, losses) == pytest.approx(1e-3, rel=0.15)
    falling = np.linspace(2, 1, 100)
    assert valley(RATES, falling) == RATES[-1 - 100 + 33 + 16]


def test_a_sweep_stops_where_its_library_stops():
    losses = np.concatenate([np.linspace(2, 1, 60), np.full(40, 100.0)])
    peer = Peer(minimum, Smoothing(0.0, debiased=False), 4.0)
    assert peer.suggest(RATES, losses)[1] == 61


@pytest.mark.parametrize("name", PEERS)
def test_every_published_rule_answers_a_clean_curve(name):
    losses = sigmoid_fall(1e-3)
    learning_rate, steps = PEERS[name].suggest(RATES, losses)
    assert steps == 100
    assert learning_rate is not None
    assert 1e-7 <= learning_rate <= 10.0


def test_the_table_takes_means_over_tasks():
    best = {
        task: known["learning_rates"][int(np.argmin(known["final_val_loss"]))]
        for task, known in TRUTH.items()
    }
    rows = [
        {"task": task, "suggestions": [suggestion]}
        for task, learning_rate in best.items()
        for suggestion in [
            {"method": "best", "learning_rate": learning_rate, "steps": 5, "silent": False}
        ]
    ]
    table = summary(rows)
    assert table[0]["final"]["mean"] == pytest.approx(0.0, abs=1e-4)
    assert table[0]["steps"] == {"mean": 5.0, "most": 5}
    assert markdown(table).count("\n") == 3


def test_the_committed_tables_are_those_of_the_committed_results():
    root = pathlib.Path(__file__).parents[2]
    folder = root / "benchmarks" / "lr_suggestion"
    lines = (folder / "results.jsonl").read_text("utf8").splitlines()
    table = summary([json.loads(line) for line in lines])
    assert table == json.loads((folder / "results.json").read_text("utf8"))
    assert markdown(table) == (folder / "results.md").read_text("utf8")
    shown = (root / "docs" / "benchmarks.md").read_text("utf8").split("<!-- suggestions -->\n")[1]
    assert shown.split("<!-- /suggestions -->")[0] == brief(table)


def test_constants_are_tried_on_the_formula_of_the_library():
    rows = read(TRIALS)
    assert len(rows) == 3 * len(TRUTH)
    chosen = [row["chosen"] for row in rows]
    np.testing.assert_allclose([corrected(row, SHIPPED) for row in rows], chosen, rtol=1e-6)


def test_a_task_left_out_has_no_say_in_its_constants():
    rows, choices = read(TRIALS), CHOICES[::40]
    changed = [row | {"short": 1e3} if row["task"] == "digits_mlp_adam" else row for row in rows]
    index = list(TRUTH).index("digits_mlp_adam")
    assert left_out(changed, choices)[1][index] == left_out(rows, choices)[1][index]
