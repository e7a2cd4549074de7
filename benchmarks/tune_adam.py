"""Does tuning lr and decay together pay? `python -m benchmarks.tune_adam`.

Six tasks of `lr_suggestion` that train with Adam or AdamW. Each way looks for settings on one half
of the validation data; a new model is then trained with them, once, and judged on the other half.
`tune_adam` goes first, and the other searches may make as many whole runs as its steps amount to:

- default: Keras' learning rate, no decay, nothing spent;
- tune_lr: the learning rate alone, four short trials;
- tune_adam: 12 trials, the three best run twice;
- random: learning rates from 1e-5 to 0.1, shares left at the end from 0.01 to 1, no pruning;
- naive Optuna: TPE over lr and decay as published loops do it, a new model compiled for each trial.

Reported is the ratio to the default's loss with the same seed, as a geometric mean, and its 95 %
interval over the seeds (Student's t, of the logarithms); over all tasks it is that of the tasks'
means. One line per task, seed
and way goes to a JSON-lines file and is not made again, so that a run can be cut off and gone on
with.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import optuna
from scipy import stats

import keras_lr as klr
from keras_lr.search.data import TrainingData
from keras_lr.search.tune.tune import tune_lr
from keras_lr.search.tune_adam.space import decay_for
from keras_lr.search.tune_adam.tune import tune_adam

from .lr_suggestion.tasks import TASKS, Task

NAMES = [
    "digits_mlp_adam",
    "friedman_mlp_adam",
    "mnist1d_cnn_adam",
    "imbalanced_adamw",
    "sines_gru_adam",
    "deep_narrow_adam",
]
FIRST_SEED, TRIALS, REPEATS = 100, 12, 2
LOWEST_LR, HIGHEST_LR = 1e-5, 0.1
FINAL_SEED = 10_000  # away from the seeds of the searches

Found = dict[str, Any]  # lr, decay, steps


def halves(task: Task) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The validation data to search with and the one to judge on."""
    _, _, x, y = task.data()
    return (x[::2], y[::2]), (x[1::2], y[1::2])


def compiled(task: Task, seed: int, lr: float, decay: float) -> keras.Model:
    """A new model with the task's optimizer at these settings."""
    model = task.compiled(seed)
    own = task.optimizer()
    config = {**own.get_config(), "learning_rate": lr, "decay": decay}
    model.compile(getattr(klr.optimizers, type(own).__name__).from_config(config), task.loss())
    return model


def default(task: Task, seed: int, steps: int) -> Found:
    return {"lr": float(keras.ops.convert_to_numpy(task.optimizer().learning_rate)), "steps": 0}


def learning_rate_alone(task: Task, seed: int, steps: int) -> Found:
    x, y, _, _ = task.data()
    options = {"steps": task.steps, "batch_size": task.batch_size, "seed": seed, "verbose": 0}
    best = tune_lr(task.compiled(seed), x, y, **options)
    return {"lr": best.learning_rate, "steps": best.cost_steps}


def both(task: Task, seed: int, steps: int, **options: Any) -> Found:
    x, y, _, _ = task.data()
    options = {"n_trials": TRIALS, "repeats": REPEATS, "batch_size": task.batch_size, **options}
    best = tune_adam(
        task.compiled(seed),
        x,
        y,
        validation_data=halves(task)[0],
        steps=task.steps,
        seed=seed,
        verbose=0,
        **options,
    )
    found = {"share": best.final_share, "steps": best.cost_steps, "noise": best.within_noise}
    return {"lr": best.lr, "decay": best.decay, **found}


def random(task: Task, seed: int, steps: int) -> Found:
    sampler = optuna.samplers.RandomSampler(seed=seed)
    runs = max(1, steps // task.steps)
    limits = (LOWEST_LR, HIGHEST_LR)
    options = {"lr": limits, "sampler": sampler, "pruner": None, "repeats": 1, "n_trials": runs}
    return both(task, seed, steps, **options)


def naive(task: Task, seed: int, steps: int) -> Found:
    x, y, _, _ = task.data()
    epochs = max(1, round(task.steps / -(-len(x) // task.batch_size)))

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", LOWEST_LR, HIGHEST_LR, log=True)
        decay = trial.suggest_float("decay", 1e-7, decay_for(0.01, task.steps), log=True)
        model = compiled(task, seed, lr, decay)
        model.fit(x, y, batch_size=task.batch_size, epochs=epochs, verbose=0)
        loss = model.evaluate(*halves(task)[0], verbose=0)
        keras.utils.clear_session()
        return loss if np.isfinite(loss) else 1e30

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    runs = max(1, steps // task.steps)
    study.optimize(objective, n_trials=runs)
    return {**study.best_params, "steps": runs * task.steps}


WAYS: dict[str, Callable[[Task, int, int], Found]] = {
    "tune_adam": both,  # first: its cost is what the others may spend
    "default": default,
    "tune_lr": learning_rate_alone,
    "random": random,
    "naive Optuna": naive,
}


SLOWEST = "naive Optuna"


def judged(task: Task, seed: int, found: Found) -> float:
    """The loss on unseen data of a new model trained with what was found."""
    x, y, _, _ = task.data()
    model = compiled(task, seed + FINAL_SEED, found["lr"], found.get("decay", 0.0))
    for batch in TrainingData("", x, y, batch_size=task.batch_size).batches(task.steps, seed + 1):
        model.train_on_batch(batch[0], batch[1])
    return float(model.evaluate(*halves(task)[1], verbose=0))


def measure(results: Path, tasks: list[str], seeds: int) -> None:
    done = {(row["task"], row["seed"], row["way"]): row for row in read(results)}
    all_seeds = range(FIRST_SEED, FIRST_SEED + seeds)
    # The loop that compiles each trial takes longest: it comes when all else is there.
    for ways in ([way for way in WAYS if way != SLOWEST], [SLOWEST]):
        for seed, name, way in itertools.product(all_seeds, tasks, ways):
            if (name, seed, way) in done:
                continue
            spent = done[name, seed, "tune_adam"]["steps"] if way != "tune_adam" else 0
            began = time.process_time()
            found = WAYS[way](TASKS[name], seed, spent)
            seconds = round(time.process_time() - began, 2)
            loss = judged(TASKS[name], seed, found)
            row = {"task": name, "seed": seed, "way": way, **found}
            row |= {"loss": loss, "cpu_seconds": seconds, "backend": keras.backend.backend()}
            done[name, seed, way] = row
            with results.open("a", encoding="utf8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
            keras.utils.clear_session()


def read(results: Path) -> list[Found]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text("utf8").splitlines()]


def interval(values: list[float]) -> dict[str, Any]:
    """Mean and half the width of its 95 % interval; no width for fewer than two values."""
    width = None
    if len(values) > 1:
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        width = float(stats.t.ppf(0.975, len(values) - 1) * error)
    return {"mean": float(np.mean(values)), "half_width": width, "count": len(values)}


def summary(rows: list[Found]) -> dict[str, Any]:
    """Logarithms of the ratio to the default by way and task, paired by seed."""
    table = {(row["task"], row["seed"], row["way"]): row for row in rows}
    out: dict[str, Any] = {}
    for way in WAYS:
        mine = [row for row in rows if row["way"] == way]
        mine = [row for row in mine if (row["task"], row["seed"], "default") in table]
        if not mine:
            continue
        differences: dict[str, list[float]] = {}
        for row in mine:
            base = table[row["task"], row["seed"], "default"]["loss"]
            differences.setdefault(row["task"], []).append(float(np.log(row["loss"] / base)))
        by_task = {task: interval(values) for task, values in differences.items()}
        timed = [row["cpu_seconds"] for row in mine if "cpu_seconds" in row]
        out[way] = {
            "pairs": len(mine),
            "tasks": by_task,
            "all": interval([each["mean"] for each in by_task.values()]),
            "runs_spent": float(np.mean([row["steps"] / TASKS[row["task"]].steps for row in mine])),
            "cpu_seconds": float(np.mean(timed)) if timed else None,
        }
    return out


def markdown(found: dict[str, Any]) -> str:
    def cell(value: dict[str, Any] | None) -> str:
        if value is None:
            return "not run"
        middle, width = value["mean"], value["half_width"]
        if not width:
            return f"{np.exp(middle):.2f}"
        low, high = np.exp([middle - width, middle + width])
        return f"{np.exp(middle):.2f} [{low:.2f}, {high:.2f}]"

    tasks = list(found["default"]["tasks"])
    lines = [
        "Loss on unseen data over the default's with the same seed: geometric mean, and its 95 % "
        "interval over the seeds, in the column of all tasks over the tasks. Below 1 is better.",
        "",
        "| way | pairs | all tasks | " + " | ".join(tasks) + " | whole runs spent | CPU seconds |",
        "|---|" + "---|" * (len(tasks) + 4),
    ]
    for way, values in found.items():
        cells = [cell(values["all"]), *(cell(values["tasks"].get(task)) for task in tasks)]
        seconds = values["cpu_seconds"]
        cost = f"{values['runs_spent']:.1f} | " + ("" if seconds is None else f"{seconds:.1f}")
        lines.append(f"| {way} | {values['pairs']} | " + " | ".join(cells) + f" | {cost} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=NAMES, choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if not arguments.only_table:
        measure(arguments.results, arguments.tasks, arguments.seeds)
    found = summary(read(arguments.results))
    path = arguments.results.with_suffix(".json")
    path.write_text(json.dumps(found, indent=1) + "\n", "utf8")
    arguments.results.with_suffix(".md").write_text(markdown(found), "utf8")
    print(markdown(found))


if __name__ == "__main__":
    main()
