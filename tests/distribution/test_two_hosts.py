"""Training spread over two processes: the same decisions in both, and those of one process."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
BACKEND = keras.backend.backend()
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="only JAX trains over several processes")


def free_ports(count):
    """Return ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def outputs(script, arguments, **variables):
    """Run a script in two processes at once; return the last line that each has printed."""
    environment = os.environ | {
        "KERAS_BACKEND": BACKEND,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)]),
        **variables,
    }
    options = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen([sys.executable, str(HERE / script), str(each), *arguments], **options)
        for each in range(2)
    ]
    try:
        results = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, said) in zip(processes, results, strict=True):
        assert process.returncode == 0, said.decode()[-3000:]
    return [output.decode().splitlines()[-1] for output, _ in results]


@pytest.fixture(scope="module")
def found():
    """Return by process what the cases gave."""
    return [json.loads(line) for line in outputs("two_hosts.py", [str(free_ports(1)[0])])]


@on_jax
def test_two_processes_never_disagree(found):
    assert found[0]["together"] == found[1]["together"]
    assert len(found[0]["together"]) == 13


@on_jax
def test_two_processes_give_what_one_gives(found):
    for case, alone in found[0]["alone"].items():
        together = found[0]["together"][case]
        np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-5, err_msg=case)


@on_jax
def test_trials_that_each_process_would_propose_are_refused(found):
    assert found[0]["tune_adam"].startswith("tune_adam: the processes that train one model")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_a_strategy_of_several_workers_is_refused_in_words():
    ports = ",".join(map(str, free_ports(2)))
    for line in outputs("two_workers.py", [ports]):
        said = json.loads(line)
        assert set(said) == {"lr_find", "lr_sweep", "tune_lr", "tune_adam", "fit", "fine_tune"}
        for name, message in said.items():
            assert message.startswith(f"{name}: Keras' fit does not train over several processes")
