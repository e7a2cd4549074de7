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

import examples
import matplotlib.pyplot as plt
import numpy as np

import keras_lr as klr
from keras_lr import schedules

FOLDER = pathlib.Path(__file__).parent / "contact"
WIDTHS = (3.3, 6.5)
STYLES = {"light": "default", "dark": "dark_background", "grey": "default"}
DPI = 80


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
    return klr.plot_history(examples.history(30, rate), callbacks=done)


def cosine() -> Any:
    """Draw a run whose rate falls to zero."""
    rate = schedules.Cosine(0.1, 0.0, steps=39).values(np.arange(1, 41))
    momentum = {"momentum": np.linspace(0.85, 0.95, 40).tolist()}
    return klr.plot_history(examples.history(40, rate, **momentum), metrics="loss")


def long() -> Any:
    """Draw 500 epochs without validation, with restarts."""
    rate = schedules.CosineRestarts(0.1, 33, cycle_mult=2).values(np.arange(500))
    return klr.plot_history(
        examples.history(500, rate, validation=False), callbacks=events(restart=[32, 98, 230])
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


def groups() -> Any:
    """Draw the rates of three groups of layers that begin to train one after the other."""
    rates = {
        f"learning_rate/{name}": np.where(np.arange(12) >= begins, rate, 0.0).tolist()
        for name, begins, rate in (("head", 0, 1e-2), ("top", 4, 3e-3), ("body", 8, 1e-3))
    }
    drawn = examples.history(12, 1e-2, **rates)
    return klr.plot_history(drawn, metrics="loss")


def several_axes() -> Any:
    """Draw on four Axes of one figure."""
    width = plt.rcParams["figure.figsize"][0]
    rows = 4 if width < 5.0 else 2
    size = (width, rows * (0.7 if rows == 4 else 0.45) * width)
    figure, made = plt.subplots(rows, 4 // rows, figsize=size, layout="constrained")
    axes = made.reshape(2, 2)
    examples.range_test().plot(ax=axes[0, 0], rules="consensus")
    examples.tune().plot(ax=axes[0, 1])
    examples.adam_curves().plot(ax=axes[1, 0])
    klr.plot_schedule({"cosine": schedules.Cosine(0.1, 0.0, steps=900)}, ax=axes[1, 1])
    return figure


PICTURES: dict[str, Callable[[], Any]] = {
    "range_test": lambda: examples.range_test().plot(),
    "range_test_repeated": lambda: examples.repeated().plot(),
    "range_test_flat": lambda: examples.flat().plot(),
    "sweep": lambda: examples.sweep().plot(),
    "sweep_repeated": lambda: examples.sweep(5).plot(),
    "several_axes": several_axes,
    "tune_lr": lambda: examples.tune().plot(),
    "tune_adam": lambda: examples.adam_curves().plot(),
    "tune_adam_map": lambda: examples.adam_map().plot(),
    "fit": lambda: examples.fitted().plot(),
    "fit_without_trials": lambda: examples.fitted(1, trials=False, validation=False).plot(),
    "fit_500_epochs": lambda: examples.fitted(500).plot(),
    "fine_tune": lambda: examples.fine_tuned().plot(),
    "history_groups": groups,
    "history_plateau": plateau,
    "history_cosine": cosine,
    "history_one_epoch": lambda: klr.plot_history(examples.history(1, 0.1)),
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
