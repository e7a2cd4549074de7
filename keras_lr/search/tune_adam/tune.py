"""Learning rate and decay together, for the whole run."""

import contextlib
import math
from typing import Any

import keras
import numpy as np

from keras_lr._engine.batch_loss import Monitor, check_monitor
from keras_lr._engine.hyperparameters import momentum_name
from keras_lr._keras.optimizers import leaf_optimizers
from keras_lr.errors import check_integer, complaining_as, complaint
from keras_lr.search.arguments import check_model, length_in_steps
from keras_lr.search.data import TrainingData
from keras_lr.search.feeding import with_validation
from keras_lr.search.progress import Progress, Verbosity, check_verbose
from keras_lr.search.tune.tune import tune_lr
from keras_lr.search.tune_adam.arguments import (
    OWNER,
    asked_ranges,
    check_same,
    check_search,
    check_unscheduled,
    required,
)
from keras_lr.search.tune_adam.result import AdamTuneResult
from keras_lr.search.tune_adam.run import adam_runs
from keras_lr.search.tune_adam.search import (
    FINALISTS,
    AdamCost,
    AdamPlan,
    AdamSearch,
    pruner_and_rungs,
    search_slots,
)
from keras_lr.search.tune_adam.space import AdamSpace, Range, grid_size
from keras_lr.search.tune_adam.storage import open_study, storage_watched
from keras_lr.search.tune_adam.study import Slots, import_optuna, quiet
from keras_lr.search.tune_adam.subject import check_subject

_TRIALS = 24
# Around what `tune_lr` suggests for a constant learning rate. One that decays may start higher.
_DECADES_BELOW, _DECADES_ABOVE = 0.75, 1.25
_CLIMB_TRIALS, _LONGEST_CLIMB_TRIAL, _SHORTEST_CLIMB_TRIAL = 4, 100, 10


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
    repeats: int = 3,
    lr: Range | None = None,
    weight_decay: bool | Range = False,
    momentum: bool | Range = False,
    sampler: Any = "tpe",
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
    r"""Find learning rate and decay for a whole training run, by runs of that length.

    In update i of T the runs use $\eta_i = \eta / (1 + d i)$, as this library's `Adam` does.
    What is searched is $\eta$ and the share of it that is left at the end,
    $s = \eta_{T-1} / \eta$ from 1 (no decay) to 0.01, so that $d = (1 / s - 1) / (T - 1)$.

    1. `tune_lr` finds the scale of $\eta$ in four short trials; two decades around it are searched.
    2. Optuna proposes `n_trials` runs, the first one at `tune_lr`'s learning rate without decay.
       After a third of the run a trial is pruned unless it is among the best third so far; no
       trial is pruned until three have finished.
    3. The three best are run `repeats - 1` times more, on other batches (of a dataset: on the same
       ones in another order). Of those within one standard error of the best the one with the
       largest learning rate is taken.

    All runs start from the model's present weights, on the model's own training step, compiled
    once. Any optimizer without a schedule works: decay is applied by setting it before
    every update. A trial depends on its values, `seed`, the model and the data, not on the process
    or on other trials. The model is as before, bit for bit, whether the call returns, raises or is
    interrupted. After Ctrl-C the best so far is returned, if a run has come to its end.

    With a `storage` a call that was killed goes on where it was when it is made again, and several
    processes that make the same call share the trials. They must begin with the same model, weights
    and data: a study keeps digests of these, and is refused for any other. A
    trial whose process has shown no life for a minute is put back into the queue.

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
        n_trials: Trials of the search, >= 1, of all processes together; None for 24. An existing
            study can be continued with a larger number. Not for a grid, which has as many as it has
            points.
        repeats: How often the three best are run in all. With 1 the best of the search is taken,
            and the noise is not known.
        lr: The lowest and highest learning rate to search; None to find out by `tune_lr`.
        weight_decay: Search it too: from 0.001 to 1, or a range. With decoupled weight decay, as
            in AdamW; Keras multiplies it by the learning rate.
        momentum: Search `beta_1`, or `momentum` where the optimizer has that: from 0.8 to 0.98, or
            a range.
        sampler: `"tpe"`; `"grid"`: five learning rates by five shares; or an Optuna sampler.
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
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 4))
        >>> y = x.sum(axis=1, keepdims=True)
        >>> best = tune_adam(model, x, y, epochs=5, validation_data=(x, y), n_trials=4, verbose=0)
        >>> sorted(best.arguments), best.trials[0].final_share
        (['decay', 'lr'], 1.0)

    Reference:
        Akiba et al., Optuna, arXiv:1907.10902. Li et al., asynchronous successive halving,
        arXiv:1810.05934.
    """
    optuna = import_optuna(OWNER)
    check_model(OWNER, model)
    check_unscheduled(model)
    (x, y, sample_weight), validation = with_validation(
        OWNER,
        (x, y, sample_weight),
        validation_data,
        split=validation_split,
        batch_size=batch_size,
        validation_batch_size=validation_batch_size,
        steps=validation_steps,
        model=model,
    )
    data = TrainingData(
        OWNER,
        x,
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        shuffle=shuffle,
        model=model,
    )
    total = length_in_steps(OWNER, data, steps, epochs)
    check_integer(OWNER, "Decay takes two updates", at_least=2, **{"steps of the run": total})
    check_integer(OWNER, "1 runs the best only once", at_least=1, repeats=repeats)
    check_integer(OWNER, "Any seed will do", at_least=0, seed=seed)
    check_verbose(OWNER, verbose)
    if lr is None:
        fix = "Pass lr=(lowest, highest) for so short a run"
        least = _SHORTEST_CLIMB_TRIAL
        check_integer(OWNER, fix, at_least=least, **{"steps of the run": total})
    judge = required(validation)
    check_monitor(OWNER, monitor)
    if isinstance(monitor, str):
        monitor = monitor.removeprefix("val_")
    check_search(optuna, sampler, pruner, n_trials)
    asked = asked_ranges(lr=lr, weight_decay=weight_decay, momentum=momentum)
    name = momentum_name(leaf_optimizers(model.optimizer)[0], OWNER) if momentum else None
    pruner, rungs = pruner_and_rungs(optuna, pruner)
    others = sum(asked[other] is not None for other in ("weight_decay", "momentum"))
    count = grid_size(others) if sampler == "grid" else n_trials or _TRIALS
    with quiet(optuna), storage_watched(OWNER, optuna, storage):
        study = open_study(OWNER, optuna, storage, study_name, pruner)
        if storage is not None:
            check_subject(OWNER, study, model, data, judge)
        check_same(study, {"steps": total, "seed": seed, **asked})
        slots = Slots(study, shared=storage is not None)
        known = "space" in study.user_attrs or lr is not None
        cost = AdamCost(
            trials=count,
            done=len(slots.done(search_slots(count))),
            repeats=min(FINALISTS, count) * (repeats - 1),
            steps=total,
            climb=0 if known else _CLIMB_TRIALS * _climb_trial_steps(total),
        )
        if verbose in ("auto", 1):
            print(cost)
        if "space" not in study.user_attrs:
            _begin(study, model, data, total, seed, asked, monitor)
        space = AdamSpace.from_dict(study.user_attrs["space"])
        plan = AdamPlan(
            points=_points(space, sampler, count, seed),
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
        return _result(study, search, space, plan, finished, name)


def _result(
    study: Any,
    search: AdamSearch,
    space: AdamSpace,
    plan: AdamPlan,
    finished: bool,
    name: str | None,
) -> AdamTuneResult:
    rows = search.rows()
    if not search.has_finalists():
        rule = "one of the runs must come to its end with a finite loss"
        fix = "Pass a range of smaller learning rates, or look for NaN in the validation data"
        raise ValueError(complaint(OWNER, rule, fix, lr=space.lr))
    choice, finalists, loss = search.choice()
    chosen = finalists[choice.index]
    noise = choice.standard_error
    return AdamTuneResult(
        lr=chosen.lr,
        decay=chosen.decay,
        final_share=chosen.final_share,
        weight_decay=chosen.weight_decay,
        momentum=chosen.momentum,
        loss=loss,
        standard_error=noise,
        within_noise=None if noise is None else len(choice.ties) > 1,
        ties=tuple(finalists[index] for index in choice.ties),
        chosen=chosen,
        trials=tuple(rows),
        lr_range=space.lr,
        total_steps=plan.steps,
        cost_steps=sum(row.steps for row in rows) + study.user_attrs["climb_steps"],
        finished=finished,
        momentum_name=name,
        study=study,
    )


def _climb_trial_steps(total: int) -> int:
    return min(_LONGEST_CLIMB_TRIAL, max(_SHORTEST_CLIMB_TRIAL, total // _CLIMB_TRIALS))


def _begin(
    study: Any,
    model: keras.Model,
    data: TrainingData,
    total: int,
    seed: int,
    asked: dict[str, Range | None],
    monitor: Monitor | None,
) -> None:
    """Find what is to be searched and keep it with the study."""
    limits, cost = asked["lr"], 0
    if limits is not None:
        start = math.sqrt(limits[0] * limits[1])
    else:
        most = _CLIMB_TRIALS * _climb_trial_steps(total)
        given = {**data.for_fit.arguments, "monitor": monitor, "max_cost": most}
        with complaining_as(OWNER, "tune_lr"):
            best = tune_lr(model, **given, steps=total, seed=seed, verbose=0)
        if not best.finished:
            raise KeyboardInterrupt
        start, cost = best.learning_rate, best.cost_steps
        limits = start / 10**_DECADES_BELOW, start * 10**_DECADES_ABOVE
    study.set_user_attr("climb_steps", cost)
    study.set_user_attr("space", {**asked, "lr": limits, "start": start})


def _points(space: AdamSpace, sampler: Any, count: int, seed: int) -> list[dict[str, float]]:
    """Return the values that are fixed in each trial; none where the sampler is to propose."""
    if sampler != "grid":
        return [space.first(), *({} for _ in range(count - 1))]
    grid = space.grid()
    # Out of order, since a trial is pruned by those before it.
    return [grid[index] for index in np.random.default_rng(seed).permutation(len(grid))]
