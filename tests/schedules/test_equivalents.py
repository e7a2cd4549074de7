"""The table of equivalents: our expression gives the peer's values, step for step."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from schedules.equivalents import CLR, EQUIVALENTS, KERAS, LR, RECORDED, TORCH, markdown

from keras_lr import schedules

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "schedules.json").read_text())


def table(*lists):
    entries = [entry for each in lists for entry in each]
    return pytest.mark.parametrize("entry", entries, ids=lambda e: f"{e.peer}: {e.theirs}")


def ours(entry):
    schedule = eval(entry.ours, {**vars(schedules), "lr": LR})
    return schedule.values(np.arange(entry.steps))


@table(RECORDED)
def test_recorded(entry):
    values = ORACLE[entry.peer]["values"][entry.theirs]
    assert len(values) == entry.steps
    np.testing.assert_allclose(ours(entry), values, rtol=1e-6, atol=1e-7)


@table(KERAS)
def test_keras_live(entry):
    peer = eval(entry.theirs, {**vars(keras.optimizers.schedules), "lr": LR})
    steps = np.arange(entry.steps)
    if "Restarts" in entry.theirs and keras.backend.backend() == "torch":
        # there Keras misses some restarts, such as 25, and returns the floor instead of the peak
        steps = np.delete(steps, [10, 25, 30, 70])
    values = schedules.FromCallable(peer, elementwise=False).values(steps)
    np.testing.assert_allclose(ours(entry)[steps], values, rtol=2e-6, atol=1e-7)


def clr(base_lr, max_lr, step_size, mode="triangular", gamma=1.0):
    """Closed form of the Keras callback CLR, which predates Keras 3 and cannot be run with it."""
    t = np.arange(120.0)
    cycle = np.floor(1 + t / (2 * step_size))
    height = np.maximum(0, 1 - np.abs(t / step_size - 2 * cycle + 1))
    scales = {"triangular": 1, "triangular2": 0.5 ** (cycle - 1), "exp_range": gamma**t}
    return base_lr + (max_lr - base_lr) * height * scales[mode]


@table(CLR)
def test_clr_formula(entry):
    values = eval(entry.theirs, {"CyclicLR": clr})
    np.testing.assert_allclose(ours(entry), values, rtol=1e-6, atol=1e-7)


if keras.backend.backend() == "torch":  # on its own job torch is a peer that is there

    @table(TORCH)
    def test_torch_live(entry):
        from oracles.record_schedules import torch_values

        np.testing.assert_allclose(ours(entry), torch_values(entry), rtol=1e-6, atol=1e-7)


def test_markdown_has_every_line():
    lines = markdown().splitlines()
    assert len(lines) == len(EQUIVALENTS) + 2
    assert all(line.count("|") == lines[0].count("|") for line in lines)
