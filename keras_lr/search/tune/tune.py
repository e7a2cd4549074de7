"""A learning rate for the whole run, from a few short trials."""

from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import Monitor, check_monitor
from keras_lr._engine.step_loss import can_validate
from keras_lr._keras.in_graph import in_graph_schedule, schedule_values
from keras_lr._keras.optimizers import (
    accumulation_steps,
    current_learning_rates,
    leaf_optimizers,
    proportions,
)
from keras_lr.errors import check_bool, check_integer, complaint
from keras_lr.schedules import FromCallable, Schedule
from keras_lr.search.arguments import check_model, length_in_steps, say_interrupted
from keras_lr.search.data import TrainingData
from keras_lr.search.probe import (
    check_probe,
    drawn_probe,
    say_how_it_is_read,
    say_if_there_is_no_validation,
)
from keras_lr.search.progress import Verbosity, check_verbose
from keras_lr.search.tune.arguments import (
    OWNER,
    RANGE_TEST_STEPS,
    check_can_apply,
    checked_start,
    trial_steps,
)
from keras_lr.search.tune.climb import ProbeClimb, horizon_correction
from keras_lr.search.tune.families import family_of
from keras_lr.search.tune.result import TuneResult
from keras_lr.search.tune.trials import Judges, range_tested, run_climb

_LOWEST_MEAN = 0.1  # of a schedule, as a share of its peak: nothing was measured below


def tune_lr(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    start: str | float = "default",
    schedule: Any = None,
    thorough: bool = False,
    quick: bool = True,
    probe: Any = "auto",
    validation_data: Any = None,
    monitor: Monitor | None = None,
    max_cost: int | float | None = None,
    apply: bool = False,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    shuffle: bool | str = True,
    steps_per_epoch: int | None = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    seed: int = 0,
    verbose: Verbosity = "auto",
) -> TuneResult:
    r"""Find the learning rate for a whole training run from three or four short trials.

    Each trial trains the model for n = 50 steps at a constant learning rate, from the same weights
    on the same batches, and is scored by the loss of one fixed batch, the probe, or with
    `validation_data` by the mean of that and the validation loss. Where the trials stand and how
    the best point between them is read is `ProbeClimb`'s. A long run
    wants less than a short one, and less still if it sees its samples often: a run of T steps and
    E epochs gets

    $$\eta = \eta_n \max(0.1, (n / T)^\beta \min(1, 8 / E)^{0.4}),$$

    with $\beta$ by the optimizer's family: 0.35 where a step's size does not depend on the
    gradient's (Adam, RMSprop, Lion), 0.1 for SGD and Adagrad; `horizon_correction` says more. A
    schedule is scaled so that its mean over the run is that rate: its peak is $\eta / m$ for a mean
    of m times the peak, twice $\eta$ for a linear or a cosine decay, and 10 times at the most.

    Short trials do not see a run overfit. Where the data is seen many times, the rate found may be
    too high for the loss at the end; `validation_data` helps a little, and keeping the best
    checkpoint mends most of it.

    The model is as before, bit for bit, whether the call returns, raises or is interrupted; only
    `apply=True` sets the learning rate. After Ctrl-C the trials that are complete are read, if one
    has lowered the loss; `apply` then does nothing.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would.
        x: Training data, as `Model.fit` takes it, but not a one-shot generator. Of a dataset the
            batches of a trial are read once, one epoch at most, and kept in memory; every epoch has
            the same batches, in another order.
        y: Targets, as `Model.fit` takes them.
        epochs: Length of the run to tune for. Give this or `steps`.
        steps: Length of the run in updates, at least as long as a trial.
        batch_size: Samples per step for arrays; None for Keras' 32. Use the one you will train
            with.
        start: Where to look: `"default"`, the usual learning rate of the optimizer's family;
            `"range_test"`, 100 more steps for a model far from the usual; or a learning rate that
            is thought to be about right.
        schedule: A schedule to find the peak of: one of `keras_lr.schedules`, one of Keras', or a
            function of the step in `keras.ops`. None for the one the optimizer was built with, or
            else a constant learning rate.
        thorough: Trials of 100 steps instead of 50, at twice the cost. On 18 tasks with a known
            answer they were no better.
        quick: The older name of the opposite: `quick=False` is `thorough=True`.
        probe: What the trials are scored on: `"auto"`, about 256 samples of the training data in
            8 batches at most; another number of samples; a batch `(x, y)`; or a list of batches.
            They are whole batches, as `fit` makes them. None scores a trial by the training loss of
            its last quarter.
        validation_data: What the trials are scored on beside the probe, as `Model.fit` takes it.
            It is evaluated before the first trial and after each.
        monitor: What to watch instead of the loss: a name in the logs of the training step, such as
            `"d_loss"`, or a function of these logs, a dict of floats. Smaller is better.
        max_cost: The most training steps to spend, or below 1 the share of the run; None for four
            trials (and the range test). Trials become shorter to keep it.
        apply: Set the optimizer's learning rate to what was found.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it. Unless it is False, the batches of a dataset come in
            another order in each epoch.
        steps_per_epoch: As `Model.fit` takes it: the length of an epoch for `epochs`.
        validation_split: As `Model.fit` takes it: the share of arrays that is held out at their
            end, where there is no `validation_data`.
        validation_batch_size: As `Model.fit` takes it; None for `batch_size`.
        validation_steps: As `Model.fit` takes it.
        seed: Which batches are drawn from arrays, and in which order those of datasets come, >= 0.
        verbose: `"auto"` or 1 says the cost and shows a progress bar, 2 one line at the end, 0
            nothing.

    Returns:
        A `TuneResult`.

    Raises:
        ValueError: If the model is not compiled, the data is empty or a one-shot generator,
            neither or both of `steps` and `epochs` are given, the run is shorter than a trial,
            `max_cost` leaves no room for four trials of 10 steps, no trial lowered the loss, or
            `apply` is asked for an optimizer with a schedule.
        TypeError: If `model` is no Keras model, or a number is not a number.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import tune_lr
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(512, 4))
        >>> best = tune_lr(model, x, x.sum(axis=1, keepdims=True), epochs=20, verbose=0)
        >>> 0.03 < best.learning_rate < 0.5, best.cost_steps <= 200
        (True, True)
    """
    check_model(OWNER, model)
    check_bool(OWNER, thorough=thorough, quick=quick, apply=apply)
    if schedule is not None and (isinstance(schedule, type) or not callable(schedule)):
        rule = "schedule must be a schedule, or a function of the step"
        raise TypeError(complaint(OWNER, rule, "Pass one, or None", schedule=schedule))
    if apply:
        check_can_apply(model)
    data, validation = TrainingData.beside_validation(
        OWNER,
        x,
        y,
        sample_weight,
        validation_data,
        validation_split=validation_split,
        validation_batch_size=validation_batch_size,
        validation_steps=validation_steps,
        class_weight=class_weight,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        shuffle=shuffle,
        model=model,
    )
    check_integer(OWNER, "Any seed will do", at_least=0, seed=seed)
    check_probe(OWNER, probe)
    check_monitor(OWNER, monitor)
    if validation is not None:
        say_if_there_is_no_validation(model, OWNER)
        validation = validation if can_validate(model) else None
        monitor = monitor.removeprefix("val_") if isinstance(monitor, str) else monitor
    check_verbose(OWNER, verbose)
    total = length_in_steps(OWNER, data, steps, epochs)
    ranged = RANGE_TEST_STEPS if isinstance(start, str) and start == "range_test" else 0
    length = trial_steps(total, thorough or not quick, max_cost, ranged)
    family = family_of(model.optimizer)
    usual = checked_start(start, family.learning_rate)
    most = ProbeClimb.max_trials * length + ranged
    if verbose in ("auto", 1):
        print(f"tune_lr: at most {most} training steps, {most / total:.0%} of the run's {total}.")
    if usual is None:
        usual = range_tested(model, data.for_fit, ranged, probe, monitor, verbose)
    looks = drawn_probe(OWNER, probe, data, model)
    if looks is not None:
        say_how_it_is_read(model, OWNER, monitor)
    judges = Judges(looks, validation, monitor)
    climb, cost, finished = run_climb(model, data, judges, length, usual, seed, verbose)
    short = 10 ** climb.vertex()
    epochs_in_all = data.epochs_in(total * accumulation_steps(model)) or 1.0
    choice = horizon_correction(
        short, length, total, family.beta, epochs=epochs_in_all, learned=climb.learned
    )
    shape = schedule if schedule is not None else in_graph_schedule(model)
    scaled = None
    if shape is not None:
        values = schedule_values(shape, 0, total)
        peak = _peak(values)
        choice /= max(_LOWEST_MEAN, values.mean() / peak)
        scaled = _scaled(shape, choice / peak)
    if not finished:
        say_interrupted(OWNER, f"what {len(climb.trials)} trials tell")
    elif apply:
        _apply(model, choice)
    return TuneResult(
        learning_rate=float(choice),
        trials=climb.trials,
        untrained=climb.untrained,
        short_run_learning_rate=float(short),
        trial_steps=length,
        total_steps=total,
        beta=family.beta,
        cost_steps=cost + ranged,
        schedule=scaled,
        finished=finished,
        validated=validation is not None,
    )


def _peak(values: np.ndarray) -> float:
    peak = float(values.max())
    if not (np.isfinite(values).all() and peak > 0):
        rule = "the schedule must be finite and somewhere positive"
        fix = "Pass a schedule of learning rates"
        raise ValueError(complaint(OWNER, rule, fix, highest=peak))
    return peak


def _scaled(schedule: Any, factor: float) -> Schedule:
    """Return the schedule times a factor. One of Keras' takes no vector of steps, or not each."""
    ours = isinstance(schedule, Schedule)
    return (schedule if ours else FromCallable(schedule, elementwise=False)) * factor


def _apply(model: keras.Model, learning_rate: float) -> None:
    """Set the largest learning rate of the model; others keep their proportion to it."""
    shares = proportions(current_learning_rates(model))
    for leaf, share in zip(leaf_optimizers(model.optimizer), shares, strict=True):
        leaf.learning_rate = learning_rate * share
