"""The cost of a search by `tune_adam`: an upper bound, and the pruner that keeps below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_lr.search.tune_adam.run import RUNGS


@dataclass(frozen=True, kw_only=True)
class AdamCost:
    """Upper bound of the cost of a search; prints as a sentence.

    Attributes:
        by_surface: Whether the first of them are for a surface.
        trials: Trials at most, those for a surface included.
        done: How many of them are done already.
        repeats: Repeats of the finalists, in all.
        steps: Updates per run.
        climb: Updates that may go into the scale of the learning rate.
    """

    by_surface: bool
    trials: int
    done: int
    repeats: int
    steps: int
    climb: int

    @property
    def most(self) -> int:
        """The most updates there can be."""
        return (self.trials - self.done + self.repeats) * self.steps + self.climb

    def __str__(self) -> str:
        known = f" ({self.done} are done already)" if self.done else ""
        again = f" and {self.repeats} repeats" if self.repeats else ""
        fewer = "Most surfaces take" if self.by_surface else "Pruning makes it"
        return (
            f"tune_adam: at most {self.most} training steps: {self.trials} trials{known}{again} "
            f"of {self.steps}, {self.climb} for the scale of lr. {fewer} fewer."
        )


def pruner_and_rungs(optuna: Any, pruner: Any) -> tuple[Any, Sequence[int]]:
    """Return the Optuna pruner, and after how many ninths of a run it is asked."""
    if pruner is None:
        return optuna.pruners.NopPruner(), ()
    if pruner == "halving":
        # Not before a third of the run: what decay is good for does not show earlier.
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=3, reduction_factor=3), (3,)
    if pruner == "hyperband":
        options = {"min_resource": 1, "max_resource": RUNGS, "reduction_factor": 3}
        return optuna.pruners.HyperbandPruner(**options), (1, 3)
    return pruner, range(1, RUNGS)
