"""The small form of `benchmarks.device`, on whatever there is."""

import pytest

from benchmarks.device import device, exactness, measure


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_the_promises_hold_on_this_device(name):
    assert exactness(name, small=True) == {"put back": True, "rates": True, "resumed": True}


def test_the_small_form_measures_everything():
    found = measure(True, names=["transformer"], policies=["mixed_bfloat16"])
    row = found["transformer, mixed_bfloat16"]
    assert found["device"] == device()
    assert all(row["exact"].values())
    assert {"LRScheduler", "range test", "range test, probe of 256"} <= set(row["ratios"])
    assert row["klr.fit"]["loss"] > 0
