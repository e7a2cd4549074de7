"""`fit`: the learning rate found, scheduled and applied, for the work of one training run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import keras

from keras_lr._keras.optimizers import accumulation_steps, updates_made
from keras_lr.one_call.arguments import (
    check_callbacks,
    check_metric,
    check_options,
    choices,
    listed,
    run_length,
)
from keras_lr.one_call.choice import Choice
from keras_lr.one_call.data import Feed
from keras_lr.one_call.plan import PlanFile, RunPlan
from keras_lr.one_call.recipe import OWNER, Shape, shaped
from keras_lr.one_call.result import FitResult, result_of
from keras_lr.one_call.training import Training, epochs_for
from keras_lr.one_call.tuning import most_trials, planned
from keras_lr.search.arguments import check_model
from keras_lr.search.progress import Verbosity


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    schedule: Shape | None = None,
    tune: bool | float = True,
    averages: Any = "auto",
    checkpoint: bool | Literal["auto"] = "auto",
    monitor: str = "val_loss",
    mode: Literal["auto", "min", "max"] = "auto",
    cooldown_steps: int | None = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    validation_freq: int | Sequence[int] = 1,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    callbacks: Any = None,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    shuffle: bool | str = True,
    steps_per_epoch: int | None = None,
    initial_epoch: int = 0,
    seed: int = 0,
    verbose: Verbosity = "auto",
) -> FitResult:
    r"""Train a model for a given number of updates, the search for its learning rate included.

    Of $T$ updates some three or four trials of 50 look for the peak $\eta$, each from the same
    weights; see `keras_lr.one_call.recipe.peak_of`. The $R$ that are left train the model from
    these weights with

    $$\eta_t = \eta \min\left(1, \frac{t + 1}{.05 R}, \frac{R - t}{.3 R}\right),
    \qquad t = 0 \ldots R - 1:$$

    warm-up, a long level stretch, and a straight line to zero. With validation data the weights
    that are kept are the best of the last ones and of their exponential moving averages with
    decays .98 and .995; if the run has overfitted, the best of any epoch.

    A run of fewer than 450 updates has trials of a tenth of it; below 200 it has none, and the peak
    is twice the optimizer's default learning rate. Where no trial lowers the loss, it is the
    default. `FitResult.peak_source` says so.

    The training is Keras' own `fit`, and whatever works there works here: every kind of data,
    callbacks, weights of classes and samples, gradient accumulation, loss scaling, distribution,
    `steps_per_execution`. Its epochs are rounded up, and the last one ends after the last update.
    Of a generator the batches of the trials are held in memory, and trained on again. A schedule in
    the optimizer is set aside for the run.

    At the end the statistics of BatchNorm layers are taken anew, from an epoch of training data or
    200 batches of it: moving averages lag behind the weights, far behind in a short run.

    Afterwards the optimizer's learning rate is the peak, not the last one of the schedule, which is
    next to zero; a schedule in the optimizer is as before. Until the training begins nothing of the
    model is changed: an error or Ctrl-C leaves it as it was. **Ctrl-C** in the training ends it
    after the present update, or after a cooldown, and what is trained so far is kept.

    With `keras.callbacks.BackupAndRestore` among the callbacks, a run that was killed goes on where
    it was when `fit` is called again, without another search.

    Args:
        model: A compiled model; an unbuilt one is built as Keras' `fit` would.
        x: Training data, as `Model.fit` takes it.
        y: Targets, as `Model.fit` takes them.
        epochs: Length in epochs, the search included. Give this or `steps`.
        steps: Length in updates, the search included.
        batch_size: Samples per batch of arrays; None for Keras' 32.
        schedule: Another shape: a schedule, which is scaled to the peak and, if it ends, stretched
            to the run; a function of the update, which is scaled; or a function of the peak and the
            number of updates that returns a schedule.
        tune: Whether to look for the peak; False for the optimizer's own learning rate, or the
            peak itself.
        averages: Decays of the averages that the kept weights are chosen from, each in [0, 1);
            `()` for none. `"auto"` for (.98, .995) where there is validation data and nothing else
            averages the weights.
        checkpoint: Whether to keep the weights of the epoch that validated best, or of the end.
            `"auto"`: of the end, unless the run has overfitted, which is when the metric has lost a
            tenth of what it had gained since the first validation.
        monitor: The metric in the logs by which weights are chosen.
        mode: `"min"`, `"max"`, or `"auto"` to infer it from the metric.
        cooldown_steps: After Ctrl-C, let the learning rate fall to zero over so many updates. None
            to stop at once.
        validation_data: As `Model.fit` takes it.
        validation_split: As `Model.fit` takes it.
        validation_freq: As `Model.fit` takes it.
        validation_steps: As `Model.fit` takes it.
        validation_batch_size: As `Model.fit` takes it.
        callbacks: As `Model.fit` takes them; none may drive the learning rate.
        class_weight: As `Model.fit` takes it.
        sample_weight: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it.
        steps_per_epoch: As `Model.fit` takes it.
        initial_epoch: As `Model.fit` takes it. `epochs` counts from 0 all the same.
        seed: Which batches the trials are made on, >= 0.
        verbose: As `Model.fit` takes it; unless it is 0, the cost is said first.

    Returns:
        A `FitResult`.

    Raises:
        TypeError: If an argument is not of the kind asked for.
        ValueError: If the model is not compiled or cannot be trained, the data is empty, not one of
            `epochs` and `steps` is given, another callback drives the learning rate, or weights are
            to be chosen without validation data.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import fit
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(512, 4))
        >>> y = x.sum(axis=1, keepdims=True)
        >>> result = fit(model, x, y, epochs=40, validation_split=0.2, verbose=0)
        >>> result.tuning_steps + result.training_steps == 40 * 13
        True

    Reference:
        Hägele et al. 2024, arXiv 2405.18392, for the constant rate with a linear cooldown. The
        factor of the peak and the shape are measured: `benchmarks/one_call`.
    """
    check_model(OWNER, model)
    others = listed(callbacks)
    check_callbacks(others)
    check_options(tune, schedule, cooldown_steps, validation_freq, seed, verbose, others)
    feed = Feed(
        model,
        x,
        y,
        batch_size=batch_size,
        sample_weight=sample_weight,
        class_weight=class_weight,
        shuffle=shuffle,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation_data,
        validation_split=validation_split,
        validation_steps=validation_steps,
        validation_batch_size=validation_batch_size,
    )
    file = PlanFile(others)
    decays = choices(model, averages, checkpoint, monitor, mode, others, feed)
    total = run_length(model, feed.batches, epochs, steps, initial_epoch)
    plan = file.load(total)
    if verbose:
        print(_cost(plan, total, tune))
    if plan is None:
        plan = planned(model, feed.trials, total, tune, seed, verbose)
        plan = replace(plan, first_iteration=updates_made(model))
    if decays:
        check_metric(model, monitor, mode)
    applied = shaped(schedule, plan.peak, plan.updates)
    if verbose:
        print(_found(plan))
    file.save(plan)
    choice = None
    if decays:
        choice = Choice(
            decays,
            checkpoint=checkpoint,
            monitor=monitor,
            mode=mode,
            backup_dir=file.directory,
            first=plan.first_value,
            remember=lambda value: file.save(replace(plan, first_value=value)),
        )
    training = Training(
        model,
        plan,
        applied,
        choice=choice,
        cooldown_steps=cooldown_steps,
        backup_dir=file.directory,
        first_update=initial_epoch * (feed.batches or 0) // accumulation_steps(model),
    )
    history = training.run(
        others,
        **feed.arguments,
        **({} if validation_freq == 1 else {"validation_freq": validation_freq}),
        **({} if initial_epoch == 0 else {"initial_epoch": initial_epoch}),
        epochs=epochs_for(model, plan.updates, feed.batches, initial_epoch),
        verbose=verbose,
    )
    file.remove()
    return result_of(training, plan, applied, history, monitor)


def _cost(plan: RunPlan | None, total: int, tune: bool | float) -> str:
    """Return the line that says what is about to be spent."""
    if plan is not None:
        return f"{OWNER}: going on with a run of {total} updates, at a peak of {plan.peak:.2g}."
    count, length = most_trials(total, tune)
    if not count:
        return f"{OWNER}: {total} updates of training."
    most = count * length
    return (
        f"{OWNER}: of {total} updates at most {most} ({count} trials of {length}) look for the "
        f"learning rate; the others train."
    )


def _found(plan: RunPlan) -> str:
    """Return the line that says how the peak was found, and what is left."""
    found = {
        "trials": f"after {plan.cost} updates of trials",
        "default": f"the default, as no trial lowered the loss in {plan.cost} updates",
        "short": "twice the default, as the run is too short for trials",
        "given": "as given",
        "optimizer": "the optimizer's own",
    }[plan.source]
    return f"{OWNER}: peak {plan.peak:.3g}, {found}; {plan.updates} updates of training."
