"""Measures one backend, each case in a process of its own, and goes on where it was stopped.

    KERAS_BACKEND=jax python -m benchmarks.cost --minutes 6

adds to `benchmarks/cost/results.json` and writes the tables `results.md`. What is there already is
not measured again; `--again` begins afresh. `--only memory` measures what does not depend on how
busy a machine is.
"""

import argparse
import importlib
import json
import os
import pathlib
import platform
import time
from importlib import metadata

from benchmarks.cost.processes import context, in_new_process
from benchmarks.cost.table import markdown

PARTS = ("steps", "searches", "memory", "peers")
HERE = pathlib.Path(__file__).parent


def case_in_process(part, case):
    """Return what a case takes in this process, or what was wrong with it."""
    return importlib.import_module(f"benchmarks.cost.{part}").measure(case)


def cases_of(part):
    """Return the cases of a part."""
    return importlib.import_module(f"benchmarks.cost.{part}").CASES


def main():
    """Measure what is missing, as long as there is time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--only", default="", help="a part: " + ", ".join(PARTS))
    parser.add_argument("--case", default="", help="a part of the names of cases")
    parser.add_argument("--again", action="store_true", help="measure all anew")
    given = parser.parse_args()
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    path = HERE / "results.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    found = {} if given.again else rows.get(backend, {})
    rows[backend] = found
    found["about"] = {
        "keras": metadata.version("keras"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    maker, until = context("keras_lr"), time.monotonic() + 60 * given.minutes
    for part in (part for part in PARTS if given.only in part):
        for case in (case for case in cases_of(part) if given.case in case):
            if case in found.get(part, {}) or time.monotonic() > until:
                continue
            found.setdefault(part, {})[case] = in_new_process(maker, case_in_process, part, case)
            print(backend, part, case, found[part][case], flush=True)
            path.write_text(json.dumps(rows, indent=1) + "\n")
            path.with_suffix(".md").write_text(markdown(rows))
