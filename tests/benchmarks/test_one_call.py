"""The arithmetic of the table of `benchmarks.one_call`, and its tasks."""

import keras
import numpy as np
import pytest

from benchmarks.one_call.table import markdown, summary
from benchmarks.one_call.tasks import OWN, TASKS


def row(task, seed, way, loss, **more):
    return {"task": task, "seed": seed, "way": way, "loss": loss, "cpu_seconds": 1.0, **more}


ROWS = [
    row("a", 0, "klr.fit", 0.5, accuracy=0.9),
    row("a", 1, "klr.fit", 0.5, accuracy=0.9),
    row("a", 0, "default", 1.0, accuracy=0.8),
    row("a", 1, "default", 2.0, accuracy=0.8),
    row("b", 0, "klr.fit", 2.0),
    row("b", 0, "default", 1.0),
    row("c", 0, "default", 1.0),  # not yet to be compared
]


def test_ratios_are_geometric_means_over_seeds_and_then_tasks():
    found = summary(ROWS, own={"b"})["ways"]["default"]
    a, b = np.sqrt(0.5 * 0.25), 2.0
    assert found["ratio"][0] == pytest.approx(np.sqrt(a * b))
    assert found["ratio"][1] <= found["ratio"][0] <= found["ratio"][2]
    assert (found["pairs"], found["tasks"], found["won"]) == (3, 2, 1)
    assert found["own_won"] == [0, 1]
    assert found["accuracy"] == pytest.approx(10.0)
    assert found["worst"] == ["b", pytest.approx(2.0)]


def test_a_loss_that_is_not_finite_counts_as_ten_times():
    rows = [row("a", 0, "klr.fit", 1.0), row("a", 0, "default", float("nan"))]
    assert summary(rows, own=set())["ways"]["default"]["ratio"][0] == pytest.approx(0.1)
    rows = [row("a", 0, "klr.fit", float("inf")), row("a", 0, "default", 1.0)]
    assert summary(rows, own=set())["ways"]["default"]["ratio"][0] == pytest.approx(10.0)


def test_the_table_has_a_line_for_each_way_and_each_task():
    lines = markdown(summary(ROWS, own={"b"})).splitlines()
    assert any(line.startswith("| default | 1 of 2 | 0 of 1 | 0.84") for line in lines)
    assert any(line.startswith("| a | 0.35") for line in lines)


def test_the_tasks_made_here_are_five_more():
    assert len(OWN) == 5
    assert len(TASKS) == 23


@pytest.mark.parametrize("name", [name for name in OWN if "fine_tuning" not in name])
def test_a_task_made_here_can_be_trained_on(name):
    task = OWN[name]
    x, y, x_validation, y_validation = task.data()
    assert len(x) == len(y) > 3 * task.batch_size
    assert len(x_validation) == len(y_validation) > 0
    model = task.compiled(0)
    model.compile(model.optimizer, model.loss, jit_compile=False, run_eagerly=True)
    loss = model.train_on_batch(x[: task.batch_size], y[: task.batch_size])
    assert np.isfinite(float(keras.ops.convert_to_numpy(loss)))
