"""Learning rate and decay together, for the whole run."""

import contextlib
import json
import math
from typing import Any, Literal

import keras
import numpy as np

from keras_lr._checks import check_integer, check_number, complaint
from keras_lr._keras.learning_rate import is_scheduled, leaf_optimizers
from keras_lr._keras.overlay import momentum_name
from keras_lr.search.adam_run import adam_runs
from keras_lr.search.adam_search import (
    FINALISTS,
    AdamPlan,
    AdamSearch,
    pruner_and_rungs,
    search_slots,
)
from keras_lr.search.adam_space import AdamSpace, Range, grid_size
from keras_lr.search.adam_tune_result import AdamTuneResult
from keras_lr.search.batches import TrainingData
from keras_lr.search.progress import Progress, Verbosity
from keras_lr.search.study import Slots, import_optuna, quiet
from keras_lr.search.sweep import check_model, length_in_steps
from keras_lr.search.tune import tune_lr

_OWNER = "tune_adam"
_TRIALS = 24
# Around what `tune_lr` suggests for a constant learning rate. One that decays may start higher.
_DECADES_BELOW, _DECADES_ABOVE = 0.75, 1.25
_CLIMB_TRIALS, _LONGEST_CLIMB_TRIAL, _SHORTEST_CLIMB_TRIAL = 4, 100, 10
_WEIGHT_DECAYS, _MOMENTA = (1e-3, 1.0), (0.8, 0.98)


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
    seed: int = 0,
    verbose: Verbosity = "auto",
) -> AdamTuneResult:
    r"""Find learning rate and decay for a whole training run, by runs of that length.

    In update i of T the runs use $\eta_i = \eta / (1 + d i)$, as `keras_lr.Adam(lr, decay)` does.
    What is searched is $\eta$ and the share of it that is left at the end,
    $s = \eta_{T-1} / \eta$ from 1 (no decay) to 0.01, so that $d = (1 / s - 1) / (T - 1)$.

    1. `tune_lr` finds the scale of $\eta$ in four short trials; two decades around it are searched.
    2. Optuna proposes `n_trials` runs, the first one at `tune_lr`'s learning rate without decay.
       After a third of the run a trial is pruned unless it is among the best third so far.
    3. The three best are run `repeats - 1` times more, on other batches. Of those within one
       standard error of the best the one with the largest learning rate is taken.

    All runs start from the model's present weights, on the model's own training step, compiled
    once. Any optimizer with a plain learning rate will do: decay is applied by setting it before
    every update. A trial depends on its values, `seed`, the model and the data, not on the process
    or on other trials. The model is as before, bit for bit, whether the call returns, raises or is
    interrupted. After Ctrl-C the best so far is returned, if a run has come to its end.

    With a `storage` a call that was killed goes on where it was when it is made again, and several
    processes that make the same call share the trials. They must begin with the same weights. A
    trial whose process has shown no life for a minute is put back into the queue.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would.
        x: Training data, as `Model.fit` takes it, but not a one-shot generator.
        y: Targets, as `Model.fit` takes them.
        epochs: Length of the run to tune for. Give this or `steps`.
        validation_data: What the runs are judged on, as `Model.fit` takes it. Needed.
        steps: Length of the run in updates, >= 2.
        batch_size: Samples per step for arrays; None for Keras' 32.
        n_trials: Trials of the search, >= 1, of all processes together; None for 24. A study can
            be gone on with for more. Not for a grid, which has as many as it has points.
        repeats: How often the three best are run in all. 1: the best of the search is taken, and
            nothing is known about the noise.
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
        seed: Of batches, proposals and the global random generators, >= 0.
        verbose: `"auto"` or 1 says the cost and shows a progress bar, 2 one line at the end, 0
            nothing.

    Returns:
        An `AdamTuneResult`.

    Raises:
        ImportError: If Optuna is not installed.
        ValueError: If the model is not compiled or has a schedule, the data is empty or a one-shot
            generator, there is no validation data, neither or both of `steps` and `epochs` are
            given, an argument is out of its range, the storage's study was begun with other
            arguments, no short trial lowered the loss, or every run diverged or was pruned.
        TypeError: If `model` is no Keras model, or a number is not a number.
        RuntimeError: If three processes in turn did not survive the same trial.

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
    optuna = import_optuna(_OWNER)
    check_model(_OWNER, model)
    _check_plain(model)
    data = TrainingData(
        _OWNER,
        x,
        y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        batch_size=batch_size,
    )
    total = length_in_steps(_OWNER, data, steps, epochs)
    check_integer(_OWNER, "Decay takes two updates", at_least=2, **{"steps of the run": total})
    check_integer(_OWNER, "1 runs the best only once", at_least=1, repeats=repeats)
    check_integer(_OWNER, "Any seed will do", at_least=0, seed=seed)
    if validation_data is None:
        rule = "there must be validation data: decay shows in the loss after the run"
        raise ValueError(complaint(_OWNER, rule, "Hold some data back", validation_data=None))
    asked = {
        "lr": _range("lr", lr, above=0),
        "weight_decay": _range("weight_decay", weight_decay, _WEIGHT_DECAYS, above=0),
        "momentum": _range("momentum", momentum, _MOMENTA, above=0, below=1),
    }
    _check_choices(optuna, sampler, pruner, n_trials)
    name = momentum_name(leaf_optimizers(model.optimizer)[0], _OWNER) if momentum else None
    pruner, rungs = pruner_and_rungs(optuna, pruner)
    with quiet(optuna):
        study = optuna.create_study(
            storage=storage, study_name=study_name, pruner=pruner, load_if_exists=True
        )
        _check_same(study, {"steps": total, "seed": seed, **asked})
        others = sum(asked[name] is not None for name in ("weight_decay", "momentum"))
        count = grid_size(others) if sampler == "grid" else n_trials or _TRIALS
        slots = Slots(study, shared=storage is not None)
        done = len(slots.done(search_slots(count)))
        climb = 0 if "space" in study.user_attrs or lr else _CLIMB_TRIALS * _climb_trial_steps(total)
        again = min(FINALISTS, count) * (repeats - 1)
        most = (count - done + again) * total
        if verbose in ("auto", 1):
            known = f" ({done} are done already)" if done else ""
            print(
                f"tune_adam: at most {most + climb} training steps: {count} trials{known} and "
                f"{again} repeats of {total}, {climb} for the scale of lr. Pruning makes it fewer."
            )
        if "space" not in study.user_attrs:
            _begin(study, model, data, total, seed, asked)
        space = _space(study.user_attrs["space"])
        plan = AdamPlan(
            points=_points(space, sampler, count, seed),
            repeats=repeats,
            steps=total,
            sampler=None if isinstance(sampler, str) else sampler,
            rungs=rungs,
            seed=seed,
        )
        search = AdamSearch(study, slots, space, plan)
        progress = Progress(most, verbose)
        finished = True
        try:
            with contextlib.ExitStack() as end:
                end.callback(progress.finish)
                run = end.enter_context(
                    adam_runs(model, data, validation_data, total, space, _OWNER)
                )
                search.carry_out(run, progress)
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
        raise ValueError(complaint(_OWNER, rule, fix, lr=space.lr))
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
) -> None:
    """Find what is to be searched and keep it with the study."""
    limits, cost = asked["lr"], 0
    if limits is not None:
        start = math.sqrt(limits[0] * limits[1])
    else:
        most = _CLIMB_TRIALS * _climb_trial_steps(total)
        best = tune_lr(model, **data.for_fit, steps=total, max_cost=most, seed=seed, verbose=0)
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


def _space(values: dict[str, Any]) -> AdamSpace:
    return AdamSpace(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _range(name: str, value: Any, default: Range | None = None, **bounds: float) -> Range | None:
    """Return the range asked for: the default for True, none for False or None."""
    if value is None or isinstance(value, bool):
        return default if value else None
    fix = f"Pass {name}=(lowest, highest)"
    if not isinstance(value, tuple | list) or len(value) != 2:
        rule = f"{name} must be a lowest and a highest value"
        raise ValueError(complaint(_OWNER, rule, fix, **{name: value}))
    for number in value:
        check_number(_OWNER, fix, **bounds, **{name: number})
    if not value[0] < value[1]:
        rule = f"{name} must be a lowest and a highest value"
        raise ValueError(complaint(_OWNER, rule, fix, **{name: value}))
    return float(value[0]), float(value[1])


def _check_plain(model: keras.Model) -> None:
    if any(is_scheduled(leaf) for leaf in leaf_optimizers(model.optimizer)):
        rule = "lr and decay take the place of a schedule"
        fix = "Compile with a number, or tune the schedule's peak with tune_lr"
        name = type(model.optimizer).__name__
        raise ValueError(complaint(_OWNER, rule, fix, optimizer=name))


def _check_choices(optuna: Any, sampler: Any, pruner: Any, n_trials: int | None) -> None:
    if not (sampler in ("tpe", "grid") or isinstance(sampler, optuna.samplers.BaseSampler)):
        rule = "sampler must be 'tpe', 'grid' or an Optuna sampler"
        raise ValueError(complaint(_OWNER, rule, "Pass one of them", sampler=sampler))
    named = pruner in ("halving", "hyperband", None)
    if not (named or isinstance(pruner, optuna.pruners.BasePruner)):
        rule = "pruner must be 'halving', 'hyperband', None or an Optuna pruner"
        raise ValueError(complaint(_OWNER, rule, "Pass one of them", pruner=pruner))
    if n_trials is not None:
        check_integer(_OWNER, "24 is the default", at_least=1, n_trials=n_trials)
        if sampler == "grid":
            rule = "a grid has as many trials as points"
            raise ValueError(complaint(_OWNER, rule, "Leave n_trials out", n_trials=n_trials))


def _check_same(study: Any, task: dict[str, Any]) -> None:
    """Hold that a study is gone on with as it was begun."""
    task = json.loads(json.dumps(task))  # as it comes back from a storage
    begun = study.user_attrs.get("task")
    if begun is None:
        study.set_user_attr("task", task)
    elif begun != task:
        changed = {key: value for key, value in task.items() if value != begun[key]}
        rule = f"the study {study.study_name!r} was begun with other arguments, {begun}"
        fix = "Pass those, or another study_name"
        raise ValueError(complaint(_OWNER, rule, fix, **changed))
