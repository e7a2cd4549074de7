"""The base of results: what each kind writes down it reads again, through JSON."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from keras_lr import AdamTuneResult, RangeTestResult, SweepResult, TuneResult, schedules
from keras_lr.search.tune.climb import Trial
from keras_lr.search.tune_adam.result import AdamTrial
from keras_lr.search.tune_adam.surface import Surface

RATES = np.geomspace(1e-4, 1.0, 5)
LOSSES = np.array([2.0, 1.5, 1.0, math.nan, math.inf])
TRIALS = tuple(
    AdamTrial(
        number=number,
        lr=lr,
        decay=0.0,
        final_share=1.0,
        weight_decay=None,
        momentum=None,
        repeat=0,
        state="complete",
        loss=loss,
        steps=100,
        shape="constant",
    )
    for number, (lr, loss) in enumerate([(0.01, 1.2), (0.03, 1.0), (0.1, 1.5)])
)
RESULTS = {
    "range test": RangeTestResult(
        learning_rates=RATES, losses=LOSSES, smoothed_losses=LOSSES, stop_reason="completed"
    ),
    "sweep": SweepResult(
        learning_rates=RATES,
        losses=np.stack([LOSSES, LOSSES], axis=1),
        repeat_losses=np.stack([LOSSES, LOSSES], axis=1)[None],
        final={"loss": LOSSES},
        diverged=~np.isfinite(LOSSES),
        stopped_at=np.full(5, 2),
        cost_steps=10,
    ),
    "tune": TuneResult(
        learning_rate=0.006,
        trials=(Trial(-2.0, 0.5), Trial(-1.1, math.inf)),
        untrained=1.0,
        short_run_learning_rate=0.01,
        trial_steps=50,
        total_steps=500,
        beta=0.3,
        cost_steps=300,
        schedule=schedules.Cosine(0.1, 0.0, steps=500).warmup(20) * 0.5,
    ),
    "tune_adam": AdamTuneResult(
        lr=0.025,
        decay=0.0,
        final_share=1.0,
        weight_decay=None,
        momentum=None,
        loss=1.0,
        standard_error=None,
        within_noise=None,
        ties=(TRIALS[1],),
        chosen=TRIALS[1],
        trials=TRIALS,
        lr_range=(0.01, 0.1),
        total_steps=100,
        cost_steps=300,
        finished=True,
        momentum_name=None,
        study=None,
        shape="constant",
        surface=Surface([(t.shape, t.lr, t.loss) for t in TRIALS], {"constant": 0.03}),
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_written_down_is_read_again(name):
    result = RESULTS[name]
    again = type(result).from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    assert repr(again) == repr(result)


@pytest.mark.parametrize("name", RESULTS)
def test_another_value_makes_another_result(name):
    values = RESULTS[name].to_dict()
    key = "stop_reason" if name == "range test" else "cost_steps"
    other = type(RESULTS[name]).from_dict(values | {key: "x" if name == "range test" else 1})
    assert other != RESULTS[name]
    assert RESULTS[name] != values


@pytest.mark.parametrize(
    ("name", "rows", "index"),
    [
        ("range test", 5, "step"),
        ("sweep", 5, "learning_rate"),
        ("tune", 2, "trial"),
        ("tune_adam", 3, "number"),
    ],
)
def test_a_table_has_a_row_for_each_thing_tried(name, rows, index):
    frame = RESULTS[name].to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == rows
    assert frame.index.name == index


@pytest.mark.parametrize("name", RESULTS)
def test_arrays_are_locked(name):
    arrays = [each for each in vars(RESULTS[name]).values() if isinstance(each, np.ndarray)]
    assert not any(array.flags.writeable for array in arrays)
    assert (len(arrays) > 0) == (name in ("range test", "sweep"))
