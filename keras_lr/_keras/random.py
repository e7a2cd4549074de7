"""The global random generators: seeded, kept and put back."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from keras.src.backend.common import global_state  # where Keras keeps its global seed generator
from keras.src.random.seed_generator import make_default_seed

from keras_lr._keras.backend import ON_TENSORFLOW, ON_TORCH
from keras_lr._keras.variables import VariableSnapshot, read_variable, write_variable
from keras_lr._keras.versions import GLOBAL_SEED_GENERATOR


class RandomSnapshot:
    """The states of the global random generators: Python's, NumPy's, Keras' and torch's."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state()
        self._generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
        held = [self._generator.state] if self._generator else []
        self._keras = VariableSnapshot(held, read_variable)
        self._torch_in_use = "torch" in sys.modules  # on other backends too, by a DataLoader
        if self._torch_in_use:
            import torch

            self._torch = torch.get_rng_state()
            self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore(self) -> None:
        """Put every generator back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        self._keras.restore(write_variable)
        generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
        if generator is not self._generator:
            # Made meanwhile. A compiled step may hold on to it, so it is not dropped, but gets the
            # seed that it would draw from Python's generator, were it made now.
            write_variable(generator.state, np.array([make_default_seed(), 0]))
        if self._torch_in_use:
            import torch

            torch.set_rng_state(self._torch)
            if self._cuda:
                torch.cuda.set_rng_state_all(self._cuda)


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
def random_state_kept() -> Iterator[None]:
    """Put the global generators back at the end of a `with` block."""
    before = RandomSnapshot()
    try:
        yield
    finally:
        before.restore()


@contextmanager
def data_peek_undone() -> Iterator[None]:
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
