"""Does it pay to tune by whole runs? `python -m benchmarks.tune_adam --minutes 45`.

Ten tasks of `lr_suggestion`, all with optimizers whose steps do not depend on the gradient's size.
Each way looks for settings on one half of the validation data; a new model is then trained with
them, once, and judged on the other half. `tune_adam` goes first, and the other searches may make as
many whole runs as its steps amount to, rounded up:

- default: Keras' learning rate, constant, nothing spent;
- tune_lr: a constant learning rate from short trials;
- tune_adam: as it comes;
- random: learning rates from 1e-5 to 0.1, shares left at the end from 0.01 to 1, the best run;
- naive Optuna: TPE over lr and decay as published loops do it, a new model compiled for each trial.

Reported is the ratio to the default's loss with the same seed. Losses below 1 % of the untrained
model's count as that, so that no task decides by what is next to nothing. Per task it is the
median over the seeds; over all tasks the geometric mean of these, with a 95 % bootstrap interval in
which tasks are drawn, and seeds within them. One line per task, seed and way goes to a JSON-lines
file and is not made again, so that a run can be cut off and gone on with.
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

from keras_lr import tune_adam, tune_lr
from keras_lr.search.data import TrainingData
from keras_lr.search.tune_adam.shapes import decay_for, schedule_of

from .lr_suggestion.tasks import TASKS, Task

NAMES = [
    "digits_mlp_adam",
    "friedman_mlp_adam",
    "mnist1d_cnn_adam",
    "imbalanced_adamw",
    "sines_gru_adam",
    "deep_narrow_adam",
    "charlm_transf_adamw",
    "digits_ae_rmsprop",
    "mnist1d_mlp_lion",
    "recsys_mf_adagrad",
]
FIRST_SEED = 200  # away from the seeds that were looked at while the search was written
FINAL_SEED = 10_000  # away from the seeds of the searches
LOWEST_LR, HIGHEST_LR = 1e-5, 0.1
FLOOR = 0.01  # of the untrained model's loss
DRAWS = 2_000

Found = dict[str, Any]  # lr, shape, share, steps


def halves(task: Task) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The validation data to search with and the one to judge on."""
    _, _, x, y = task.data()
    return (x[::2], y[::2]), (x[1::2], y[1::2])


def compiled(task: Task, seed: int, found: Found) -> keras.Model:
    """A new model with the task's optimizer at these settings."""
    model = task.compiled(seed)
    own = task.optimizer()
    rate = found["lr"]
    if found.get("shape", "constant") != "constant":
        rate = schedule_of(found["shape"], rate, found["share"], task.steps)
    model.compile(type(own).from_config({**own.get_config(), "learning_rate": rate}), task.loss())
    return model


def default(task: Task, seed: int, steps: int) -> Found:
    return {"lr": float(keras.ops.convert_to_numpy(task.optimizer().learning_rate)), "steps": 0}


def learning_rate_alone(task: Task, seed: int, steps: int) -> Found:
    x, y, _, _ = task.data()
    options = {"steps": task.steps, "batch_size": task.batch_size, "seed": seed, "verbose": 0}
    best = tune_lr(task.compiled(seed), x, y, **options)
    return {"lr": best.learning_rate, "steps": best.cost_steps}


def by_surface(task: Task, seed: int, steps: int, **options: Any) -> Found:
    x, y, _, _ = task.data()
    best = tune_adam(
        task.compiled(seed),
        x,
        y,
        validation_data=halves(task)[0],
        steps=task.steps,
        batch_size=task.batch_size,
        seed=seed,
        verbose=0,
        **options,
    )
    found = {"lr": best.lr, "shape": best.shape, "share": best.final_share}
    return {**found, "steps": best.cost_steps, "noise": best.within_noise}


def random(task: Task, seed: int, steps: int) -> Found:
    return by_surface(
        task,
        seed,
        steps,
        lr=(LOWEST_LR, HIGHEST_LR),
        sampler=optuna.samplers.RandomSampler(seed=seed),
        pruner=None,
        repeats=1,
        n_trials=_runs(task, steps),
    )


def naive(task: Task, seed: int, steps: int) -> Found:
    x, y, _, _ = task.data()
    epochs = max(1, round(task.steps / -(-len(x) // task.batch_size)))

    def settings(lr: float, decay: float) -> Found:
        return {"lr": lr, "shape": "decay", "share": 1 / (1 + decay * (task.steps - 1))}

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", LOWEST_LR, HIGHEST_LR, log=True)
        decay = trial.suggest_float("decay", 1e-7, decay_for(0.01, task.steps), log=True)
        model = compiled(task, seed, settings(lr, decay))
        model.fit(x, y, batch_size=task.batch_size, epochs=epochs, verbose=0)
        loss = model.evaluate(*halves(task)[0], verbose=0)
        keras.utils.clear_session()
        return loss if np.isfinite(loss) else 1e30

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    runs = _runs(task, steps)
    study.optimize(objective, n_trials=runs)
    return {**settings(**study.best_params), "steps": runs * task.steps}


def _runs(task: Task, steps: int) -> int:
    return max(1, -(-steps // task.steps))


WAYS: dict[str, Callable[[Task, int, int], Found]] = {
    "tune_adam": by_surface,  # first: its cost is what the others may spend
    "default": default,
    "tune_lr": learning_rate_alone,
    "random": random,
    "naive Optuna": naive,
}

SLOWEST = "naive Optuna"


def judged(task: Task, seed: int, found: Found) -> tuple[float, float]:
    """The loss on unseen data of a new model, trained with what was found and before that."""
    x, y, _, _ = task.data()
    model = compiled(task, seed + FINAL_SEED, found)
    initial = float(model.evaluate(*halves(task)[1], verbose=0))
    for batch in TrainingData("", x, y, batch_size=task.batch_size).batches(task.steps, seed + 1):
        model.train_on_batch(batch[0], batch[1])
    return float(model.evaluate(*halves(task)[1], verbose=0)), initial


def measure(results: Path, tasks: list[str], seeds: int, minutes: float) -> None:
    """Make every result that is not yet in the file; begin none after so many minutes."""
    done = {(row["task"], row["seed"], row["way"]): row for row in read(results)}
    until = time.monotonic() + 60 * minutes
    all_seeds = range(FIRST_SEED, FIRST_SEED + seeds)
    quick = [*itertools.product(all_seeds, tasks, [way for way in WAYS if way != SLOWEST])]
    # The loop that compiles each trial takes longest: it comes when all else is there.
    for seed, name, way in [*quick, *itertools.product(all_seeds, tasks, [SLOWEST])]:
        if (name, seed, way) in done:
            continue
        if time.monotonic() > until:
            return
        spent = done[name, seed, "tune_adam"]["steps"] if way != "tune_adam" else 0
        began = time.process_time()
        found = WAYS[way](TASKS[name], seed, spent)
        seconds = round(time.process_time() - began, 2)
        loss, initial = judged(TASKS[name], seed, found)
        row = {"task": name, "seed": seed, "way": way, **found}
        row |= {"loss": loss if np.isfinite(loss) else 1e30, "initial": initial}
        row |= {"cpu_seconds": seconds, "backend": keras.backend.backend()}
        done[name, seed, way] = row
        with results.open("a", encoding="utf8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        keras.utils.clear_session()


def read(results: Path) -> list[Found]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text("utf8").splitlines()]


def floored(row: Found) -> float:
    """The logarithm of a loss, no lower than that of 1 % of the untrained model's."""
    return float(np.log(max(row["loss"], FLOOR * row["initial"])))


def ratios(rows: list[Found], way: str, to: str) -> dict[str, list[float]]:
    """Logarithms of the ratio of two ways' losses by task, one for each seed both have."""
    table = {(row["task"], row["seed"], row["way"]): row for row in rows}
    found: dict[str, list[float]] = {}
    for row in rows:
        other = table.get((row["task"], row["seed"], to))
        if row["way"] == way and other is not None:
            found.setdefault(row["task"], []).append(floored(row) - floored(other))
    return found


def drawn_interval(by_task: dict[str, list[float]]) -> tuple[float, float]:
    """The 95 % interval of the mean of medians, over tasks and seeds drawn with replacement."""
    random_numbers, tasks = np.random.default_rng(0), list(by_task.values())
    means = []
    for _ in range(DRAWS):
        chosen = random_numbers.integers(len(tasks), size=len(tasks))
        medians = [np.median(random_numbers.choice(tasks[k], len(tasks[k]))) for k in chosen]
        means.append(np.mean(medians))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def compared(rows: list[Found], way: str, to: str) -> dict[str, Any]:
    """How one way does against another: medians, mean, interval, tasks won."""
    by_task = ratios(rows, way, to)
    medians = {task: float(np.median(values)) for task, values in by_task.items()}
    return {
        "pairs": sum(map(len, by_task.values())),
        "tasks": {task: float(np.exp(median)) for task, median in medians.items()},
        "mean": float(np.exp(np.mean(list(medians.values())))),
        "interval": [float(np.exp(end)) for end in drawn_interval(by_task)],
        "won": sum(median < 0 for median in medians.values()),
        "of": len(medians),
    }


def summary(rows: list[Found]) -> dict[str, Any]:
    """Every way against the default, and `tune_adam` against every way."""
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    out: dict[str, Any] = {"to the default": {}, "tune_adam to": {}}
    for way in ways:
        mine = [row for row in rows if row["way"] == way]
        spent = float(np.mean([row["steps"] / TASKS[row["task"]].steps for row in mine]))
        seconds = float(np.mean([row["cpu_seconds"] for row in mine]))
        cost = {"runs_spent": spent, "cpu_seconds": seconds}
        out["to the default"][way] = compared(rows, way, "default") | cost
        if way != "tune_adam":
            out["tune_adam to"][way] = compared(rows, "tune_adam", way)
    return out


def markdown(found: dict[str, Any]) -> str:
    def cell(of: dict[str, Any]) -> str:
        low, high = of["interval"]
        return f"{of['mean']:.2f} [{low:.2f}, {high:.2f}] | {of['won']} of {of['of']}"

    table = found["to the default"]
    tasks = list(table["default"]["tasks"])
    lines = [
        "Loss on unseen data over the default's with the same seed, losses below 1 % of the "
        "untrained model's taken for that: per task the median over the seeds, over all tasks "
        "the geometric mean of these and its 95 % bootstrap interval. Below 1 is better.",
        "",
        "| way | pairs | all tasks | tasks won | whole runs spent | CPU seconds | "
        + " | ".join(tasks)
        + " |",
        "|---|" + "---|" * (len(tasks) + 5),
    ]
    for way, of in table.items():
        cells = [f"{of['tasks'][task]:.2f}" if task in of["tasks"] else "" for task in tasks]
        cost = f"{of['runs_spent']:.1f} | {of['cpu_seconds']:.1f}"
        row = [way, str(of["pairs"]), cell(of), cost, *cells]
        lines.append("| " + " | ".join(row) + " |")
    lines += ["", "The loss that `tune_adam` leads to over that of each other way:", ""]
    lines += ["| other way | all tasks | tasks won |", "|---|---|---|"]
    lines += [f"| {way} | {cell(of)} |" for way, of in found["tune_adam to"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=NAMES, choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=np.inf)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if not arguments.only_table:
        measure(arguments.results, arguments.tasks, arguments.seeds, arguments.minutes)
    found = summary(read(arguments.results))
    path = arguments.results.with_suffix(".json")
    path.write_text(json.dumps(found, indent=1) + "\n", "utf8")
    arguments.results.with_suffix(".md").write_text(markdown(found), "utf8")
    print(markdown(found))


if __name__ == "__main__":
    main()
