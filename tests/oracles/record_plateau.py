"""Record what torch, optax, timm and transformers do on random metrics, in `plateau.json`.

Needs `torch`, `optax`, `timm` and `transformers`. Run: `python tests/oracles/record_plateau.py`.
Metrics are whole multiples of 1/256 and thresholds powers of two, so that ties are exact ties in
any precision. Each case holds the peer's own arguments, the metrics (times 256) and the learning
rate after each of them, written down where it changes.
"""

import importlib.metadata
import importlib.util
import json
import random
import sys
import types
import warnings
from pathlib import Path

CASES = 100
LENGTH = 40


def random_metrics(rng):
    """Return a noisy descent that ends in a plateau, as whole numbers."""
    level, fall = rng.randint(100, 600), rng.choice([0, 3, 10, 25])
    noise = rng.choice([2, 10, 60])
    return [max(1, level - fall * min(i, 15) + rng.randint(-noise, noise)) for i in range(LENGTH)]


def changes(rates):
    """Return `[index, rate]` wherever the rate differs from the one before."""
    return [[i, rate] for i, rate in enumerate(rates) if i == 0 or rate != rates[i - 1]]


def torch_optimizer(rate):
    import torch

    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def trace(scheduler, optimizer, metrics):
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def torch_case(rng, metrics):
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    arguments = {
        "mode": rng.choice(["min", "max"]),
        "factor": rng.choice([0.1, 0.5, 0.75]),
        "patience": rng.randint(0, 5),
        "threshold": rng.choice([0.0, 2**-4, 2**-6]),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "cooldown": rng.randint(0, 4),
        "min_lr": rng.choice([0.0, 1e-3]),
        "eps": rng.choice([1e-8, 1e-3]),
    }
    optimizer = torch_optimizer(0.1)
    return arguments, trace(ReduceLROnPlateau(optimizer, **arguments), optimizer, metrics)


def timm_case(rng, metrics):
    from timm.scheduler import PlateauLRScheduler

    arguments = {
        "decay_rate": rng.choice([0.1, 0.5, 0.75]),
        "patience_t": rng.randint(0, 5),
        "threshold": rng.choice([0.0, 2**-4, 2**-6]),
        "cooldown_t": rng.randint(0, 4),
        "warmup_t": rng.choice([0, 0, 5]),
        "lr_min": rng.choice([0.0, 1e-3]),
        "mode": rng.choice(["min", "max"]),
    }
    optimizer = torch_optimizer(0.1)
    scheduler = PlateauLRScheduler(optimizer, **arguments, warmup_lr_init=0.1)
    rates = []
    for epoch, metric in enumerate(metrics):
        scheduler.step(epoch, metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return arguments, rates


def greedy_case(rng, metrics):
    # GreedyLR ignores new bests while it pauses, the others do not: no pauses here.
    from transformers.optimization import GreedyLR

    arguments = {
        "mode": rng.choice(["min", "max"]),
        "factor": rng.choice([0.5, 0.8, 0.95]),
        "patience": rng.randint(0, 3),
        "threshold": rng.choice([0.0, 2**-6]),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "min_lr": rng.choice([1e-3, 0.03]),
        "max_lr": rng.choice([0.1, 0.15, 1.0]),
        "smooth": rng.choice([True, False]),
        "window_size": rng.choice([2, 4, 8]),  # exact averages
        "reset_start": rng.choice([2, 500]),
    }
    optimizer = torch_optimizer(0.1)
    return arguments, trace(GreedyLR(optimizer, **arguments), optimizer, metrics)


def optax_case(rng, metrics):
    import jax
    import jax.numpy as jnp
    from optax.contrib import reduce_on_plateau

    relative = rng.choice([True, False])
    arguments = {
        "factor": rng.choice([0.1, 0.5, 0.75]),
        "patience": rng.randint(1, 6),
        "rtol": rng.choice([2**-4, 2**-6]) if relative else 0.0,
        "atol": 0.0 if relative else rng.choice([2**-2, 2**-6]),
        "cooldown": rng.randint(0, 4),
        "accumulation_size": rng.choice([1, 1, 2, 4]),
        "min_scale": rng.choice([0.0, 0.03]),
    }
    transform = reduce_on_plateau(**arguments)
    updates = jnp.ones(())
    state, update = transform.init(updates), jax.jit(transform.update)
    rates = []
    for metric in metrics:
        _, state = update(updates, state, value=metric)
        rates.append(float(state.changes.scale))
    return arguments, rates


def record(peer, make_case, seed):
    rng = random.Random(seed)
    cases = []
    for _ in range(CASES):
        metrics = random_metrics(rng)
        arguments, rates = make_case(rng, [metric / 256 for metric in metrics])
        cases.append({"arguments": arguments, "metrics": metrics, "rates": changes(rates)})
    return {"version": importlib.metadata.version(peer), "cases": cases}


def without_models(package):
    """Make a package's submodules importable without its `__init__`, which loads its models."""
    stub = types.ModuleType(package)
    stub.__path__ = importlib.util.find_spec(package).submodule_search_locations
    sys.modules[package] = stub


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    without_models("timm")
    recorded = {
        "torch": record("torch", torch_case, 1),
        "timm": record("timm", timm_case, 2),
        "transformers": record("transformers", greedy_case, 3),
        "optax": record("optax", optax_case, 4),
    }
    lines = [
        f'"{peer}": {{"version": "{data["version"]}", "cases": [\n'
        + ",\n".join(json.dumps(case) for case in data["cases"])
        + "\n]}"
        for peer, data in recorded.items()
    ]
    path = Path(__file__).with_name("plateau.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
