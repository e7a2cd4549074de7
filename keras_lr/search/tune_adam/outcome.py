"""From the finished runs of `tune_adam` to its result."""

from typing import Any

import numpy as np

from keras_lr.errors import complaint
from keras_lr.search.tune_adam.arguments import OWNER
from keras_lr.search.tune_adam.result import AdamTrial, AdamTuneResult
from keras_lr.search.tune_adam.search import AdamPlan, AdamSearch
from keras_lr.search.tune_adam.space import AdamSettings, AdamSpace
from keras_lr.search.tune_adam.surface import Surface


def tune_result(
    study: Any,
    search: AdamSearch,
    space: AdamSpace,
    plan: AdamPlan,
    *,
    by_surface: bool,
    finished: bool,
    momentum_name: str | None,
) -> AdamTuneResult:
    """Return what a search has found, be it finished or interrupted.

    Args:
        study: The Optuna study.
        search: The search in it.
        space: What was searched.
        plan: What was to be run.
        by_surface: Whether the surface decides, instead of repeats of the best runs.
        finished: Whether the search came to its end.
        momentum_name: What the optimizer calls its momentum; None if it was not searched.

    Raises:
        ValueError: If no run came to its end with a finite loss.
    """
    rows, surface = search.rows(), search.surface()
    if not search.has_finalists():
        rule = "one of the runs must come to its end with a finite loss"
        fix = "Pass a range of smaller learning rates, or look for NaN in the validation data"
        raise ValueError(complaint(OWNER, rule, fix, lr=_reach(rows, space)))
    found = _by_repeats(search)
    if by_surface and surface is not None:
        found = _by_surface(surface, rows, plan.steps)
    return AdamTuneResult(
        **found,
        trials=tuple(rows),
        lr_range=_reach(rows, space),
        total_steps=plan.steps,
        cost_steps=sum(row.steps for row in rows) + study.user_attrs["climb_steps"],
        finished=finished,
        momentum_name=momentum_name,
        surface=surface,
        study=study,
    )


def _by_repeats(search: AdamSearch) -> dict[str, Any]:
    choice, finalists, loss = search.choice()
    chosen, noise = finalists[choice.index], choice.standard_error
    return {
        "lr": chosen.lr,
        "shape": chosen.shape,
        "decay": chosen.decay,
        "final_share": chosen.final_share,
        "weight_decay": chosen.weight_decay,
        "momentum": chosen.momentum,
        "loss": loss,
        "standard_error": noise,
        "within_noise": None if noise is None else len(choice.ties) > 1,
        "ties": tuple(finalists[index] for index in choice.ties),
        "chosen": chosen,
    }


def _by_surface(surface: Surface, rows: list[AdamTrial], steps: int) -> dict[str, Any]:
    shape: Any = surface.best
    lowest = surface.lowest(shape)
    settings = AdamSettings(lr=lowest.lr, shape=shape)
    others = [surface.standard_error(other) for other in surface.shapes if other != shape]
    errors = [error for error in others if error is not None]
    ties = surface.ties()
    nearest = {each: _nearest(surface, each, rows) for each in ties}
    return {
        "lr": lowest.lr,
        "shape": shape,
        "decay": settings.decay(steps),
        "final_share": settings.share_left(steps),
        "weight_decay": None,
        "momentum": None,
        "loss": lowest.loss,
        "standard_error": max(errors) * abs(lowest.loss) if errors else None,
        "within_noise": len(ties) > 1 if errors else None,
        "ties": tuple(nearest.values()),
        "chosen": nearest[shape],
    }


def _nearest(surface: Surface, shape: str, rows: list[AdamTrial]) -> AdamTrial:
    """Return the first whole run of a shape that is nearest to its lowest point, in decades."""
    lr = surface.lowest(shape).lr
    of_shape = [row for row in rows if row.shape == shape and row.repeat == 0]
    whole = [row for row in of_shape if row.state == "complete"] or of_shape
    return min(whole, key=lambda row: abs(np.log(row.lr / lr)))


def _reach(rows: list[AdamTrial], space: AdamSpace) -> tuple[float, float]:
    """Return the learning rates that were searched: of a surface, those that were run."""
    if not space.centres or space.limited or not rows:
        return space.lr
    rates = [row.lr for row in rows]
    return min(rates), max(rates)
