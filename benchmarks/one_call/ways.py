"""Ways to train a model with one budget of updates, searches included.

Each may look at one half of the validation data, to reduce a rate or to choose weights; what it
leaves in the model is judged on the other half.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_lr as klr
from keras_lr import schedules

from ..lr_suggestion.regret import TRUTH
from ..lr_suggestion.rules import PEERS
from .tasks import Task

GRID = np.geomspace(1e-4, 1.0, 9)  # for the tasks whose best constant rate is not known yet
VALLEY_STEPS = 100
GRID_SEED = 1000


@dataclasses.dataclass
class Run:
    """One training to be made.

    Attributes:
        name: The task's name.
        task: The task.
        seed: Of its weights and of the order of its batches.
        steps: Updates there are to spend; the task's own number unless another is asked for.
    """

    name: str
    task: Task
    seed: int
    steps: int

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        return self.task.data()[:2]

    @property
    def half(self) -> tuple[np.ndarray, np.ndarray]:
        """The validation data to choose with."""
        _, _, x, y = self.task.data()
        return x[::2], y[::2]

    def model(self) -> keras.Model:
        return self.task.compiled(self.seed)


class StopAfter(keras.callbacks.Callback):
    """Ends a fit after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._left = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._left -= 1
        if self._left == 0:
            self.model.stop_training = True


def trained(run: Run, model: keras.Model, steps: int, *callbacks: Any) -> keras.Model:
    """The model after so many updates of Keras' own `fit`."""
    keras.utils.set_random_seed(run.seed + 1)  # the order of the batches
    x, y = run.data
    batches = -(-len(x) // run.task.batch_size)
    model.fit(
        x,
        y,
        batch_size=run.task.batch_size,
        epochs=-(-steps // batches),
        validation_data=run.half,
        callbacks=[StopAfter(steps), *callbacks],
        verbose=0,
    )
    return model


Found = dict[str, Any]


def default(run: Run) -> tuple[keras.Model, Found]:
    return trained(run, run.model(), run.steps), {}


def plateau(run: Run) -> tuple[keras.Model, Found]:
    return trained(run, run.model(), run.steps, keras.callbacks.ReduceLROnPlateau()), {}


def cosine(run: Run) -> tuple[keras.Model, Found]:
    model = run.model()
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    shape = schedules.Cosine(rate, 0.0, steps=run.steps)
    return trained(run, model, run.steps, klr.LRScheduler(shape)), {}


def one_cycle(run: Run) -> tuple[keras.Model, Found]:
    """`OneCycle` at the peak that `tune_lr` finds for it."""
    model = run.model()
    shape = schedules.OneCycle(1.0, run.steps)
    best = klr.tune_lr(
        model,
        *run.data,
        steps=run.steps,
        batch_size=run.task.batch_size,
        schedule=shape,
        seed=run.seed,
        verbose=0,
    )
    left = run.steps - best.cost_steps
    cycle = klr.OneCycle(best.learning_rate, steps=left)
    return trained(run, model, left, cycle), {"peak": best.learning_rate}


def suggested(run: Run, model: keras.Model, peer: str) -> float:
    """What another library suggests after a range test of 100 steps; the default if nothing."""
    rule = PEERS[peer]
    found = klr.lr_find(
        model,
        *run.data,
        batch_size=run.task.batch_size,
        min_lr=rule.min_lr,
        max_lr=rule.max_lr,
        steps=VALLEY_STEPS,
        stop_factor=None,
        probe=None,
        verbose=0,
    )
    rate, _ = rule.suggest(found.learning_rates, found.losses)
    if rate is None:
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    return rate


def fastai(run: Run) -> tuple[keras.Model, Found]:
    """`lr_find`, its valley, and `fit_one_cycle` with fastai's own numbers."""
    model = run.model()
    rate = suggested(run, model, "fastai valley")
    left = run.steps - VALLEY_STEPS
    cycle = klr.OneCycle(rate, steps=left, warmup_fraction=0.25, final_div_factor=4e3)
    return trained(run, model, left, cycle), {"peak": rate}


def ktrain(run: Run) -> tuple[keras.Model, Found]:
    """Its valley, and the rates of `autofit`: in each epoch up from a tenth, then down to 1/1000.

    What it does to Adam's momentum is left out.
    """
    model = run.model()
    rate = suggested(run, model, "ktrain valley")
    half = -(-len(run.data[0]) // run.task.batch_size) / 2

    def triangle(step: int) -> float:
        place = step % (2 * half) / half
        return float(np.interp(place, (0, 1, 2), (rate / 10, rate, rate / 1000)))

    left = run.steps - VALLEY_STEPS
    return trained(run, model, left, klr.LRScheduler(triangle)), {"peak": rate}


def grid(run: Run) -> tuple[keras.Model, Found]:
    """The constant rate that is best in hindsight: many whole runs, none of them counted."""
    rate = best_constant(run)
    model = run.model()
    model.optimizer.learning_rate = rate
    return trained(run, model, run.steps), {"peak": rate}


_BEST: dict[str, float] = {}


def best_constant(run: Run) -> float:
    if run.name in TRUTH:
        known = TRUTH[run.name]
        return float(known["learning_rates"][int(np.argmin(known["final_val_loss"]))])
    if run.name not in _BEST:
        swept = klr.lr_sweep(
            run.task.compiled(GRID_SEED),
            *run.data,
            GRID.tolist(),
            run.steps,
            batch_size=run.task.batch_size,
            validation_data=run.half,
            verbose=0,
        )
        losses = np.where(np.isfinite(swept.losses), swept.losses, np.inf)
        _BEST[run.name] = float(GRID[int(np.argmin(losses))])
    return _BEST[run.name]


def one_call(**options: Any) -> "Way":
    """`klr.fit` with all of its defaults but these."""

    def way(run: Run) -> tuple[keras.Model, Found]:
        model = run.model()
        keras.utils.set_random_seed(run.seed + 1)
        result = klr.fit(
            model,
            *run.data,
            steps=run.steps,
            batch_size=run.task.batch_size,
            validation_data=run.half,
            seed=run.seed,
            verbose=0,
            **options,
        )
        found = {"peak": result.peak, "source": result.peak_source, "kept": result.kept}
        return model, {**found, "tuning": result.tuning_steps}

    return way


Way = Callable[[Run], tuple[keras.Model, Found]]

WAYS: dict[str, Way] = {
    "klr.fit": one_call(),
    "default": default,
    "default, plateau": plateau,
    "default, cosine": cosine,
    "OneCycle at tune_lr": one_cycle,
    "fastai": fastai,
    "ktrain": ktrain,
    "best of a grid": grid,
    "klr.fit, last weights": one_call(averages=(), checkpoint=False),
    "klr.fit, weights at the end": one_call(checkpoint=False),
}
BASELINES = ("default", "default, plateau", "default, cosine")
OURS = "klr.fit"
