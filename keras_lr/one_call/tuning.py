"""The search of `fit`: a climb of short trials, paid for out of the run's own updates."""

import math
from typing import Any

from keras_lr._keras.optimizers import (
    current_learning_rates,
    default_learning_rate,
    leaf_optimizers,
)
from keras_lr.errors import complaining_as
from keras_lr.one_call.plan import RunPlan
from keras_lr.one_call.recipe import OWNER, peak_of, peak_without_trials, trial_steps
from keras_lr.search.data import TrainingData
from keras_lr.search.probe import drawn_probe
from keras_lr.search.progress import Verbosity
from keras_lr.search.tune.climb import ProbeClimb
from keras_lr.search.tune.families import family_of
from keras_lr.search.tune.result import TuneResult
from keras_lr.search.tune.trials import Judges, run_climb


def planned(
    model: Any, data: TrainingData, total: int, tune: bool | float, seed: int, verbose: Verbosity
) -> RunPlan:
    """Return the peak of a run, and what is left of its updates.

    Args:
        model: A compiled model; it is as before.
        data: What it is trained on.
        total: Updates there are in all.
        tune: Whether to look for the peak; or the peak.
        seed: Of the batches of the trials.
        verbose: As for `fit`.

    Raises:
        KeyboardInterrupt: If a trial was interrupted.
        ValueError: If the model cannot be trained, or its loss is not finite.
    """
    if not isinstance(tune, bool):
        return RunPlan(float(tune), "given", total)
    if not tune:
        return RunPlan(max(current_learning_rates(model)), "optimizer", total)
    length = trial_steps(total)
    if not length:
        return RunPlan(peak_without_trials(_default(model)), "short", total)
    family = family_of(model.optimizer)
    probe = drawn_probe(OWNER, "auto", data, model)
    with complaining_as(OWNER, "tune_lr"):
        climb, cost, finished = run_climb(
            model,
            data,
            Judges(probe, None, None),
            length,
            family.learning_rate,
            seed,
            verbose,
            must_fall=False,
        )
    if not finished:
        raise KeyboardInterrupt
    peak, source = (peak_of(climb), "trials") if climb.has_fallen else (_default(model), "default")
    short = 10 ** climb.vertex() if climb.has_fallen else math.nan
    tuning = TuneResult(
        learning_rate=peak,
        trials=climb.trials,
        untrained=climb.untrained,
        short_run_learning_rate=short,
        trial_steps=length,
        total_steps=total,
        beta=0.0,
        cost_steps=cost,
    )
    return RunPlan(peak, source, total, tuning)


def most_trials(total: int, tune: bool | float) -> tuple[int, int]:
    """Return how many trials there may be, and the updates of each."""
    length = trial_steps(total) if tune is True else 0
    return (ProbeClimb.max_trials, length) if length else (0, 0)


def _default(model: Any) -> float:
    leaf = leaf_optimizers(model.optimizer)[0]
    return default_learning_rate(leaf) or family_of(model.optimizer).learning_rate
