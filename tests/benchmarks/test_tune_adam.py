"""The benchmark of `tune_adam`: its floor, its medians, its table and its results."""

import json
import math
import pathlib

import pytest

from benchmarks.tune_adam import compared, floored, markdown, ratios, read, summary

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"


def row(task, seed, way, loss, initial=1.0):
    return {
        "task": task, "seed": seed, "way": way, "loss": loss, "initial": initial, "steps": 0,
        "cpu_seconds": 0.0,
    }  # fmt: skip


def test_a_loss_below_a_hundredth_of_the_untrained_one_counts_as_that():
    assert floored(row("a", 0, "way", 1e-9, initial=2.0)) == pytest.approx(math.log(0.02))
    assert floored(row("a", 0, "way", 0.5, initial=2.0)) == pytest.approx(math.log(0.5))


def test_ratios_are_paired_by_seed_and_a_task_counts_by_its_median():
    rows = [row("a", seed, "default", 1.0) for seed in range(3)]
    rows += [row("b", seed, "default", 0.5) for seed in range(4)]
    rows += [row("a", seed, "tuned", loss) for seed, loss in enumerate([0.5, 0.8, 9.0])]
    rows += [row("b", seed, "tuned", 1.0) for seed in range(2)]
    found = compared(rows, "tuned", "default")
    assert found["pairs"] == 5
    assert found["tasks"] == pytest.approx({"a": 0.8, "b": 2.0})
    assert found["mean"] == pytest.approx(math.sqrt(0.8 * 2.0))
    assert (found["won"], found["of"]) == (1, 2)
    low, high = found["interval"]
    assert 0.5 <= low < found["mean"] < high <= 9.0
    assert ratios(rows, "default", "tuned")["b"] == pytest.approx([-math.log(2)] * 2)


def test_the_committed_table_is_that_of_the_committed_results():
    found = summary(read(FOLDER / "tune_adam.jsonl"))
    assert json.loads((FOLDER / "tune_adam.json").read_text("utf8")) == found
    assert markdown(found) == (FOLDER / "tune_adam.md").read_text("utf8")
