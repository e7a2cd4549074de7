"""Keeps TensorFlow's start-up log out of `python -m keras_lr`; imported before Keras is.

Python imports the package before it runs `__main__`, and TensorFlow writes to the file descriptor
before any setting is read.
"""

import os
import sys
from importlib.util import find_spec

if sys.argv[:1] == ["-m"]:  # Python is looking for the module to run, and it is one of this package
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    _kept = os.dup(2)
    _nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(_nowhere, 2)
    try:
        import keras as keras

        if find_spec("tensorflow"):  # Keras loads it in a fit on every backend
            import tensorflow as tensorflow
    finally:
        os.dup2(_kept, 2)
        os.close(_kept)
        os.close(_nowhere)
