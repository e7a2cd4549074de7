"""The processor of this process, for arithmetic that has no place on an accelerator."""

import contextlib
from typing import Any

import keras


def on_cpu() -> contextlib.AbstractContextManager[Any]:
    """Return the scope in which Keras computes on this process' first CPU.

    JAX counts the devices of all processes together, and `"cpu:0"` is one of the first process:
    another cannot read what is computed there.
    """
    number = 0
    if keras.backend.backend() == "jax":
        import jax

        number = jax.local_devices(backend="cpu")[0].id
    scope: contextlib.AbstractContextManager[Any] = keras.device(f"cpu:{number}")
    return scope
