"""The script of `test_two_hosts`: one of two workers of a `MultiWorkerMirroredStrategy`.

`python two_workers.py WORKER PORT,PORT` prints a JSON object: what each search says.
"""

import json
import os
import sys


def made_by_two_workers():
    """Return a model that two processes hold; before anything is computed on TensorFlow."""
    workers = [f"127.0.0.1:{port}" for port in sys.argv[2].split(",")]
    task = {"type": "worker", "index": int(sys.argv[1])}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
    import tensorflow as tf

    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        from distribution.cases import made

        return made()


def complaints(model):
    """Return what each search says of a model."""
    from distribution.cases import X, Y

    import keras_lr as klr

    calls = {
        "lr_find": lambda: klr.lr_find(model, X, Y),
        "lr_sweep": lambda: klr.lr_sweep(model, X, Y, [0.1, 0.2], 2),
        "tune_lr": lambda: klr.tune_lr(model, X, Y, epochs=100),
        "tune_adam": lambda: klr.tune_adam(model, X, Y, epochs=1),
        "fit": lambda: klr.fit(model, X, Y, epochs=1),
        "fine_tune": lambda: klr.fine_tune(model, X, Y, epochs=1),
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except ValueError as error:
            said[name] = str(error)
    return said


if __name__ == "__main__":
    print(json.dumps(complaints(made_by_two_workers())))
