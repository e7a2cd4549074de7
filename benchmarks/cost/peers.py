"""The same work by others: a naive loop and Optuna, and on torch torch-lr-finder."""

import time

import keras
import numpy as np

import keras_lr as klr
from benchmarks.cost.clock import one_thread, seconds
from benchmarks.cost.models import BATCH, built, compiled, data
from benchmarks.cost.searches import OPTIONS, naive

STEPS = 50
RATES = np.geomspace(1e-4, 1e-1, 8)
CASES = [f"{name}, {way}" for name in ("mlp", "cnn") for way in ("sweep", "range test")]


def measure(case, repeats=3):
    """Return the seconds of this library and of others, the lowest of some."""
    one_thread()
    name, what = case.split(", ")
    ways = sweeps(name) if what == "sweep" else range_tests(name)
    return {way: min(run() for _ in range(repeats)) for way, run in ways.items()}


def sweeps(name):
    """Return what trains the model at eight rates for fifty steps, by its name."""
    model = compiled(built(name))
    x, y = data(model, STEPS)
    ours = lambda: klr.lr_sweep(model, x, y, RATES, STEPS, **OPTIONS)  # noqa: E731
    return {
        "lr_sweep": lambda: seconds(ours),
        "clone, compile and fit": lambda: naive(name, RATES, STEPS),
        "Optuna around it": lambda: by_optuna(name),
    }


def by_optuna(name):
    """Return the seconds of eight trials of Optuna, each a clone, a compilation and a fit."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    model = built(name)
    x, y = data(model, STEPS)

    def objective(trial):
        clone = compiled(keras.models.clone_model(model), trial.suggest_float("lr", 1e-4, 1e-1))
        return clone.fit(x, y, **OPTIONS).history["loss"][-1]

    began = time.perf_counter()
    optuna.create_study().optimize(objective, n_trials=len(RATES))
    return time.perf_counter() - began


def range_tests(name):
    """Return what makes a range test of fifty steps, by its name."""
    model = compiled(built(name))
    x, y = data(model, STEPS)
    settings = {"steps": STEPS, "max_lr": 1e-3, "stop_factor": None, **OPTIONS}
    ways = {"lr_find": lambda: seconds(lambda: klr.lr_find(model, x, y, **settings))}
    if keras.backend.backend() == "torch":
        ways["torch-lr-finder"] = lambda: by_torch_lr_finder(model, x, y)
    return ways


def by_torch_lr_finder(model, x, y):
    """Return the seconds of torch-lr-finder on the same module (`pip install --no-deps` it)."""
    import torch
    from torch_lr_finder import LRFinder

    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(parameters, 1e-6)
    rows = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y).long())
    loader = torch.utils.data.DataLoader(rows, BATCH)
    finder = LRFinder(model, optimizer, torch.nn.CrossEntropyLoss(), device="cpu")
    began = time.perf_counter()
    finder.range_test(loader, end_lr=1e-3, num_iter=STEPS, diverge_th=1e9)
    finder.reset()
    return time.perf_counter() - began
