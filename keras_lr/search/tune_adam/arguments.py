"""Checks of the arguments of `tune_adam`, and their normal form."""

import json
from typing import Any

import keras

from keras_lr._engine.step_loss import can_validate, why_no_loss
from keras_lr._keras.data import FitData
from keras_lr._keras.optimizers import is_scheduled, leaf_optimizers
from keras_lr.errors import check_integer, check_number, complaint
from keras_lr.search.tune_adam.shapes import SHAPES, Shape
from keras_lr.search.tune_adam.space import Range

OWNER = "tune_adam"

USUAL_SHAPES: tuple[Shape, ...] = ("constant", "linear")
_WEIGHT_DECAYS, _MOMENTA = (1e-3, 1.0), (0.8, 0.98)


def asked_ranges(*, lr: Any, weight_decay: Any, momentum: Any) -> dict[str, Range | None]:
    """Return the ranges asked for: the usual one for True, None where there is none."""
    return {
        "lr": _range("lr", lr, above=0),
        "weight_decay": _range("weight_decay", weight_decay, _WEIGHT_DECAYS, above=0),
        "momentum": _range("momentum", momentum, _MOMENTA, above=0, below=1),
    }


def check_unscheduled(model: keras.Model) -> None:
    """Raise if an optimizer of the model has a schedule."""
    if any(is_scheduled(leaf) for leaf in leaf_optimizers(model.optimizer)):
        rule = "lr and decay take the place of a schedule"
        fix = "Compile with a number, or tune the schedule's peak with tune_lr"
        name = type(model.optimizer).__name__
        raise ValueError(complaint(OWNER, rule, fix, optimizer=name))


def required(model: keras.Model, validation_data: FitData | None) -> FitData:
    """Return the validation data; raise if there is none, or no loss of it."""
    if validation_data is None:
        rule = "there must be validation data: decay shows in the loss after the run"
        raise ValueError(complaint(OWNER, rule, "Hold some data back", validation_data=None))
    if not can_validate(model):
        rule = f"runs are judged by validation, but {why_no_loss(model)}"
        fix = "Pass loss= to compile, or write a test_step that returns one"
        raise ValueError(complaint(OWNER, rule, fix, model=model.name))
    return validation_data


def asked_shapes(shapes: Any, sampler: Any) -> tuple[Shape, ...]:
    """Return the shapes to compare: none where the sampler is to search a share instead."""
    by_surface = isinstance(sampler, str) and sampler == "surface"
    if shapes is None:
        return USUAL_SHAPES if by_surface else ()
    names = list(shapes) if isinstance(shapes, list | tuple) else [shapes]
    known = all(isinstance(name, str) and name in SHAPES for name in names)
    if not names or not known or len(set(names)) < len(names):
        rule = f"shapes must be some of {', '.join(SHAPES)}"
        raise ValueError(complaint(OWNER, rule, "Pass their names", shapes=shapes))
    if not by_surface:
        rule = "shapes are compared by the surface"
        fix = "Pass sampler='surface', or leave shapes out"
        raise ValueError(complaint(OWNER, rule, fix, shapes=shapes))
    return tuple(shape for shape in SHAPES if shape in names)


def check_search(optuna: Any, sampler: Any, pruner: Any, n_trials: int | None) -> None:
    """Raise unless sampler, pruner and number of trials are possible, and go together."""
    named = isinstance(sampler, str) and sampler in ("surface", "tpe", "grid")
    if not (named or isinstance(sampler, optuna.samplers.BaseSampler)):
        rule = "sampler must be 'surface', 'tpe', 'grid' or an Optuna sampler"
        raise ValueError(complaint(OWNER, rule, "Pass one of them", sampler=sampler))
    named = pruner is None or (isinstance(pruner, str) and pruner in ("halving", "hyperband"))
    if not (named or isinstance(pruner, optuna.pruners.BasePruner)):
        rule = "pruner must be 'halving', 'hyperband', None or an Optuna pruner"
        raise ValueError(complaint(OWNER, rule, "Pass one of them", pruner=pruner))
    if n_trials is None:
        return
    check_integer(OWNER, "Pass None for the usual number", at_least=1, n_trials=n_trials)
    if sampler == "grid":
        rule = "a grid has as many trials as points"
        raise ValueError(complaint(OWNER, rule, "Leave n_trials out", n_trials=n_trials))


def check_same(study: Any, task: dict[str, Any]) -> None:
    """Hold that a study is gone on with as it was begun; if it is new, note how."""
    task = json.loads(json.dumps(task))  # as it comes back from a storage
    begun = study.user_attrs.get("task")
    if begun is None:
        study.set_user_attr("task", task)
    elif begun != task:
        names = sorted(task.keys() | begun.keys())  # another version may have had others
        changed = {name: task.get(name) for name in names if task.get(name) != begun.get(name)}
        rule = f"the study {study.study_name!r} was begun with other arguments, {begun}"
        fix = "Pass those, or another study_name"
        raise ValueError(complaint(OWNER, rule, fix, **changed))


def _range(name: str, value: Any, usual: Range | None = None, **bounds: float) -> Range | None:
    if value is None or isinstance(value, bool):
        return usual if value else None
    fix, rule = (
        f"Pass {name}=(lowest, highest)",
        f"{name} must be a lowest and a highest value",
    )
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(complaint(OWNER, rule, fix, **{name: value}))
    for number in value:
        check_number(OWNER, fix, **bounds, **{name: number})
    if not value[0] < value[1]:
        raise ValueError(complaint(OWNER, rule, fix, **{name: value}))
    return float(value[0]), float(value[1])
