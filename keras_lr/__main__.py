"""The demo, `python -m keras_lr`: the primer's three options on handwritten digits, equal budget.

Every way of choosing the learning rate trains the same network from the same weights for the same
number of epochs. What a search costs on top is in the table. Figures are the median over seeds.
"""

import argparse
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_lr as klr

EPOCHS = 6  # 2 + 4: two whole cycles of the warm restarts
BATCH_SIZE = 32
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Data:
    """The digits, split once: 1,000 images to train on, 797 to judge by."""

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray

    @classmethod
    def load(cls) -> "Data":
        """Load scikit-learn's copy of the handwritten digits; nothing is downloaded."""
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            message = "The demo needs scikit-learn. Install it with: pip install 'keras-lr[demo]'"
            raise SystemExit(message) from error
        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(images))
        x, y = (images[order] / 16.0).astype("float32"), labels[order].astype("int32")
        return cls(x[:1000], y[:1000], x[1000:], y[1000:])


@dataclass(frozen=True)
class Way:
    """One row of the table: a way to choose the learning rate.

    Attributes:
        option: Which of the primer's options it is.
        name: What to call it.
        learning_rate: What the optimizer is built with: a number or a schedule.
        callback: Makes the callback that goes with it, or None.
        cost: Training steps spent before the run, on finding the rate it builds on.
        one_call: Whether it is trained by `keras_lr.fit`, whose search is part of the run.
    """

    option: str
    name: str
    learning_rate: Any
    callback: Callable[[], keras.callbacks.Callback] | None = None
    cost: int = 0
    one_call: bool = False


@dataclass(frozen=True)
class Trained:
    """A run that is over: its history, and the loss and the error of the weights it left."""

    history: dict[str, list[float]]
    loss: float
    error: float


def build(learning_rate: Any, seed: int) -> keras.Model:
    """Return the network, compiled with momentum SGD at a learning rate."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    # XLA would take longer to compile this small a step than all its runs take.
    jit_compile = keras.backend.backend() == "jax"
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit_compile)
    return model


def ways(data: Data) -> tuple[list[Way], klr.RangeTestResult]:
    """Run the searches and return every way with its learning rate, and the range test."""
    steps = EPOCHS * -(-len(data.x) // BATCH_SIZE)
    model = build(0.01, seed=100)
    found = klr.lr_find(model, data.x, data.y, batch_size=BATCH_SIZE, probe=256, verbose=0)
    tuned = klr.tune_lr(model, data.x, data.y, epochs=EPOCHS, batch_size=BATCH_SIZE, verbose=0)
    rate, cost = tuned.learning_rate, tuned.cost_steps
    # The mean of these schedules is about half of their peak.
    cosine = klr.schedules.Cosine(2 * rate, 0.0, steps=steps - 40).warmup(40)

    def plateau() -> keras.callbacks.Callback:
        return klr.ReduceOnPlateauPlus(factor=0.3, patience=1, restore_best_weights=True)

    def one_cycle() -> keras.callbacks.Callback:
        return klr.OneCycle(max_lr=2 * rate)

    def restarts() -> keras.callbacks.Callback:
        return klr.CosineWarmRestarts(first_cycle_epochs=2, cycle_mult=2)

    return [
        Way("", "Keras' default", 0.01),
        Way("all in one call", "fit", 0.01, one_call=True),
        Way("1 compromise", "range test", found.suggest(), cost=len(found.losses)),
        Way("1 compromise", "tune_lr", rate, cost=cost),
        Way("2 ask the loss", "plateau", rate, plateau, cost),
        Way("2 ask the clock", "warm-up + cosine", cosine, cost=cost),
        Way("2 ask the clock", "one-cycle", rate, one_cycle, cost),
        Way("3 stop and go", "warm restarts", rate, restarts, cost),
    ], found


def train(way: Way, data: Data, seed: int) -> Trained:
    """Train one way for the budget."""
    model = build(way.learning_rate, seed)
    run: dict[str, Any] = {
        "batch_size": BATCH_SIZE,
        "epochs": EPOCHS,
        "validation_data": (data.x_val, data.y_val),
        "verbose": 0,
    }
    if way.one_call:
        history = klr.fit(model, data.x, data.y, seed=seed, **run).history
    else:
        callback = way.callback() if way.callback else klr.LRScheduler()
        history = model.fit(data.x, data.y, callbacks=[callback], **run)
    loss, accuracy = model.evaluate(data.x_val, data.y_val, verbose=0)
    return Trained(history.history, loss, 100 * (1 - accuracy))


def row(way: Way, runs: list[Trained]) -> str:
    """Return one line of the table."""
    losses = [run.loss for run in runs]
    return (
        f"{way.option:<16} {way.name:<18} {np.median(losses):>8.3f}  "
        f"{min(losses):.3f}-{max(losses):.3f} {np.median([run.error for run in runs]):>8.1f} % "
        f"{way.cost:>8}"
    )


def draw(found: klr.RangeTestResult, runs: dict[str, Trained], path: Path) -> None:
    """Save the range test, every run's loss, and the learning rates it was trained with."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.5), layout="constrained")
    searched, losses, rates = figure.subplots(1, 3, width_ratios=(1.4, 1, 1))
    klr.plot_range_test(found, ax=searched)
    searched.set_title("Range test")
    for name, run in runs.items():
        # The trials of fit, where there is time for some, have taken the place of its first epochs.
        epochs = np.arange(1, EPOCHS + 1)[-len(run.history["val_loss"]) :]
        losses.plot(epochs, run.history["val_loss"], label=name)
        rates.plot(epochs, run.history["learning_rate"], label=name)
    losses.set(
        xlabel="epoch", ylabel="validation loss", yscale="log", title="What comes of it (seed 0)"
    )
    rates.set(
        xlabel="epoch",
        ylabel="learning rate (last step)",
        yscale="log",
        title="What was applied (seed 0)",
    )
    rates.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def verdict(losses: dict[str, list[float]]) -> str:
    """Return which way has the lowest median loss, and which ones cannot be told apart from it."""
    best = min(losses, key=lambda name: float(np.median(losses[name])))
    near = [name for name in losses if name != best and min(losses[name]) <= max(losses[best])]
    told = f"Lowest loss: {best}, {np.median(losses[best]):.3f}."
    if near:
        told += f" Within its range over {len(losses[best])} seeds: {', '.join(near)}."
    worst = max(losses, key=lambda name: float(np.median(losses[name])))
    return f"{told} Highest: {worst}, {np.median(losses[worst]):.3f}."


NEXT = """\
What to do next, with a compiled model of yours:

    import keras_lr as klr
    klr.fit(model, x, y, epochs=20)                # all of it in one call, or
    result = klr.lr_find(model, x, y, probe=256)   # the scale, in a minute
    best = klr.tune_lr(model, x, y, epochs=20)     # the rate for 20 epochs
    cycle = klr.OneCycle(2 * best.learning_rate)
    model.fit(x, y, epochs=20, callbacks=[cycle])
"""


def main() -> None:
    """Run the demo and print its table."""
    parser = argparse.ArgumentParser(prog="python -m keras_lr", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("keras_lr_demo.png"))
    output = parser.parse_args().output
    if not output.parent.is_dir():
        parser.error(f"--output: there is no folder {output.parent}")
    start, data = time.perf_counter(), Data.load()
    print(f"Handwritten digits, {EPOCHS} epochs, momentum SGD, {len(SEEDS)} seeds", flush=True)
    rows, found = ways(data)
    print(f"Range test: {found.suggest():.3g} suggested after {len(found.losses)} steps; ", end="")
    print("Keras' default is 0.01")
    print(f"\n{'option':<16} {'how':<18} {'val loss':>8}  {'range':<11} {'error':>10} {'cost':>8}")
    runs: dict[str, list[Trained]] = {}
    for way in rows:
        runs[way.name] = [train(way, data, seed) for seed in SEEDS]
        print(row(way, runs[way.name]), flush=True)
    draw(found, {name: trained[0] for name, trained in runs.items()}, output)
    print("\nval loss, error: on 797 images, of the weights left, median over the seeds.")
    print("cost: steps spent on the search. Options 2 and 3 begin with the rate of tune_lr;")
    print("fit, which had to choose within so short a budget, with twice the default.\n")
    losses = {name: [each.loss for each in runs[name]] for name in runs}
    print(textwrap.fill(verdict(losses), 79))
    print(f"\n{NEXT}")
    print(f"{time.perf_counter() - start:.0f} s. Picture: {output}")


if __name__ == "__main__":
    main()
