"""The arithmetic and the timing of weight averages, for any training loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_lr.errors import check_integer, check_number, complaint

OWNER = "WeightAverage"  # the public name, for messages

Decay = float | None


def averaging_weight(decay: Decay, taken: int) -> float:
    r"""Return the weight $w$ of new weights $\theta$ in `average += w * (theta - average)`.

    Args:
        decay: That of an exponential moving average, in [0, 1); None for the equal average.
        taken: How many sets of weights have been averaged before.

    Returns:
        1 for the first; then `1 - min(decay, (1 + taken) / (10 + taken))`, or for the equal
        average `1 / (taken + 1)`.
    """
    if taken == 0:
        return 1.0
    if decay is None:
        return 1.0 / (taken + 1)
    return 1.0 - min(decay, (1 + taken) / (10 + taken))


def label(decay: Decay) -> str:
    """Return what an average is called in logs."""
    return "equal" if decay is None else f"{decay:g}"


def decays_of(decay: Any) -> tuple[Decay, ...]:
    """Return the decays that were given, as a tuple.

    Raises:
        TypeError: If one is not a number.
        ValueError: If there is none, one is given twice, or one is not in [0, 1).
    """
    several = isinstance(decay, Sequence) and not isinstance(decay, str)
    decays = tuple(decay) if several else (decay,)
    fix = "Pass 0.999, several such as (0.98, 0.995), or None for the equal average"
    for each in decays:
        if each is not None:
            check_number(OWNER, fix, at_least=0.0, below=1.0, decay=each)
    if not decays or len(set(decays)) < len(decays):
        raise ValueError(complaint(OWNER, "decays must be different ones", fix, decay=decay))
    return tuple(None if each is None else float(each) for each in decays)


@dataclass(frozen=True)
class Timing:
    """When weights are averaged.

    Args:
        start_epochs: Epochs before the average begins.
        start_steps: Updates before the average begins.
        every_steps: Updates from one set of weights to the next.
        every_epochs: Epochs from one set of weights to the next, instead.
    """

    start_epochs: int | None = None
    start_steps: int | None = None
    every_steps: int | None = None
    every_epochs: int | None = None

    def __post_init__(self) -> None:
        starts = {"start_epochs": self.start_epochs, "start_steps": self.start_steps}
        strides = {"every_steps": self.every_steps, "every_epochs": self.every_epochs}
        for given, least in ((starts, 0), (strides, 1)):
            passed = {name: value for name, value in given.items() if value is not None}
            for name, value in passed.items():
                check_integer(
                    OWNER, "Count from the fit's beginning", at_least=least, **{name: value}
                )
            if len(passed) > 1:
                rule = f"only one of {' and '.join(passed)} can be meant"
                raise ValueError(complaint(OWNER, rule, "Leave one of them out", **passed))
        if self.every_epochs is not None and self.start_steps is not None:
            rule, fix = "every_epochs counts from an epoch", "Pass start_epochs, or every_steps"
            received = {"start_steps": self.start_steps, "every_epochs": self.every_epochs}
            raise ValueError(complaint(OWNER, rule, fix, **received))

    def is_due(self, update: int, begin: int) -> bool:
        """Return whether the weights after an update are averaged, where updates are counted.

        Args:
            update: Updates made, this one included.
            begin: Updates made when the average began.
        """
        return update > begin and (update - begin) % (self.every_steps or 1) == 0

    def is_due_after(self, epoch: int) -> bool:
        """Return whether the weights at the end of an epoch are averaged, where epochs are."""
        passed = epoch + 1 - (self.start_epochs or 0)
        return passed > 0 and passed % (self.every_epochs or 1) == 0
