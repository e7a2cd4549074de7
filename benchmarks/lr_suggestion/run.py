"""Measure every method on every task: `python -m benchmarks.lr_suggestion.run`.

Results are appended to a JSON-lines file, one line per task, group and seed, and are not made
again: a run that was cut off goes on where it was. At the end the table is written as JSON and
as Markdown beside it.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from .methods import GROUPS
from .table import markdown, summary
from .tasks import TASKS

FIRST_SEED = 100  # the known answers were made with the seeds 0 to 2


def measure(results: Path, tasks: list[str], groups: list[str], seeds: int) -> None:
    """Make every result that is not yet in the file."""
    done = {(row["task"], row["group"], row["seed"]) for row in read(results)}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        for group in groups:
            for task in tasks:
                if (task, group, seed) in done:
                    continue
                began = time.perf_counter()
                found = GROUPS[group](TASKS[task], seed)
                row = {
                    "task": task,
                    "group": group,
                    "seed": seed,
                    "backend": keras.backend.backend(),
                    "seconds": round(time.perf_counter() - began, 2),
                    "suggestions": [vars(suggestion) for suggestion in found],
                }
                with results.open("a", encoding="utf8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{task}, {group}, seed {seed}: {row['seconds']} s", flush=True)
                keras.utils.clear_session()


def read(results: Path) -> list[dict]:
    """The results so far."""
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text("utf8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.jsonl"))
    arguments = parser.parse_args()
    measure(arguments.results, arguments.tasks, arguments.groups, arguments.seeds)
    table = summary(read(arguments.results))
    arguments.results.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", "utf8")
    text = markdown(table)
    arguments.results.with_suffix(".md").write_text(text, "utf8")
    print(text)


if __name__ == "__main__":
    main()
