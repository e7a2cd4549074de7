"""The arithmetic of the tables of `benchmarks.cost`, its clocks, and cases that run."""

import pytest

from benchmarks.cost import memory, peers, searches, steps
from benchmarks.cost.clock import ratios_beside
from benchmarks.cost.run import PARTS, cases_of
from benchmarks.cost.table import TITLES, markdown


def test_ratios_are_to_the_mean_of_the_times_before_and_after():
    times = iter([1.0, 3.0, 3.0] * 5)
    ratios, own = ratios_beside(lambda: next(times), {"a": lambda: next(times)}, 5)
    assert ratios == {"a": [1.5, 1.5, 1.5]}
    assert own == 2.0


def test_memory_is_in_copies_beyond_those_of_a_plain_fit():
    cases = {
        "1e6, fit of Keras": {"state_mib": 10.0, "peak_mib": 5.0},
        "1e6, lr_find": {"state_mib": 10.0, "peak_mib": 16.0},
    }
    assert "| 1e6, lr_find | **1.10** (16 of 10) |" in markdown({"jax": {"memory": cases}})


def test_every_part_has_cases_and_a_title():
    assert set(PARTS) == set(TITLES)
    assert [cases_of(part) for part in PARTS] == [
        each.CASES for each in (steps, searches, memory, peers)
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_case_of_memory_runs():
    found = memory.measure("1e5, lr_find")
    assert found["state_mib"] == pytest.approx(3 * 4 * 1e5 / 2**20, rel=0.1)
