"""Values that lie on devices: put beside others, copied where they are, gathered (JAX)."""

from typing import Any

import numpy as np


def placed_like(old: Any, value: Any) -> Any:
    """Return a value on the devices of its predecessor: else the step would compile again."""
    if not getattr(old, "committed", False):
        return value
    import jax

    if is_within_process(old):
        return jax.device_put(value, old.sharding)
    if hasattr(value, "sharding") and value.sharding == old.sharding:
        return value
    # Each process puts its own part: `device_put` would have them compare the whole every time.
    whole = np.asarray(value)
    return jax.make_array_from_callback(whole.shape, old.sharding, lambda part: whole[part])


def is_within_process(value: Any) -> bool:
    """Return whether this process has all devices that a value lies on."""
    return bool(getattr(value, "is_fully_addressable", True))


def is_split(value: Any) -> bool:
    """Return whether several devices hold a part of a value each."""
    sharding = getattr(value, "sharding", None)
    return sharding is not None and not sharding.is_fully_replicated


def kept_copy(value: Any) -> Any:
    """Return a copy that no training step takes over.

    On the host; but what is split among devices stays split: no one of them, nor the host, need
    have room for the whole.
    """
    return copied(value) if is_split(value) else np.array(value)


def copied(value: Any) -> Any:
    """Return a copy on the same devices."""
    import jax

    return jax.numpy.copy(value)


def gathered(value: Any) -> Any:
    """Return a value that can be read as an array: whole, where processes have parts of it.

    All processes must call it at the same point of the program.
    """
    if is_within_process(value) or value.sharding.is_fully_replicated:
        return value
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(value, tiled=True)


def is_finite(value: Any) -> bool:
    """Return whether all numbers of an array are finite, wherever it is."""
    if not is_split(value):
        return bool(np.isfinite(value).all())
    import jax

    return bool(jax.numpy.isfinite(value).all())
