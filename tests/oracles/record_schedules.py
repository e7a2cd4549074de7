"""Record the values of other libraries' schedules: `python record_schedules.py PEER...`

The expressions are those of `tests/schedules/equivalents.py`. Needs the peers named on the command
line; of timm, fastai and TF-Addons only the module with the schedules is loaded, so that none of
their other requirements must be installed. Adds to `schedules.json` beside this file.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import json
import math
import sys
import types
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from schedules.equivalents import LR, RECORDED  # noqa: E402

DISTRIBUTIONS = {"TF-Addons": "tensorflow-addons"}


def folder(package):
    """Find a package without importing it."""
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


def hollow(package, **names):
    """Stand in for a package whose own imports are not wanted."""
    module = types.ModuleType(package)
    module.__dict__.update(names)
    sys.modules[package] = module
    return module


def optimizer():
    import torch

    weight = torch.nn.Parameter(torch.zeros(()))
    return torch.optim.SGD([weight], lr=LR, momentum=0.9)


def driven(scope, entry, advance):
    """Step a scheduler that writes into an optimizer, and read what it wrote."""
    opt = optimizer()
    scheduler = eval(entry.theirs, {**scope, "opt": opt, "lr": LR})
    values = []
    for step in range(entry.steps):
        values.append(opt.param_groups[0]["momentum" if "# momentum" in entry.theirs else "lr"])
        if step + 1 < entry.steps:
            opt.step()
            advance(scheduler, step + 1)
    return values


def torch_values(entry):
    from torch.optim import lr_scheduler, swa_utils

    scope = {**vars(lr_scheduler), "SWALR": swa_utils.SWALR}
    return driven(scope, entry, lambda scheduler, _: scheduler.step())


def transformers_values(entry):
    from transformers import optimization

    return driven(vars(optimization), entry, lambda scheduler, _: scheduler.step())


@functools.cache
def timm_scope():
    path = str(folder("timm"))
    hollow("timm").__path__ = [path]
    return {
        name: getattr(importlib.import_module(f"timm.scheduler.{module}"), name)
        for module, name in [
            ("cosine_lr", "CosineLRScheduler"),
            ("tanh_lr", "TanhLRScheduler"),
            ("poly_lr", "PolyLRScheduler"),
            ("step_lr", "StepLRScheduler"),
            ("multistep_lr", "MultiStepLRScheduler"),
            ("wsd_lr", "WSDLRScheduler"),
        ]
    }


def timm_values(entry):
    return driven(timm_scope(), entry, lambda scheduler, step: scheduler.step(step))


def optax_values(entry):
    import optax

    schedule = eval(entry.theirs, {**vars(optax), "lr": LR})
    return [float(schedule(step)) for step in range(entry.steps)]


@functools.cache
def fastai_scope():
    import torch
    from fastcore.foundation import L, store_attr

    source = (folder("fastai") / "callback" / "schedule.py").read_text()
    shapes = source[source.index("class _Annealer") : source.index("class ParamScheduler")]
    shapes = shapes[: shapes.rindex("# %%")]
    scope = {"functools": functools, "math": math, "torch": torch, "L": L}
    scope |= {"store_attr": store_attr, "tensor": lambda items: torch.tensor(list(items))}
    exec(shapes, scope)
    return scope


def fastai_values(entry):
    schedule = eval(entry.theirs, {**fastai_scope(), "lr": LR})
    return [float(schedule(step / entry.steps)) for step in range(entry.steps)]


@functools.cache
def addons_scope():
    path = folder("tensorflow_addons") / "optimizers" / "cyclical_learning_rate.py"
    hollow("typeguard", typechecked=lambda function: function)
    hollow("tensorflow_addons")
    hollow("tensorflow_addons.utils")
    hollow("tensorflow_addons.utils.types", FloatTensorLike=float)
    scope = {"__name__": "cyclical_learning_rate"}
    exec(compile(path.read_text(), path, "exec"), scope)
    return scope


def addons_values(entry):
    schedule = eval(entry.theirs, {**addons_scope(), "lr": LR})
    # the class mixes integer steps with float arithmetic, so it is given float ones
    return [float(schedule(float(step))) for step in range(entry.steps)]


READERS = {
    "torch": torch_values,
    "optax": optax_values,
    "timm": timm_values,
    "transformers": transformers_values,
    "fastai": fastai_values,
    "TF-Addons": addons_values,
}


def main(peers):
    path = HERE / "schedules.json"
    recorded = json.loads(path.read_text()) if path.exists() else {}
    for peer in peers:
        version = importlib.metadata.version(DISTRIBUTIONS.get(peer, peer))
        entries = [entry for entry in RECORDED if entry.peer == peer]
        values = {entry.theirs: READERS[peer](entry) for entry in entries}
        rounded = {
            theirs: [float(f"{value:.9g}") for value in row] for theirs, row in values.items()
        }
        recorded[peer] = {"version": version, "values": rounded}
        print(peer, version, len(values))
    lines = json.dumps(recorded, indent=1).replace(",\n    ", ", ").replace("[\n    ", "[")
    path.write_text(lines.replace("\n   ]", "]") + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:] or READERS)
