"""The script of `test_one_host`, in a process of its own: the cases on one device and on several.

Prints a JSON object: by case, what came out on one device, and by each way to spread the training.
"""

import contextlib
import json
import sys

import keras
import numpy as np
from distribution.cases import BACKEND, CASES

DEVICES = 4 if BACKEND == "jax" else 2


def split_the_cpu():
    """Make several devices of it: before TensorFlow uses it; JAX is told by the environment."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        parts = [tf.config.LogicalDeviceConfiguration()] * DEVICES
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)


def mirrored():
    """Return the scope of a model on each device, and a part of each batch."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(DEVICES)]).scope()


def data_parallel():
    """Return the same on JAX."""
    return keras.distribution.DataParallel().scope()


def model_parallel():
    """Return the scope of a model whose kernels are split among pairs of devices."""
    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*hidden/kernel"] = (None, "model")
    layout[".*hidden/bias"] = ("model",)
    layout[".*head/kernel"] = ("model", None)
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch").scope()


SPREAD = (
    {"mirrored": mirrored}
    if BACKEND == "tensorflow"
    else {"data parallel": data_parallel, "model parallel": model_parallel}
)

if __name__ == "__main__":
    split_the_cpu()
    found = {}
    for name, case in CASES.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        ways = {"alone": contextlib.nullcontext, **SPREAD}
        found[name] = {}
        for way, scope in ways.items():
            with scope():
                found[name][way] = np.asarray(case(), np.float64).ravel().tolist()
    print(json.dumps(found))
