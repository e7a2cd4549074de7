"""Do the constants of `tune_lr`'s correction carry over to a task that had no say in them?

`python -m benchmarks.lr_suggestion.leave_one_out`

What a trial says is one thing, what the correction for the length of the run makes of it another.
The trials are made once per task and seed and kept in a JSON-lines file; a run that was cut off
goes on. Then the five fitted constants of `horizon_correction` are chosen anew for each task, by
the other 17 alone, and judged on the one that was left out.
"""

import functools
import itertools
import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_lr import tune_lr
from keras_lr.search.tune.families import family_of

from .regret import regret
from .run import FIRST_SEED, read
from .tasks import TASKS

HERE = Path(__file__).parent
TRIALS = HERE / "trials.jsonl"
SEEDS = 3
# beta of optimizers with steps of a fixed size, beta of the others, epochs without overfitting,
# exponent of repetition, share of the loss at which a trial has begun to learn.
SHIPPED = (0.35, 0.1, 8.0, 0.4, 0.05)
UNCORRECTED = (0.0, 0.0, 8.0, 0.0, 0.0)
LENGTH_ALONE = (0.3, 0.1, 8.0, 0.0, 0.0)
CHOICES = list(
    itertools.product(
        (0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
        (0.0, 0.05, 0.1, 0.15, 0.2),
        (4.0, 8.0, 16.0),
        (0.0, 0.2, 0.4, 0.6),
        (0.0, 0.05, 0.1),
    )
)
MEASURES = ("final", "checkpoint")


def measure() -> list[dict]:
    """Make every trial that is not yet in the file; return all."""
    done = {(row["task"], row["seed"]) for row in read(TRIALS)}
    for seed, name in itertools.product(range(FIRST_SEED, FIRST_SEED + SEEDS), TASKS):
        if (name, seed) in done:
            continue
        task = TASKS[name]
        x, y, _, _ = task.data()
        model = task.compiled(seed)
        options = {"steps": task.steps, "batch_size": task.batch_size, "seed": seed}
        found = tune_lr(model, x, y, thorough=True, **options, verbose=0)
        lowest = min(trial.score for trial in found.trials)
        row = {
            "task": name,
            "seed": seed,
            "short": found.short_run_learning_rate,
            "chosen": found.learning_rate,
            "learned": max(0.0, found.untrained - lowest) / abs(found.untrained),
            "fixed_step": family_of(model.optimizer).beta == SHIPPED[0],
            "length": found.trial_steps / found.total_steps,
            "epochs": task.steps * task.batch_size / len(x),
        }
        with TRIALS.open("a", encoding="utf8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{name}, seed {seed}: {found}", flush=True)
    return read(TRIALS)


def corrected(row: dict, constants: tuple[float, ...]) -> float:
    """Return the learning rate that `horizon_correction` would give with other constants."""
    fixed, shrinking, epochs, exponent, begun = constants
    length = row["length"] ** (fixed if row["fixed_step"] else shrinking)
    repetition = min(1.0, epochs / row["epochs"]) ** exponent
    certainty = min(1.0, row["learned"] / begun) if begun else 1.0
    return row["short"] * max(0.1, length * repetition) ** certainty


def regrets(rows: list[dict], constants: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Return the final and the checkpoint regret of each task, as means over its seeds."""
    found = {}
    for task in TASKS:
        rates = [corrected(row, constants) for row in rows if row["task"] == task]
        found[task] = np.array([np.mean([regret(task, r, m) for r in rates]) for m in MEASURES])
    return found


def left_out(
    rows: list[dict], choices: list[tuple[float, ...]]
) -> tuple[dict[str, np.ndarray], list[tuple[float, ...]]]:
    """Return each task's regrets under the constants that the other tasks chose, and these."""
    table = np.array([list(regrets(rows, constants).values()) for constants in choices])
    both = table.sum(axis=2)  # choice, task
    found, chosen = {}, []
    for index, task in enumerate(TASKS):
        best = int(np.argmin(np.delete(both, index, axis=1).mean(axis=1)))
        found[task] = table[best, index]
        chosen.append(choices[best])
    return found, chosen


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over tasks."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    rows = measure()
    for row in rows:  # what is computed here is what the library computes
        assert np.isclose(corrected(row, SHIPPED), row["chosen"], rtol=1e-6), row
    fitted = functools.partial(regrets, rows)
    everything = min(CHOICES, key=lambda c: sum(values.sum() for values in fitted(c).values()))
    apart, chosen = left_out(rows, CHOICES)
    ways = {
        "no correction": fitted(UNCORRECTED),
        "length alone, beta 0.3 and 0.1": fitted(LENGTH_ALONE),
        "as shipped": fitted(SHIPPED),
        "chosen by the other 17 tasks": apart,
        "chosen by all 18 tasks": fitted(everything),
    }
    reference = np.array(list(ways["as shipped"].values()))
    lines = ["| constants | final | minus shipped | checkpoint | minus shipped |"]
    lines.append("|---|---|---|---|---|")
    told = {}
    for name, by_task in ways.items():
        values = np.array(list(by_task.values()))
        cells = [name]
        for column in range(len(MEASURES)):
            apart_by = values[:, column] - reference[:, column]
            low, high = interval(apart_by)
            cells += [f"{values[:, column].mean():.3f}"]
            cells += [f"{apart_by.mean():+.3f} ({low:+.3f} to {high:+.3f})"]
        lines.append("| " + " | ".join(cells) + " |")
        told[name] = {task: found.round(4).tolist() for task, found in by_task.items()}
    often = {str(each): chosen.count(each) for each in sorted(set(chosen), key=chosen.count)[::-1]}
    told["chosen"] = {"left out": often, "all": str(everything)}
    (HERE / "leave_one_out.json").write_text(json.dumps(told, indent=1) + "\n", "utf8")
    (HERE / "leave_one_out.md").write_text("\n".join(lines) + "\n", "utf8")
    print("\n".join(lines), often, everything, sep="\n")


if __name__ == "__main__":
    main()
