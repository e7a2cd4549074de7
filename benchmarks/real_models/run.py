"""The searches on models as people bring them: `python -m benchmarks.real_models.run`
(with `pip install keras-hub tensorflow-text` for two of them).

For each kind of model: whether `lr_find`, `lr_sweep` and `tune_lr` run, what they suggest, the best
constant rate of a grid, and the regret (L(suggested) - L(best)) / (L(untrained) - L(best)), where L
is the mean loss of the steps in the last epoch of a `fit` of EPOCHS epochs at a constant rate.
Written to `results.json` and `results.md` beside this file; the models named on the command line
are measured anew, or else all.
"""

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_lr as klr
from benchmarks.real_models.models import CASES, Case

GRID = np.geomspace(1e-5, 1.0, 11)
EPOCHS = 10
RESULTS = Path(__file__).with_name("results.json")
SEARCHES = ("lr_find", "lr_sweep", "tune_lr")


class LastEpoch(keras.callbacks.Callback):
    """Keeps what the steps of the latest epoch reported: `History` misses what is no metric."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.values: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs[self._name]))


def final_loss(case: Case, rate: float) -> float:
    """Train at a constant rate and return the mean of the last epoch's steps."""
    keras.utils.set_random_seed(1)
    model, last = case.make(), LastEpoch(case.monitor)
    model.optimizer.learning_rate = float(rate)
    model.fit(**case.data, epochs=EPOCHS, verbose=0, callbacks=[last])
    return float(np.nan_to_num(np.mean(last.values), nan=np.inf, posinf=np.inf))


def searched(case: Case) -> dict[str, float | str]:
    """Return what each search suggests, or its refusal."""
    watch = {} if case.monitor == "loss" else {"monitor": case.monitor}

    def find(model):
        return klr.lr_find(model, **case.data, **watch, probe=256, verbose=0).suggest()

    def sweep(model):
        rates = np.geomspace(1e-5, 1.0, 6)
        options = {"learning_rates": rates, "steps": 40, "verbose": 0}
        return klr.lr_sweep(model, **case.data, **watch, **options).best_lr

    def tune(model):
        options = {"epochs": EPOCHS, "quick": True, "verbose": 0}
        return klr.tune_lr(model, **case.data, **watch, **options).learning_rate

    answers = {}
    for name, search in zip(SEARCHES, (find, sweep, tune), strict=True):
        keras.utils.set_random_seed(1)
        try:
            answers[name] = float(search(case.make()))
        except (ValueError, TypeError) as error:
            answers[name] = str(error)
    return answers


def measured(case: Case) -> dict[str, Any]:
    """Return what there is to say of one model: a row of the table."""
    row: dict[str, Any] = {name: {"suggested": found} for name, found in searched(case).items()}
    if not case.lower_is_better:
        return row
    losses = [final_loss(case, rate) for rate in GRID]
    best, untrained = min(losses), final_loss(case, 1e-12)
    for search in row.values():
        if not isinstance(search["suggested"], str):
            lost = final_loss(case, search["suggested"]) - best
            search["regret"] = float(np.clip(lost / (untrained - best), 0.0, 1.0))
    return row | {"best": float(GRID[int(np.argmin(losses))]), "losses": losses}


def cell(search: dict[str, Any]) -> str:
    """Return what a search suggests, with its regret."""
    if isinstance(search["suggested"], str):
        return f"no: {search['suggested'][:80]}"
    regret = f" ({search['regret']:.2f})" if "regret" in search else ""
    return f"{search['suggested']:.2g}{regret}"


def table(results: dict[str, Any]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "# The searches on models as people bring them",
        "",
        f"`python -m benchmarks.real_models.run`, Keras {results['keras']} on "
        f"{results['backend']}, one seed. Suggested rate, its regret in brackets.",
        "",
        "| Model | lr_find | lr_sweep | tune_lr | best of the grid |",
        "|---|---|---|---|---|",
    ]
    for name, row in results["models"].items():
        best = f"{row['best']:.2g}" if "best" in row else "-"
        lines.append(f"| {' | '.join([name, *(cell(row[each]) for each in SEARCHES), best])} |")
    notes = [f"{name}: {row['note']}." for name, row in results["models"].items() if "note" in row]
    missing = [name for name in results.get("not_measured", []) if name not in results["models"]]
    notes += [f"{name}: not measured." for name in missing]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    lines += ["", "The critic of a GAN has no best rate: its loss is lowest where it has won.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(CASES), metavar="model")
    names = parser.parse_args().models
    before = json.loads(RESULTS.read_text("utf8")) if RESULTS.exists() else {"models": {}}
    known = before["models"]
    results = before | {"keras": keras.__version__, "backend": keras.backend.backend()}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known[name] = measured(CASES[name])
        results["models"] = {each: known[each] for each in CASES if each in known}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf8")
        RESULTS.with_suffix(".md").write_text(table(results), "utf8")
        print(table(results).splitlines()[-3], flush=True)


if __name__ == "__main__":
    main()
