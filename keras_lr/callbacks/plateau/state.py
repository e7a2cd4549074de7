"""State, decisions and events of a plateau controller, as plain values."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

OWNER = "ReduceOnPlateauPlus"  # the public name, for messages

Action = Literal["keep", "reduce", "increase", "restart", "rescue", "stop"]


@dataclass(frozen=True)
class PlateauState:
    """Everything a `PlateauController` remembers between two evaluations.

    Attributes:
        rates: The present learning rates, one per optimizer.
        starts: The learning rates that relative bounds and restarts refer to, one per optimizer.
        best: The best judged value since the last restart; None before the first.
        record: The best raw value since the last restart; None before the first.
        wait: Evaluations without improvement.
        streak: Improvements in a row.
        cooldown: What is left of the cooldown.
        reductions: Reductions since the last restart.
        restarts: Restarts so far.
        rescues: Rescues so far.
        evaluations: Evaluations so far.
        memory: What smoothing remembers: the window, or an average and its weight.
        ceilings: The highest learning rates allowed since one of them diverged; None before.
    """

    rates: tuple[float, ...]
    starts: tuple[float, ...]
    best: float | None = None
    record: float | None = None
    wait: int = 0
    streak: int = 0
    cooldown: int = 0
    reductions: int = 0
    restarts: int = 0
    rescues: int = 0
    evaluations: int = 0
    memory: tuple[float, ...] = ()
    ceilings: tuple[float, ...] | None = None

    def moved(self, rates: Iterable[float], starts: Iterable[float] | None = None) -> Self:
        """Return the state with other learning rates, as something else has set them."""
        return replace(
            self,
            rates=tuple(rates),
            starts=self.starts if starts is None else tuple(starts),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and lists, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a state from `to_dict`, also after a trip through JSON."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in state.items()
            if name in known
        }
        return cls(**values)


@dataclass(frozen=True)
class Decision:
    """What one evaluation led to.

    Attributes:
        action: `"keep"`, `"reduce"`, `"increase"`, `"restart"`, `"rescue"` or `"stop"`.
        reason: Why, in a few words; empty for `"keep"`.
        metric: The value that came in.
        value: The value that was judged: the smoothed one, if smoothing is on.
        best: The best judged value before this one; None at the first.
        improved: Whether the judged value is an improvement.
        record: Whether the raw value is the best one since the last restart.
        before: The learning rates before, one per optimizer.
        after: The learning rates from now on, one per optimizer.
    """

    action: Action
    reason: str
    metric: float
    value: float
    best: float | None
    improved: bool
    record: bool
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True)
class PlateauEvent:
    """Something a plateau callback did.

    Attributes:
        epoch: The epoch in or after which it happened, counted from 0.
        step: Updates the optimizer had then made in its life.
        action: `"reduce"`, `"increase"`, `"restart"`, `"rescue"` or `"stop"`.
        metric: The monitored value.
        best: The best judged value before; None if there was none.
        lr_before: The learning rate before, the largest one if there are several.
        lr_after: The learning rate from then on, the largest one if there are several.
        reason: Why, in a few words.
    """

    epoch: int
    step: int
    action: Action
    metric: float
    best: float | None
    lr_before: float
    lr_after: float
    reason: str
