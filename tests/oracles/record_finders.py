"""Record which index the learning-rate finders of other libraries pick, in `finders.json`.

Needs `fastai`, `torch-lr-finder` and `lightning`. Run: `python tests/oracles/record_finders.py`.
The sweep is `numpy.geomspace(1e-7, 10, n)`. Losses are whole multiples of 1/1024, so that ties
are exact ties in any precision, and each rule sees them as they are, with nothing cut off.
"""

import contextlib
import importlib.metadata
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from fastai.callback import schedule as fastai
from lightning.pytorch.tuner.lr_finder import _LRFinder
from torch_lr_finder import LRFinder


def descent(steps, noise, rng):
    """A fall of 1.5 near 1e-3, a rise from 1 on, and noise."""
    rates = np.geomspace(1e-7, 10.0, steps)
    clean = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + 0.3 * rates
    return clean + noise * rng.normal(size=steps)


def curves(rng):
    """Descents with little to much noise, random walks, and the extremes."""
    for steps in (20, 57, 100):
        for noise in (0.0, 0.02, 0.1, 0.5):
            yield descent(steps, noise, rng)
        yield 2.0 + 0.1 * np.cumsum(rng.normal(size=steps))
        yield 2.0 + 0.1 * rng.normal(size=steps)
        yield np.linspace(3.0, 1.0, steps)
        yield np.linspace(1.0, 3.0, steps)


def picked_by_fastai(rule, rates, losses):
    answer, _ = rule(torch.tensor(rates), torch.tensor(losses), len(losses))
    scale = 10.0 if rule is fastai.minimum else 1.0
    return int(np.argmin(np.abs(np.log(rates / (answer * scale)))))


def picked_by_torch_lr_finder(rates, losses):
    model = torch.nn.Linear(1, 1)
    finder = LRFinder(model, torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
    finder.history = {"lr": list(rates), "loss": list(losses)}
    _, axes = plt.subplots()
    with contextlib.redirect_stdout(io.StringIO()):
        _, answer = finder.plot(skip_start=0, skip_end=0, ax=axes)
    plt.close("all")
    return list(rates).index(answer)


def picked_by_lightning(rates, losses):
    finder = _LRFinder("exponential", rates[0], rates[-1], len(rates))
    finder.results = {"lr": [*rates, rates[-1]], "loss": [*losses, losses[-1]]}
    return list(rates).index(finder.suggestion(skip_begin=0, skip_end=1))


def case(losses):
    whole = np.round(losses * 1024).astype(int)
    rates, losses = np.geomspace(1e-7, 10.0, len(whole)), whole / 1024
    rules = ("valley", "slide", "minimum", "steep")
    answers = {r: picked_by_fastai(getattr(fastai, r), rates, losses) for r in rules}
    answers["torch_lr_finder"] = picked_by_torch_lr_finder(rates, losses)
    answers["lightning"] = picked_by_lightning(rates, losses)
    return {"losses_times_1024": whole.tolist(), "index": answers}


def main():
    packages = ("fastai", "torch-lr-finder", "lightning", "torch", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    cases = [case(losses) for losses in curves(np.random.default_rng(0))]
    lines = ",\n".join(json.dumps(each) for each in cases)
    text = f'{{"versions": {json.dumps(versions)},\n"cases": [\n{lines}\n]}}\n'
    Path(__file__).with_name("finders.json").write_text(text)


if __name__ == "__main__":
    main()
