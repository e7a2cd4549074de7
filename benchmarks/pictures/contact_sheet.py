"""Makes a contact sheet of each picture: `python benchmarks/pictures/contact_sheet.py [NAME ...]`.

Each is drawn 3.3 and 6.5 inches wide, a column and a page of a paper, in matplotlib's default
style, in its dark one, and printed in grey. The sheets are in `contact/`, to be looked at.
"""

import io
import pathlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

import keras_lr as klr
from keras_lr import schedules

FOLDER = pathlib.Path(__file__).parent / "contact"
WIDTHS = (3.3, 6.5)
STYLES = {"light": "default", "dark": "dark_background", "grey": "default"}
DPI = 80
RNG = np.random.default_rng(0)


def range_test(**more: Any) -> klr.RangeTestResult:
    """Return a range test with the curve of a small network."""
    rates = np.geomspace(1e-6, 100.0, 100)
    clean = 2.3 - 1.8 / (1.0 + 0.02 / rates) + rates
    losses = clean + RNG.normal(0.0, 0.1, len(rates))
    fields = {"probe_losses": clean, "stop_reason": "completed", "default_learning_rate": 0.01}
    return klr.RangeTestResult(
        learning_rates=rates, losses=losses, smoothed_losses=clean, **fields | more
    )


def repeated() -> klr.RangeTestResult:
    """Return a range test that was repeated, with validation losses."""
    found = range_test()
    repeats = found.losses + RNG.normal(0.0, 0.15, (5, len(found.losses)))
    every_tenth = np.where(np.arange(100) % 10 == 0, found.probe_losses + 0.1, np.nan)
    return range_test(repeat_losses=repeats, validation_losses=every_tenth)


def flat() -> klr.RangeTestResult:
    """Return a range test without a suggestion."""
    return klr.RangeTestResult(
        learning_rates=np.geomspace(1e-6, 1e-3, 100),
        losses=2.3 + RNG.normal(0.0, 0.1, 100),
        smoothed_losses=np.full(100, 2.3),
        stop_reason="completed",
    )


def sweep(repeats: int = 1) -> klr.SweepResult:
    """Return a sweep over 12 rates, of which the last two diverge."""
    rates = np.geomspace(1e-3, 3.0, 12)
    falls = np.exp(-np.outer(np.minimum(rates, 0.4) * 0.2, np.arange(100)))
    losses = 0.1 + 2.2 * falls + RNG.normal(0.0, 0.04, (repeats, *falls.shape))
    losses[:, -2:] *= 1.2 ** np.arange(100)
    lost = rates > 1.5
    final = {"loss": losses[0, :, -25:].mean(axis=1)}
    final["val_loss"] = final["loss"] * 1.1 + 0.05
    return klr.SweepResult(
        learning_rates=rates,
        losses=np.median(losses, axis=0),
        repeat_losses=losses,
        final=final,
        diverged=lost,
        stopped_at=np.where(lost, 50, 100),
        cost_steps=1100,
    )


def history(epochs: int, rate: Any, *, validation: bool = True, **more: Any) -> Any:
    """Return what `fit` would, of a run with a loss that falls."""
    done = np.arange(1, epochs + 1)
    loss = 0.05 + 2.0 * np.exp(-3.0 * done / epochs) + RNG.normal(0.0, 0.01, epochs)
    logs = {"loss": loss.tolist(), "accuracy": (1.0 - loss / 3.0).tolist()}
    if validation:
        logs |= {
            "val_loss": (1.1 * loss + 0.1).tolist(),
            "val_accuracy": (0.95 - loss / 3).tolist(),
        }
    logs |= {"learning_rate": np.broadcast_to(rate, epochs).tolist()} | more
    return SimpleNamespace(history=logs, epoch=list(range(epochs)), params={"steps": 10})


def events(**actions: list[int]) -> Any:
    """Return a callback that did something at the ends of epochs."""
    found = [
        SimpleNamespace(epoch=epoch, action=action)
        for action, epochs in actions.items()
        for epoch in epochs
    ]
    return SimpleNamespace(events=found)


def plateau() -> Any:
    """Draw a plateau with reductions, rescues and restarts."""
    rate = 0.1 * 0.5 ** (np.arange(30) // 4 % 5)
    done = events(reduce=[3, 7, 11, 15, 23, 27], rescue=[5, 9], restart=[19], stop=[29])
    return klr.plot_history(history(30, rate), callbacks=done)


def cosine() -> Any:
    """Draw a run whose rate falls to zero."""
    rate = schedules.Cosine(0.1, 0.0, steps=39).values(np.arange(1, 41))
    momentum = {"momentum": np.linspace(0.85, 0.95, 40).tolist()}
    return klr.plot_history(history(40, rate, **momentum), metrics="loss")


def long() -> Any:
    """Draw 500 epochs without validation, with restarts."""
    rate = schedules.CosineRestarts(0.1, 33, cycle_mult=2).values(np.arange(500))
    return klr.plot_history(
        history(500, rate, validation=False), callbacks=events(restart=[32, 98, 230])
    )


def plans() -> Any:
    """Draw several schedules, one after the other."""
    return klr.plot_schedule(
        schedules.Cosine(0.1, 0.0, steps=900).warmup(100),
        schedules.OneCycle(0.1, steps=1000),
        {"warmup-stable-decay": schedules.WSD(0.1, 1000, cooldown_steps=200, warmup_steps=100)},
    )


def cycles() -> Any:
    """Draw cycles over epochs."""
    restarts = schedules.CosineRestarts(0.1, first_cycle_steps=100, cycle_mult=2)
    return klr.plot_schedule({"restarts": restarts}, steps=700, steps_per_epoch=100)


def two_axes() -> Any:
    """Return two Axes, one below the other in a column of a paper."""
    width = plt.rcParams["figure.figsize"][0]
    below = width < 5.0
    size = (width, 1.4 * width if below else 0.45 * width)
    return plt.subplots(1 + below, 2 - below, figsize=size, layout="constrained")[1]


PICTURES: dict[str, Callable[[], Any]] = {
    "range_test": lambda: range_test().plot(),
    "range_test_repeated": lambda: repeated().plot(),
    "range_test_flat": lambda: flat().plot(),
    "sweep": lambda: sweep().plot(two_axes()),
    "sweep_repeated": lambda: sweep(5).plot(two_axes()),
    "history_plateau": plateau,
    "history_cosine": cosine,
    "history_one_epoch": lambda: klr.plot_history(history(1, 0.1)),
    "history_500_epochs": long,
    "schedules": plans,
    "schedule_cycles": cycles,
}


def picture(draw: Callable[[], Any], style: str, width: float) -> np.ndarray:
    """Return what is drawn, as wide as asked for, as an image."""
    plot_only = {"figure.figsize": (width, 0.75 * width)}
    with plt.style.context([STYLES[style], plot_only]):
        draw()
        figure = plt.gcf()
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=DPI)
        plt.close("all")
    buffer.seek(0)
    image = plt.imread(buffer)[..., :3]
    if style == "grey":
        image = np.repeat((image @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
    return image


def sheet(draw: Callable[[], Any]) -> np.ndarray:
    """Return a row of images for each width."""
    rows = []
    for width in WIDTHS:
        images = [picture(draw, style, width) for style in STYLES]
        height = max(len(image) for image in images)
        padded = [framed(image, height, image.shape[1]) for image in images]
        rows.append(np.concatenate(padded, axis=1))
    across = max(row.shape[1] for row in rows)
    return np.concatenate([framed(row, len(row), across) for row in rows])


def framed(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image on a grey ground of this size, with a border on the right and below."""
    room = ((0, height + 8 - len(image)), (0, width + 8 - image.shape[1]), (0, 0))
    return np.pad(image, room, constant_values=0.6)


def main(names: list[str]) -> None:
    """Save the sheets, those that are named or all."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        if not names or name in names:
            plt.imsave(FOLDER / f"{name}.png", np.clip(sheet(draw), 0.0, 1.0))
            print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
