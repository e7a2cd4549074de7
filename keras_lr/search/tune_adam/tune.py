"""Learning rate and decay together, for the whole run."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import Monitor, check_monitor
from keras_lr._engine.hyperparameters import momentum_name
from keras_lr._keras.optimizers import leaf_optimizers
from keras_lr._keras.workers import are_several
from keras_lr.errors import check_integer, complaint
from keras_lr.search.arguments import check_model, length_in_steps
from keras_lr.search.data import TrainingData
from keras_lr.search.progress import Progress, Verbosity, check_verbose
from keras_lr.search.tune_adam.arguments import (
    OWNER,
    asked_ranges,
    asked_shapes,
    check_same,
    check_search,
    check_unscheduled,
    required,
)
from keras_lr.search.tune_adam.cost import AdamCost, pruner_and_rungs
from keras_lr.search.tune_adam.design import MOST_OF_A_SHAPE
from keras_lr.search.tune_adam.outcome import tune_result
from keras_lr.search.tune_adam.result import AdamTuneResult
from keras_lr.search.tune_adam.run import adam_runs
from keras_lr.search.tune_adam.scale import (
    SHORTEST_CLIMB_TRIAL,
    climb_cost,
    find_space,
)
from keras_lr.search.tune_adam.search import FINALISTS, AdamPlan, AdamSearch, search_slots
from keras_lr.search.tune_adam.shapes import Shape
from keras_lr.search.tune_adam.space import AdamSpace, Range, grid_size
from keras_lr.search.tune_adam.storage import open_study, storage_watched
from keras_lr.search.tune_adam.study import Slots, import_optuna, quiet
from keras_lr.search.tune_adam.subject import check_subject

_TRIALS, _REPEATS = 24, 3


def tune_adam(
    model: keras.Model,
    x: Any,
    y: Any = None,
    epochs: int | None = None,
    validation_data: Any = None,
    *,
    steps: int | None = None,
    batch_size: int | None = None,
    n_trials: int | None = None,
    repeats: int | None = None,
    lr: Range | None = None,
    shapes: str | Sequence[Shape] | None = None,
    weight_decay: bool | Range = False,
    momentum: bool | Range = False,
    sampler: Any = "surface",
    pruner: Any = "halving",
    storage: Any = None,
    study_name: str = "tune_adam",
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    shuffle: bool | str = True,
    steps_per_epoch: int | None = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    monitor: Monitor | None = None,
    seed: int = 0,
    verbose: Verbosity = "auto",
) -> AdamTuneResult:
    r"""Find a learning rate and its shape for a whole training run, by runs of that length.

    Compared are a constant learning rate; one that warms up through 5 % of the run and falls to
    zero on a straight line; and, if asked for, `lr / (1 + decay * i)` in update i with a tenth of
    it left at the end, as this library's `Adam` decays.

    1. `tune_lr` finds a centre for each shape in four short trials: its pick for the constant one,
       the best of a short run for the others.
    2. Each shape is run at its centre and half a decade below and above, on the same batches; once
       more past the best while that is at an edge, five times at most.
    3. A quadratic surface is fitted to the logarithms of the losses, see `Surface`. Shape and
       learning rate of its lowest point are taken, which one lucky run does not move far.
    4. Where weight decay or momentum are searched, or `n_trials` asks for more, Optuna proposes
       the trials that are left, at the best shape and near its best learning rates. After a third
       of the run a trial is pruned unless it is among the best third so far. The three best of all
       are run `repeats - 1` times more, on other batches (of a dataset: on the same ones in
       another order), and the best of these is taken.

    With another `sampler` there is no surface: searched are the learning rate $\eta$ and the share
    of it left at the end, $s = \eta_{T-1} / \eta$ from 1 (no decay) to 0.01, of which
    $d = (1 / s - 1) / (T - 1)$ is the decay; then comes step 4.

    All runs start from the model's present weights, on the model's own training step, compiled
    once. Any optimizer without a schedule works: its learning rate is set before every update. A
    trial depends on its values, `seed`, the model and the data, not on the process or on other
    trials. The model is as before, bit for bit, whether the call returns, raises or is interrupted.
    After Ctrl-C the best so far is returned, if a run has come to its end.

    With a `storage` a call that was killed goes on where it was when it is made again, and several
    processes that make the same call share the trials. They must begin with the same model, weights
    and data: a study keeps digests of these, and is refused for any other. A trial whose process
    has shown no life for a minute is put back into the queue.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would.
        x: Training data, as `Model.fit` takes it, but not a one-shot generator. Of a dataset one
            epoch is read and kept in memory; every epoch of a run has the same batches, in another
            order. What the dataset itself shuffles or augments stays as it was read. One without
            end is read for the length of a run: give it an end.
        y: Targets, as `Model.fit` takes them.
        epochs: Length of the run to tune for. Give this or `steps`.
        validation_data: What the runs are judged on, as `Model.fit` takes it. Needed, unless
            `validation_split` is given.
        steps: Length of the run in updates, >= 2.
        batch_size: Samples per step for arrays; None for Keras' 32.
        n_trials: Trials at most, >= 1, of all processes together, those for the surface included;
            None for what the surface takes, 6 to 10 for two shapes, or for 24 where there is more
            to search, of which the surface gets half at most. An existing study can be continued
            with a larger number. Not for a grid, which has as many as it has points.
        repeats: How often the three best are run in all; None for 3, or for 1 where the surface
            decides, which then takes their mean losses. With 1 and no surface the best of the
            search is taken, and the noise is not known.
        lr: The lowest and highest learning rate to search; None to find out by `tune_lr`. The
            surface begins in their middle and goes on by a quarter of the way between them.
        shapes: What is compared: some of "constant", "linear" and "decay"; None for the first two.
            With ("constant", "decay") the result is `lr` and `decay` as two numbers.
        weight_decay: Search it too: from 0.001 to 1, or a range. With decoupled weight decay, as
            in AdamW; Keras multiplies it by the learning rate.
        momentum: Search `beta_1`, or `momentum` where the optimizer has that: from 0.8 to 0.98, or
            a range.
        sampler: `"surface"`; `"tpe"`, Optuna's from the first; `"grid"`: five learning rates by
            five shares; or an Optuna sampler.
        pruner: `"halving"`; `"hyperband"`, which also prunes after a ninth; an Optuna pruner, asked
            after each ninth; or None.
        storage: None keeps the study in memory. Or what `optuna.create_study` takes, such as
            `"sqlite:///tune.db"` or a `JournalStorage`.
        study_name: Its name in the storage.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it. Unless it is False, the batches of a dataset come in
            another order in each epoch.
        steps_per_epoch: As `Model.fit` takes it: the length of an epoch for `epochs`.
        validation_split: As `Model.fit` takes it: the share of arrays that is held out at their
            end, where there is no `validation_data`.
        validation_batch_size: As `Model.fit` takes it; None for `batch_size`.
        validation_steps: As `Model.fit` takes it.
        monitor: What the runs are judged by instead of `"val_loss"`: a name in the logs of the
            training step or its `val_` form, or a function of such logs, a dict of floats. On
            validation data the names go without `val_`. Smaller is better.
        seed: Of batches, proposals and the global random generators, >= 0.
        verbose: `"auto"` or 1 says the cost and shows a progress bar, 2 one line at the end, 0
            nothing.

    Returns:
        An `AdamTuneResult`.

    Raises:
        ImportError: If Optuna is not installed.
        ValueError: If the model is not compiled or has a schedule, the data is empty or a one-shot
            generator, there is no validation data, neither or both of `steps` and `epochs` are
            given, an argument is out of its range, the storage is damaged or locked, its study was
            begun with other arguments, another model or other data, no short trial lowered the
            loss, or every run diverged or was pruned.
        TypeError: If `model` is no Keras model, or a number is not a number.
        RuntimeError: If the same trial was abandoned by three processes.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import tune_adam
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 4))
        >>> y = x.sum(axis=1, keepdims=True)
        >>> best = tune_adam(model, x, y, epochs=5, validation_data=(x, y), verbose=0)
        >>> best.trials[0].shape, sorted(best.surface.shapes), len(best.trials) <= 10
        ('constant', ['constant', 'linear'], True)

    Reference:
        Akiba et al., Optuna, arXiv:1907.10902. Li et al., asynchronous successive halving,
        arXiv:1810.05934.
    """
    optuna = import_optuna(OWNER)
    check_model(OWNER, model)
    if are_several():
        rule = "the processes that train one model together cannot each propose trials"
        fix = "Tune in processes of their own that share a storage, or call tune_lr"
        raise ValueError(complaint(OWNER, rule, fix, distribution="several processes"))
    check_unscheduled(model)
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
    total = length_in_steps(OWNER, data, steps, epochs)
    check_integer(OWNER, "Decay takes two updates", at_least=2, **{"steps of the run": total})
    if repeats is not None:
        check_integer(OWNER, "1 runs the best only once", at_least=1, repeats=repeats)
    check_integer(OWNER, "Any seed will do", at_least=0, seed=seed)
    check_verbose(OWNER, verbose)
    if lr is None:
        fix = "Pass lr=(lowest, highest) for so short a run"
        least = SHORTEST_CLIMB_TRIAL
        check_integer(OWNER, fix, at_least=least, **{"steps of the run": total})
    judge = required(model, validation)
    check_monitor(OWNER, monitor)
    if isinstance(monitor, str):
        monitor = monitor.removeprefix("val_")
    check_search(optuna, sampler, pruner, n_trials)
    compared = asked_shapes(shapes, sampler)
    asked = asked_ranges(lr=lr, weight_decay=weight_decay, momentum=momentum)
    name = momentum_name(leaf_optimizers(model.optimizer)[0], OWNER) if momentum else None
    pruner, rungs = pruner_and_rungs(optuna, pruner)
    others = sum(asked[other] is not None for other in ("weight_decay", "momentum"))
    alone = bool(compared) and not others  # the surface decides
    if isinstance(sampler, str) and sampler == "grid":
        n_trials = grid_size(others)
    elif not alone:
        n_trials = n_trials or _TRIALS
    most = n_trials if alone or n_trials is None else max(1, n_trials // 2)
    repeats = repeats or (1 if alone else _REPEATS)
    with quiet(optuna), storage_watched(OWNER, optuna, storage):
        study = open_study(OWNER, optuna, storage, study_name, pruner)
        if storage is not None:
            check_subject(OWNER, study, model, data, judge)
        check_same(study, {"steps": total, "seed": seed, **asked, "shapes": compared})
        slots = Slots(study, shared=storage is not None)
        known = "space" in study.user_attrs or lr is not None
        count = n_trials or MOST_OF_A_SHAPE * len(compared)
        cost = AdamCost(
            by_surface=n_trials is None,
            trials=count,
            done=len(slots.done(search_slots(count))),
            repeats=min(FINALISTS, count) * (repeats - 1),
            steps=total,
            climb=0 if known else climb_cost(total),
        )
        if verbose in ("auto", 1):
            print(cost)
        if "space" not in study.user_attrs:
            find_space(study, model, data, judge, total, seed, asked, compared, most, monitor)
        space = AdamSpace.from_dict(study.user_attrs["space"])
        plan = AdamPlan(
            design=space.design(),
            points=_points(space, sampler, count, seed),
            goes_on=n_trials is not None,
            repeats=repeats,
            steps=total,
            sampler=None if isinstance(sampler, str) else sampler,
            rungs=rungs,
            seed=seed,
        )
        search = AdamSearch(study, slots, space, plan)
        progress = Progress(cost.most - cost.climb, verbose)
        finished = True
        try:
            with contextlib.ExitStack() as end:
                end.callback(progress.finish)
                opened = adam_runs(model, data, judge, total, space, OWNER, monitor)
                search.carry_out(end.enter_context(opened), progress)
        except KeyboardInterrupt:
            if not search.has_finalists():
                raise
            finished = False
        return tune_result(
            study,
            search,
            space,
            plan,
            by_surface=alone,
            finished=finished,
            momentum_name=name,
        )


def _points(space: AdamSpace, sampler: Any, count: int, seed: int) -> list[dict[str, float]]:
    """Return the values that are fixed in each trial; none where the sampler is to propose."""
    if space.centres:
        return [{} for _ in range(count)]
    if not (isinstance(sampler, str) and sampler == "grid"):
        return [space.first(), *({} for _ in range(count - 1))]
    grid = space.grid()
    # Out of order, since a trial is pruned by those before it.
    return [grid[index] for index in np.random.default_rng(seed).permutation(len(grid))]
