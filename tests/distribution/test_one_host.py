"""Training spread over devices of one machine: the decisions and the losses of one device."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("one_host.py")
ROOT = SCRIPT.parents[2]
BACKEND = keras.backend.backend()
WAYS = {"tensorflow": ["mirrored"], "jax": ["data parallel", "model parallel"]}.get(BACKEND, [])
CASES = [
    "lr_find",
    "lr_find with a probe",
    "LRRangeTest",
    "lr_sweep",
    "tune_lr",
    "plateau by the epoch",
    "plateau by the step",
    "rescue",
    "schedule",
    "restarts",
    "average",
    "cooldown",
    "fit",
    "own metric",
]

pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="Keras has no distribution on torch")


@pytest.fixture(scope="module")
def found():
    """Devices can be split only in a process that has not used them yet."""
    environment = os.environ | {
        "KERAS_BACKEND": BACKEND,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    command = [sys.executable, str(SCRIPT)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_several_devices_give_what_one_gives(found, case, way):
    # Sums in another order, in float32, that training carries on for some steps.
    np.testing.assert_allclose(found[case][way], found[case]["alone"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_plateau_on_several_devices_is_that_of_keras(found, way):
    rates = found["plateau by the epoch"][way][:4]
    np.testing.assert_allclose(rates, found["Keras' plateau"][way], rtol=1e-7)


@pytest.mark.skipif(BACKEND != "jax", reason="TensorFlow has no layouts")
def test_what_is_kept_of_a_split_model_stays_split(found):
    assert found["copies"]["data parallel"] == [0, 0, 0]
    weights, checkpoint, snapshot = found["copies"]["model parallel"]
    assert weights == checkpoint == 3
    assert snapshot == 3 * weights  # and the optimizer's slots
