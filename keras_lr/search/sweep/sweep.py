"""Train several learning rates from one start, and leave no trace of it."""

import contextlib
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_lr._engine.batch_loss import Monitor, check_monitor
from keras_lr._engine.step_loss import can_validate
from keras_lr._engine.trials import trials
from keras_lr._engine.vmapped import can_vmap
from keras_lr._keras.in_graph import in_graph_schedule, values_by_batch
from keras_lr._keras.optimizers import accumulation_steps, batches_seen, leaf_optimizers
from keras_lr.errors import GREATEST, check_bool, check_choice, check_integer, complaint
from keras_lr.search.arguments import check_model, length_in_steps, say_interrupted
from keras_lr.search.data import TrainingData
from keras_lr.search.given import check_most
from keras_lr.search.probe import say_if_there_is_no_validation
from keras_lr.search.progress import Progress, Verbosity, check_verbose
from keras_lr.search.sweep.result import SweepResult
from keras_lr.search.sweep.trainer import Method, SweepTrainer
from keras_lr.search.trial_run import TrialRun

_OWNER = "lr_sweep"
_DEFAULT_RATES = tuple(np.geomspace(1e-5, 1.0, 16).tolist())


def lr_sweep(
    model: keras.Model,
    x: Any,
    y: Any = None,
    learning_rates: ArrayLike = _DEFAULT_RATES,
    steps: int | None = None,
    epochs: int | None = None,
    *,
    batch_size: int | None = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    scale: bool = False,
    repeats: int = 1,
    monitor: Monitor | None = None,
    method: Method = "auto",
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    shuffle: bool | str = True,
    steps_per_epoch: int | None = None,
    seed: int = 0,
    verbose: Verbosity = "auto",
) -> SweepResult:
    """Train each of several learning rates from the same weights on the same batches.

    The user's own training step is compiled once; every lane starts from the same weights,
    optimizer state and random states. A lane stops when its loss is not finite or stays above 20
    times that of several batches at the starting weights; a single batch with a rare class stops
    nothing. Afterwards model, optimizer and random states are as before, bit for bit, whether the
    call returns, raises or is interrupted. After Ctrl-C the repeats that are complete are returned,
    or else the learning rates that are, if there are two.

    On JAX the lanes can be trained at once, as one step over a stack of states. That is several
    times quicker for small networks, but has to be compiled, takes the memory of all lanes,
    and is slower for large networks on a CPU. `"auto"` chooses by what is to be compiled, the
    steps to come and the arithmetic of a step, and measures as it goes along.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would.
        x: Training data, as `Model.fit` takes it, but not a one-shot generator: every lane needs
            the same batches. Of a dataset one epoch at most is read, and kept in memory; every
            epoch has the same batches, in another order. What the dataset itself shuffles or
            augments stays as it was read.
        y: Targets, as `Model.fit` takes them.
        learning_rates: float[K], positive and increasing. The default spans all optimizers.
        steps: Updates per lane, >= 1. Give this or `epochs`.
        epochs: Length of a lane in epochs, >= 1.
        batch_size: Samples per step for arrays; None for Keras' 32. Use the one you will train
            with.
        validation_data: Evaluated at the end of every lane, as `Model.fit` takes it.
        validation_split: As `Model.fit` takes it: the share of arrays that is held out at their
            end, where there is no `validation_data`.
        validation_batch_size: As `Model.fit` takes it; None for `batch_size`.
        validation_steps: As `Model.fit` takes it.
        scale: Treat `learning_rates` as factors on the optimizer's schedule, instead of as
            constant learning rates.
        repeats: Repeat the sweep over other batches; the result holds medians. Of a dataset they
            are the same batches in another order.
        monitor: What to watch instead of the loss: a name in the logs of the training step, such as
            `"d_loss"`, or a function of these logs, a dict of floats. Smaller is better.
        method: `"auto"`, `"sequential"` or `"lanes"`: JAX only, up to 1 GiB, or half of what is
            free on an accelerator. `"auto"` keeps to that too.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it. Unless it is False, the batches of a dataset come in
            another order in each epoch.
        steps_per_epoch: As `Model.fit` takes it: the length of an epoch for `epochs`.
        seed: Which batches are drawn from arrays, and in which order those of datasets come, >= 0.
        verbose: `"auto"` or 1 shows a progress bar, 2 one line at the end, 0 nothing.

    Returns:
        A `SweepResult`.

    Raises:
        ValueError: If the model is not compiled, the data is empty or a one-shot generator,
            neither or both of `steps` and `epochs` are given, the learning rates are not positive
            and increasing, `method="lanes"` takes too much memory, every lane diverged, the network
            died in every lane, every weight is frozen, `train_step` does not use the compiled
            optimizer, or the learning rate makes no difference.
        TypeError: If `model` is no Keras model, or a number is not a number.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import lr_sweep
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 4))
        >>> y = x.sum(axis=1, keepdims=True)
        >>> result = lr_sweep(model, x, y, [1e-3, 1e-2, 1e-1, 10.0], steps=20, verbose=0)
        >>> round(result.best_lr, 3), [bool(lost) for lost in result.diverged]
        (0.1, [False, False, False, True])
    """
    check_model(_OWNER, model)
    rates = _checked_rates(learning_rates)
    check_integer(_OWNER, "1 sweeps once", at_least=1, repeats=repeats)
    check_integer(_OWNER, "Any seed will do", at_least=0, seed=seed)
    check_choice(_OWNER, ("auto", "sequential", "lanes"), method=method)
    check_most(_OWNER, repeats=repeats)
    check_bool(_OWNER, scale=scale)
    check_monitor(_OWNER, monitor)
    check_verbose(_OWNER, verbose)
    _check_method(model, method)
    data, validation = TrainingData.beside_validation(
        _OWNER,
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
        hint="Pass learning rates by name, learning_rates=[...]",
    )
    updates = length_in_steps(_OWNER, data, steps, epochs)
    accumulated = accumulation_steps(model)
    count = updates * accumulated
    shape = _shape_of_schedule(model, count) if scale else np.ones(count)
    table = rates[:, None] * shape
    progress = Progress(repeats * table.size, verbose)
    runs = []
    batch = data.batches(1, seed)[0]
    with data.faults_named(), trials(model, data.for_fit, batch, _OWNER, monitor) as opened:
        if validation is not None and not can_validate(model):
            say_if_there_is_no_validation(model, _OWNER)
            validation = None
        sweeper = SweepTrainer(model, opened, validation, progress)
        with contextlib.ExitStack() as end:
            end.callback(progress.finish)
            try:
                for repeat in range(repeats):
                    runs.append(sweeper.run(data.batches(count, seed + repeat), table, method))
            except KeyboardInterrupt:
                if not runs and len(sweeper.known) < 2:  # nothing to compare
                    raise
                runs = runs or [sweeper.known]
    finished = len(runs) == repeats and len(runs[0]) == len(rates)
    rates = rates[: len(runs[0])]
    losses = np.array([[_per_update(lane.losses, accumulated) for lane in run] for run in runs])
    result = _result(rates, losses, runs, sweeper, accumulated, finished)
    _check_result(result)
    if not finished:
        say_interrupted(_OWNER, f"{len(rates)} learning rates, {len(runs)} times each")
    return result


def _checked_rates(learning_rates: ArrayLike) -> np.ndarray:
    try:
        rates = np.asarray(learning_rates, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        rule, fix = "learning_rates must be numbers", "Pass np.geomspace(1e-5, 1.0, 16), say"
        raise TypeError(complaint(_OWNER, rule, fix, learning_rates=learning_rates)) from error
    sound = rates.ndim == 1 and rates.size > 0 and ((rates > 0) & (rates <= GREATEST)).all()
    if not (sound and (np.diff(rates) > 0).all()):
        rule = "learning_rates must be positive, finite and increasing, each of them once"
        fix = "Pass np.geomspace(1e-5, 1.0, 16), say"
        raise ValueError(complaint(_OWNER, rule, fix, learning_rates=learning_rates))
    return rates


def _shape_of_schedule(model: keras.Model, count: int) -> np.ndarray:
    """Return what the optimizer's schedule gives at its next `count` steps."""
    schedule = in_graph_schedule(model)
    if schedule is None:
        rule = "scale=True needs an optimizer built with a schedule"
        fix = "Pass scale=False to sweep constant learning rates"
        name = type(model.optimizer).__name__
        raise ValueError(complaint(_OWNER, rule, fix, optimizer=name))
    return values_by_batch(leaf_optimizers(model.optimizer)[0], batches_seen(model), count)


def _check_method(model: keras.Model, method: Method) -> None:
    if method == "lanes" and not can_vmap(model):
        rule = "lanes are trained at once only on JAX, compiled, on one device"
        fix = 'Pass method="auto"'
        backend = keras.backend.backend()
        raise ValueError(complaint(_OWNER, rule, fix, method=method, backend=backend))


def _per_update(losses: np.ndarray, accumulated: int) -> np.ndarray:
    means: np.ndarray = losses.reshape(-1, accumulated).mean(axis=1)
    return means


def _result(
    rates: np.ndarray,
    losses: np.ndarray,
    runs: list[list[TrialRun]],
    sweeper: SweepTrainer,
    accumulated: int,
    finished: bool,
) -> SweepResult:
    last = losses[:, :, -max(1, losses.shape[2] // 4) :].mean(axis=2)
    final = {"loss": last}
    for name in sorted({name for run in runs for lane in run for name in lane.final}):
        final[name] = np.array([[lane.final.get(name, np.inf) for lane in run] for run in runs])
    # A NaN is no number to compare: it would be the lowest of all losses.
    final = {name: np.where(np.isnan(values), np.inf, values) for name, values in final.items()}
    ended = np.array([[lane.diverged for lane in run] for run in runs])
    lost = ended | ~np.isfinite(last) | np.isinf(final.get("val_loss", last))
    made = np.array([[lane.made // accumulated for lane in run] for run in runs])
    return SweepResult(
        learning_rates=rates,
        losses=_median(losses),
        repeat_losses=losses,
        final={name: np.median(values, axis=0) for name, values in final.items()},
        diverged=np.median(lost, axis=0) >= 0.5,
        stopped_at=np.median(made, axis=0).astype(np.int64),
        cost_steps=sweeper.steps_made // accumulated,
        method=sweeper.used,
        finished=finished,
        dead=np.median([[lane.died for lane in run] for run in runs], axis=0) >= 0.5,
    )


def _median(losses: np.ndarray) -> np.ndarray:
    """Median over repeats; a step that half of them did not reach is NaN."""
    middle = np.median(np.where(np.isnan(losses), np.inf, losses), axis=0)
    return np.where(np.isinf(middle), np.nan, middle)


def _check_result(result: SweepResult) -> None:
    rates = result.learning_rates.tolist()
    if result.diverged.all() and np.isinf(result.final[result.measure]).all():
        rule = "every learning rate diverged"
        fix = "Pass smaller learning rates, or look for NaN in the data; nothing was changed"
        raise ValueError(complaint(_OWNER, rule, fix, learning_rates=rates))
    if result.dead is not None and result.dead.all():
        rule = "the network must be alive at the end of a lane, but answers every input alike"
        fix = "Scale inputs and targets to about 1, or pass smaller learning rates"
        raise ValueError(complaint(_OWNER, rule, fix, learning_rates=rates))
    steady = len(rates) > 1 and result.losses.shape[1] > 1
    if steady and (np.ptp(result.losses, axis=0) == 0).all():
        rule = "the loss must depend on the learning rate"
        fix = "Look for frozen weights or gradients that are zero; nothing was changed"
        raise ValueError(complaint(_OWNER, rule, fix, learning_rates=rates))
