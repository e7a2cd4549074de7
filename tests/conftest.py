"""What every test shares: a quiet backend, one thread on torch, fixed seeds, no windows."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import pytest

if keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(1)  # two threads on two busy cores are up to 60 times slower


@pytest.fixture(autouse=True)
def seeded():
    """Seed every generator, so that a failure can be run again alone."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def backend():
    """The name of the backend under test."""
    return keras.backend.backend()
