"""Checks of the arguments of `tune_lr`, and what follows from them."""

import keras

from keras_lr._keras.optimizers import is_scheduled, leaf_optimizers
from keras_lr.errors import check_number, complaint
from keras_lr.search.tune.climb import ProbeClimb

OWNER = "tune_lr"
RANGE_TEST_STEPS = 100
_TRIAL_STEPS, _THOROUGH_TRIAL_STEPS, _FEWEST_TRIAL_STEPS = 50, 100, 10


def trial_steps(total: int, thorough: bool, max_cost: float | None, ranged: int) -> int:
    """Return the length of a trial that keeps the total cost within its bound."""
    wanted = _THOROUGH_TRIAL_STEPS if thorough else _TRIAL_STEPS
    if max_cost is not None:
        check_number(
            OWNER, "Pass a number of steps or a share of the run", above=0, max_cost=max_cost
        )
        budget = max_cost if max_cost >= 1 else max_cost * total
        wanted = min(wanted, int(budget - ranged) // ProbeClimb.max_trials)
        if wanted < _FEWEST_TRIAL_STEPS:
            rule = f"max_cost must leave {_FEWEST_TRIAL_STEPS} steps for each of four trials"
            if ranged:
                rule += f" beside the {ranged} of the range test"
            fix = "Raise it, or keep the default learning rate for so short a run"
            raise ValueError(complaint(OWNER, rule, fix, max_cost=max_cost, total_steps=total))
    if total < wanted:
        rule = f"the run must be at least as long as a trial ({wanted} steps)"
        shorter = "thorough=False or " if thorough else ""
        fix = f"Raise epochs, or pass {shorter}max_cost for shorter trials"
        raise ValueError(complaint(OWNER, rule, fix, total_steps=total))
    return wanted


def checked_start(start: str | float, usual: float) -> float | None:
    """Return the learning rate to start from; None for a range test."""
    if isinstance(start, str):
        if start not in ("default", "range_test"):
            rule = "start must be 'default', 'range_test' or a learning rate"
            raise ValueError(complaint(OWNER, rule, "Pass one of them", start=start))
        return usual if start == "default" else None
    check_number(OWNER, "Pass a learning rate that is about right", above=0, start=start)
    return float(start)


def check_can_apply(model: keras.Model) -> None:
    """Raise if an optimizer of the model has a schedule, whose rate cannot be set."""
    if any(is_scheduled(leaf) for leaf in leaf_optimizers(model.optimizer)):
        rule = "apply=True needs an optimizer with a plain learning rate"
        fix = "Compile the optimizer with the result's schedule instead"
        raise ValueError(complaint(OWNER, rule, fix, apply=True))
