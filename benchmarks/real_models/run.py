"""The searches on models as people bring them: `python -m benchmarks.real_models.run`
(with `pip install keras-hub tensorflow-text` for two of them).

For each kind of model: whether `lr_find`, `lr_sweep` and `tune_lr` run, what they suggest, the best
constant rate of a grid, and the regret (L(suggested) - L(best)) / (L(untrained) - L(best)), where L
is the mean loss of the steps in the last epoch of a `fit` of EPOCHS epochs at a constant rate.
Written to `benchmarks/real_models.md`.
"""

import os
import pathlib
import warnings

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_lr as klr
from benchmarks.real_models.models import CASES, Case

GRID = np.geomspace(1e-5, 1.0, 11)
EPOCHS = 10
OUTPUT = pathlib.Path(__file__).parents[1] / "real_models.md"


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
    """Return what each search suggests, or the first words of its refusal."""
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
    for name, search in {"lr_find": find, "lr_sweep": sweep, "tune_lr": tune}.items():
        keras.utils.set_random_seed(1)
        try:
            answers[name] = float(search(case.make()))
        except (ValueError, TypeError) as error:
            answers[name] = str(error)[:80]
    return answers


def row(name: str, case: Case) -> str:
    """Return one line of the table."""
    losses = np.array([final_loss(case, rate) for rate in GRID]) if case.lower_is_better else None
    best = None if losses is None else GRID[int(np.argmin(losses))]
    untrained = None if losses is None else final_loss(case, 1e-12)
    cells = [name]
    for answer in searched(case).values():
        if isinstance(answer, str):
            cells.append(f"no: {answer}")
        elif losses is None:
            cells.append(f"{answer:.2g}")
        else:
            lost = final_loss(case, answer) - losses.min()
            regret = np.clip(lost / (untrained - losses.min()), 0.0, 1.0)
            cells.append(f"{answer:.2g} ({regret:.2f})")
    cells.append("-" if best is None else f"{best:.2g}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the table."""
    lines = [
        "# The searches on models as people bring them",
        "",
        f"`python -m benchmarks.real_models.run`, Keras {keras.__version__} on "
        f"{keras.backend.backend()}, one seed. Suggested rate, its regret in brackets.",
        "",
        "| Model | lr_find | lr_sweep | tune_lr | best of the grid |",
        "|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines.append(row(name, case))
        print(lines[-1], flush=True)
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
