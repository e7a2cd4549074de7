"""The global random generators, started from a given seed."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from keras_lr._keras.backend import ON_TENSORFLOW, ON_TORCH
from keras_lr._keras.state import RandomSnapshot


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators.

    Those of Keras' layers are variables of the model. `keras.utils.set_random_seed` would besides
    change how layers that are made later are seeded, which cannot be put back.
    """
    random.seed(seed)
    np.random.seed(seed)
    if ON_TORCH:
        import torch

        torch.manual_seed(seed)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Put the global generators back at the end of a `with` block."""
    before = RandomSnapshot()
    try:
        yield
    finally:
        before.restore()


@contextmanager
def peeks_kept() -> Iterator[None]:
    """Put NumPy's and torch's generators back at the end of a `with` block on TensorFlow.

    There `fit` looks at the first batch of a `PyDataset` or a `DataLoader`, which may draw random
    numbers, before any callback runs; and it does so each time, so the next `fit` is to find the
    generators where this one did.
    """
    if not ON_TENSORFLOW:
        yield
        return
    numpy_state = np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = None if torch is None else torch.get_rng_state()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        if torch is not None:
            torch.set_rng_state(torch_state)
