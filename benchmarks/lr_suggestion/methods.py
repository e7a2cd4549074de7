"""The methods compared: each takes a task and a seed and returns learning rates and a cost.

Methods that read the same record share it, so they stand together in one group.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from keras_lr.search.range_test.curve import SuggestionError
from keras_lr.search.range_test.find import lr_find
from keras_lr.search.tune.tune import tune_lr

from .rules import PEERS, Peer
from .tasks import Task

PROBE = 256
VALIDATED = 600  # rows of the validation data


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """One method's answer.

    Attributes:
        method: Its name in the table.
        learning_rate: What it suggests; the optimizer's own where it has nothing to say.
        steps: Training steps spent.
        silent: Whether it had nothing to say.
    """

    method: str
    learning_rate: float
    steps: int
    silent: bool = False


Group = Callable[[Task, int], list[Suggestion]]


def _default(model: keras.Model) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def without_trying(task: Task, seed: int) -> list[Suggestion]:
    own = _default(task.compiled(seed))
    return [Suggestion("Keras default", own, 0), Suggestion("always 1e-3", 1e-3, 0)]


def record(task: Task, seed: int, learning_rates: np.ndarray) -> np.ndarray:
    """The loss of each batch of a sweep, by Keras' own `train_on_batch`, without early stop."""
    model = task.compiled(seed)
    x, y, _, _ = task.data()
    random = np.random.default_rng(seed)
    losses, order = [], np.empty(0, int)
    for learning_rate in learning_rates:
        if len(order) < task.batch_size:
            order = random.permutation(len(x))
        chosen, order = order[: task.batch_size], order[task.batch_size :]
        model.optimizer.learning_rate = float(learning_rate)
        losses.append(float(model.train_on_batch(x[chosen], y[chosen])))
        if not np.isfinite(losses[-1]):
            break
    return np.array(losses + [np.nan] * (len(learning_rates) - len(losses)))


def peers(names: list[str], steps: int) -> Group:
    """Published rules on one record of `steps` steps, over the range their library sweeps."""
    first: Peer = PEERS[names[0]]

    def group(task: Task, seed: int) -> list[Suggestion]:
        learning_rates = np.geomspace(first.min_lr, first.max_lr, steps)
        losses = record(task, seed, learning_rates)
        own = _default(task.compiled(seed))
        found = {name: PEERS[name].suggest(learning_rates, losses) for name in names}
        return [
            Suggestion(f"{name}, {steps} steps", own if lr is None else lr, made, lr is None)
            for name, (lr, made) in found.items()
        ]

    return group


def range_test(steps: int, rules: list[str]) -> Group:
    """This library's rules on its own range test."""

    def group(task: Task, seed: int) -> list[Suggestion]:
        model = task.compiled(seed)
        x, y, _, _ = task.data()
        result = lr_find(
            model, x, y, batch_size=task.batch_size, steps=steps, probe=PROBE, verbose=0
        )
        own, made = _default(model), len(result.losses)
        found = []
        for rule in rules:
            name = f"lr_find {rule}, {steps} steps"
            try:
                found.append(Suggestion(name, result.suggest(rule), made))
            except SuggestionError:
                found.append(Suggestion(name, own, made, silent=True))
        return found

    return group


def tuned(name: str, *, validated: bool = False, **options: object) -> Group:
    """`tune_lr` through the public API; with the validation data that the answer is known of."""

    def group(task: Task, seed: int) -> list[Suggestion]:
        x, y, x_validation, y_validation = task.data()
        held_back = (x_validation[:VALIDATED], y_validation[:VALIDATED])
        best = tune_lr(
            task.compiled(seed),
            x,
            y,
            steps=task.steps,
            batch_size=task.batch_size,
            seed=seed,
            validation_data=held_back if validated else None,
            verbose=0,
            **options,
        )
        return [Suggestion(name, best.learning_rate, best.cost_steps)]

    return group


_SHARED_RANGE = [name for name in PEERS if name != "Lightning"]

GROUPS: dict[str, Group] = {
    "without trying": without_trying,
    "tune_lr": tuned("tune_lr"),
    "tune_lr thorough": tuned("tune_lr, thorough", thorough=True),
    "tune_lr with validation data": tuned("tune_lr, validation_data", validated=True),
    "peers, 100 steps": peers(_SHARED_RANGE, 100),
    "Lightning, 100 steps": peers(["Lightning"], 100),
    "range test, 100 steps": range_test(100, ["consensus", "fall75", "valley", "minimum", "steep"]),
    "peers, 300 steps": peers(["fastai valley", "fastai minimum"], 300),
    "range test, 300 steps": range_test(300, ["consensus", "valley"]),
    "tune_lr from a range test": tuned("tune_lr, start='range_test'", start="range_test"),
}
