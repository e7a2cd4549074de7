"""Training spread over two devices: the same decisions and the same losses as on one."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("distributed.py")
ROOT = SCRIPT.parents[2]

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras has no distribution on torch"
)


@pytest.fixture(scope="module")
def found():
    """Devices can be split only in a process that has not used them yet."""
    environment = os.environ | {
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable, str(SCRIPT)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "case",
    [
        "lr_find",
        "lr_sweep",
        "plateau by the epoch",
        "plateau by the step",
        "schedule",
        "restarts",
    ],
)
def test_two_devices_give_what_one_gives(found, case):
    alone, spread = found[case]
    np.testing.assert_allclose(spread, alone, rtol=1e-5)  # sums in another order, in float32


def test_a_plateau_on_two_devices_is_that_of_keras(found):
    rates = found["plateau by the epoch"][1][:4]
    np.testing.assert_allclose(rates, found["Keras' plateau"][1], rtol=1e-7)
