"""Exceptions at random places of fits and searches: `python benchmarks/fault_injection.py`.

Each injection trains a small network (BatchNorm, Dropout, momentum) under one callback or search
of the library and raises, at a random hook of a callback before or after it, in the data or as
Ctrl-C. Its twin is struck at the same place, driven by a plain callback of Keras' kind, or, for a
search, not trained at all. Then both must have the same attributes and be equal to the bit:
weights, slots, learning rate; and still be so after one more epoch. Written to
`fault_injection.md`, with the number of runs that were killed by SIGKILL and went on (`--kills`).

    KERAS_BACKEND=torch python benchmarks/fault_injection.py --injections 2000 --kills 20
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

import keras_lr as klr

TITLE = "# Exceptions at random places"
STEPS, EPOCHS, RATE = 6, 3, 0.05
HOOKS = [
    f"on_{name}"
    for name in (
        "train_begin", "epoch_begin", "train_batch_begin", "train_batch_end", "test_begin",
        "test_batch_end", "epoch_end", "train_end",
    )
]  # fmt: skip
X = np.random.default_rng(0).normal(size=(8 * STEPS, 4)).astype("float32")
Y = X[:, :1] * X[:, 1:2]
COSINE = klr.schedules.Cosine(0.1, 0.0, steps=STEPS * EPOCHS)
ONE_CYCLE = klr.schedules.OneCycle(0.1, steps=STEPS * EPOCHS)
RESTARTS = klr.schedules.CosineRestarts(0.1, STEPS, cycle_mult=1)


class PlainDriver(keras.callbacks.Callback):
    """Sets the learning rate before every step, as users do, and its own back at the end."""

    def __init__(self, schedule: klr.schedules.Schedule) -> None:
        super().__init__()
        self._values = schedule.values(np.arange(STEPS * EPOCHS))
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        rate = float(self._values[self._epoch * STEPS + batch])
        self.model.optimizer.learning_rate = rate


@dataclass(frozen=True)
class Kind:
    """One callback under test.

    Attributes:
        ours: Makes it.
        twin: Makes what the twin is trained under; None if it is trained by nothing.
        undone: Whether what was trained is undone: a search.
    """

    ours: Callable[[], Any]
    twin: Callable[[], Any] | None = None
    undone: bool = False


KINDS = {
    "LRScheduler": Kind(lambda: klr.LRScheduler(COSINE), lambda: PlainDriver(COSINE)),
    "OneCycle": Kind(
        lambda: klr.OneCycle(0.1, momentum=None), lambda: PlainDriver(ONE_CYCLE)
    ),
    "CosineWarmRestarts": Kind(
        lambda: klr.CosineWarmRestarts(0.1, first_cycle_epochs=1, cycle_mult=1, snapshots=2),
        lambda: PlainDriver(RESTARTS),
    ),
    "LRScheduler()": Kind(klr.LRScheduler),
    "ReduceOnPlateauPlus": Kind(
        lambda: klr.ReduceOnPlateauPlus("loss", patience=9, max_rescues=1)
    ),
    "WeightAverage": Kind(lambda: klr.WeightAverage(0.9, keep="last")),
    "Cooldown": Kind(lambda: klr.Cooldown(steps=5, at_step=10**6)),
    "LRRangeTest": Kind(lambda: klr.LRRangeTest(steps=100, max_lr=0.1), undone=True),
}  # fmt: skip


class Strike(keras.callbacks.Callback):
    """Raises when one of its hooks is called for the nth time."""

    def __init__(self, hook: str, count: int, error: type[BaseException]) -> None:
        super().__init__()
        self._left = count

        def strike(*arguments: Any, **named: Any) -> None:
            self._left -= 1
            if self._left == 0:
                raise error("struck")

        setattr(self, hook, strike)


def network(rate: float = RATE, dropout: float = 0.2) -> keras.Model:
    """Return a compiled network, the same each time."""
    keras.utils.set_random_seed(3)
    hidden = [keras.layers.Dense(8, "relu"), keras.layers.BatchNormalization()]
    parts = [keras.Input((4,)), *hidden, keras.layers.Dropout(dropout), keras.layers.Dense(1)]
    model = keras.Sequential(parts)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model: keras.Model, callbacks: list[Any], **arguments: Any) -> None:
    """Train, unshuffled and quiet, with validation."""
    options = {"batch_size": 8, "epochs": EPOCHS, "shuffle": False, "verbose": 0, **arguments}
    model.fit(X, Y, validation_data=(X[:8], Y[:8]), callbacks=callbacks, **options)


def struck(model: keras.Model, callbacks: list[Any]) -> bool:
    """Train until the strike; return whether there was one."""
    try:
        fit(model, callbacks)
    except (RuntimeError, KeyboardInterrupt):
        return True
    return False


def values(model: keras.Model) -> list[bytes]:
    """Return every variable of a model and its optimizer."""
    variables = [*model.weights, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable.value).tobytes() for variable in variables]


def attributes(model: keras.Model) -> tuple[set[str], set[str]]:
    """Return the names of what a model and its optimizer hold, but for what `fit` leaves."""
    left = {"_eval_epoch_iterator", "history", "stop_training"}
    return set(vars(model)) - left, set(vars(model.optimizer))


def inject(kind: Kind, draw: random.Random) -> str | None:
    """Strike once; return what differs afterwards, or None."""
    hook, count = draw.choice(HOOKS), draw.randint(1, STEPS * EPOCHS)
    error = draw.choice([RuntimeError, KeyboardInterrupt])
    first = draw.random() < 0.5

    def callbacks(ours: Any) -> list[Any]:
        given = [Strike(hook, count, error), *([ours] if ours is not None else [])]
        return given if first else given[::-1]

    model, twin = network(), network()
    for each in (model, twin):
        fit(
            each, [], epochs=0
        )  # the first fit of a model draws random numbers to build its metrics
    keras.utils.set_random_seed(5)
    was_struck = struck(model, callbacks(kind.ours()))
    if not was_struck:
        return None  # the hook was called fewer times: a whole fit, which the tests compare
    keras.utils.set_random_seed(5)
    if not kind.undone:
        struck(twin, callbacks(kind.twin() if kind.twin else None))
    twin.optimizer.learning_rate = RATE
    if attributes(model)[1] != attributes(twin)[1]:
        return f"{hook} {count}: {attributes(model)[1] ^ attributes(twin)[1]} of the optimizer"
    if not kind.undone and attributes(model)[0] != attributes(twin)[0]:
        return f"{hook} {count}: {attributes(model)[0] ^ attributes(twin)[0]} of the model"
    for when in ("at once", "an epoch later"):
        if values(model) != values(twin):
            return f"{hook} {count} {error.__name__} first={first}: values differ {when}"
        for each in (model, twin):
            keras.utils.set_random_seed(6)
            fit(each, [], epochs=1)
    return None


def child(folder: str) -> None:
    """Train with backups, going on where the last process of this folder was killed."""
    model = network(0.1, dropout=0.0)  # BackupAndRestore keeps no generator
    plateau = klr.ReduceOnPlateauPlus("loss", patience=1, factor=0.7, backup_dir=folder)
    driver = klr.CosineWarmRestarts(0.1, first_cycle_epochs=2, cycle_mult=2)

    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.01)

    back = keras.callbacks.BackupAndRestore(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, [driver, plateau, Slow(), back], epochs=14)
    print(json.dumps([array.tolist() for array in model.get_weights()]))


def killed(kills: int, draw: random.Random, until: float) -> tuple[int, int]:
    """Kill a run at a random time, `kills` times; return how often, and how many ended the same."""

    def run(folder: str, seconds: float | None = None) -> str:
        command = [sys.executable, __file__, "--child", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if seconds is not None:
            began = time.monotonic()
            while not any(pathlib.Path(folder).iterdir()) and time.monotonic() < began + 60:
                time.sleep(0.05)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
        return process.communicate()[0].decode()

    done = same = 0
    if kills:
        with tempfile.TemporaryDirectory() as folder:
            whole = run(folder)
    while done < kills and time.monotonic() < until:
        with tempfile.TemporaryDirectory() as folder:
            run(folder, draw.uniform(0.0, 1.0))
            same += run(folder) == whole
        done += 1
        print(f"{same} of {done} runs that were killed went on to the same weights", flush=True)
    return done, same


def write(counts: Counter[str], faults: list[str], kills: tuple[int, int], seed: int) -> None:
    """Put what was found into the part of `fault_injection.md` that is this backend's."""
    path = pathlib.Path(__file__).with_suffix(".md")
    head, *parts = path.read_text().split("\n## ") if path.exists() else [TITLE]
    backend = keras.backend.backend()
    kept = {part.split("\n", 1)[0]: part.rstrip() for part in parts}
    rows = "\n".join(
        f"| {kind} | {count} | {sum(fault.startswith(f'{kind}: ') for fault in faults)} |"
        for kind, count in counts.items()
    )
    command = f"--injections {sum(counts.values())} --kills {kills[0]} --seed {seed}"
    lines = [f"`KERAS_BACKEND={backend} python benchmarks/fault_injection.py {command}`, Keras "]
    lines[0] += keras.__version__
    if counts:
        lines.append(f"| Callback | Injections | Differences |\n|---|---|---|\n{rows}")
    if kills[0]:
        lines.append(
            f"Of {kills[0]} runs killed by SIGKILL, {kills[1]} went on to the same weights."
        )
    kept[backend] = "\n\n".join([backend, *lines])
    order = [name for name in ("torch", "jax", "tensorflow") if name in kept]
    parts = [head.strip(), *(f"## {kept[name]}" for name in order)]
    path.write_text("\n\n".join(parts) + "\n")


def main() -> None:
    """Inject, kill, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--injections", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=600.0, help="no more after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    warnings.simplefilter("ignore")
    until = time.monotonic() + 60.0 * options.minutes
    draw, faults = random.Random(options.seed), []
    counts: Counter[str] = Counter()
    for index in range(options.injections):
        if time.monotonic() > until:
            break
        name = list(KINDS)[index % len(KINDS)]
        fault = inject(KINDS[name], draw)
        counts[name] += 1
        if fault is not None:
            faults.append(f"{name}: {fault}")
            print(faults[-1], flush=True)
    print(f"{len(faults)} differences in {sum(counts.values())} injections", flush=True)
    kills = killed(options.kills, draw, until)
    write(counts, faults, kills, options.seed)


if __name__ == "__main__":
    main()
