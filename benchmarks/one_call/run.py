"""Measure every way on every task, and write the table.

Results are appended to a JSON-lines file, one line per task, way and seed, and are not made again:
a run that was cut off goes on where it was. At the end the table is written beside it, as JSON and
as Markdown.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from ..lr_suggestion.run import read
from .table import markdown, summary
from .tasks import OWN, TASKS, Task
from .ways import WAYS, Run

Row = dict[str, Any]


def judged(task: Task, model: keras.Model) -> Row:
    """The loss on unseen data, and the share of right answers where there are classes."""
    _, _, x, y = task.data()
    x, y = x[1::2], y[1::2]
    row: Row = {"loss": float(model.evaluate(x, y, batch_size=256, verbose=0))}
    loss = task.loss()
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        answers = model.predict(x, batch_size=256, verbose=0).argmax(-1)
    elif isinstance(loss, keras.losses.BinaryCrossentropy):
        answers = model.predict(x, batch_size=256, verbose=0) > 0
    else:
        return row
    return {**row, "accuracy": float(np.mean(answers == y))}


def measure(results: Path, tasks: list[str], ways: list[str], seeds: range) -> None:
    """Make every result that is not yet in the file."""
    done = {(row["task"], row["way"], row["seed"]) for row in read(results)}
    for seed in seeds:
        for name in tasks:
            for way in ways:
                if (name, way, seed) in done:
                    continue
                task = TASKS[name]
                began = time.process_time()
                model, found = WAYS[way](Run(name, task, seed, task.steps))
                seconds = round(time.process_time() - began, 2)
                row = {"task": name, "way": way, "seed": seed, **judged(task, model), **found}
                row |= {"cpu_seconds": seconds, "backend": keras.backend.backend()}
                with results.open("a", encoding="utf8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
                keras.utils.clear_session()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.jsonl"))
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if not arguments.only_table:
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        measure(arguments.results, arguments.tasks, arguments.ways, seeds)
    table = summary(read(arguments.results), own=set(OWN))
    arguments.results.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", "utf8")
    text = markdown(table)
    arguments.results.with_suffix(".md").write_text(text, "utf8")
    print(text)
