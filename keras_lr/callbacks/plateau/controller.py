"""Plateau control as a pure function: state and a metric in, new state and a decision out.

NumPy and the standard library only: it serves any training loop, with or without Keras.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from statistics import fmean, median
from typing import Self

import numpy as np

from keras_lr.callbacks.plateau.parameters import PlateauParameters
from keras_lr.callbacks.plateau.state import Action, Decision, PlateauState


@dataclass(frozen=True)
class PlateauController(PlateauParameters):
    """Decides from one metric at a time whether to lower, raise or restart a learning rate.

    A value `v` improves on the best value `b` so far if

        v + margin < b   (mode "min"),    v - margin > b   (mode "max"),

    where `margin` is `min_delta`, or `min_delta * abs(b)` for `threshold_mode="rel"`. After
    `patience` evaluations in a row without improvement

        rate = max(factor * rate, min_lr, min_scale * start).

    Evaluations in cooldown are not counted, as in Keras, where a cooldown of `c` skips `c - 1`
    of them. So torch's, timm's and optax' `cooldown=c` is `c + 1` here, and torch's and timm's
    `patience=p`, which waits for one evaluation more, is `p + 1`.

    Args:
        **parameters: Those of `PlateauParameters`.

    Raises:
        TypeError: If one is not of the kind asked for.
        ValueError: If one is out of bounds, or needs another one that is missing.

    Example:
        >>> controller = PlateauController(factor=0.5, patience=2)
        >>> state = controller.start(0.1)
        >>> for loss in [1.0, 0.8, 0.9, 0.85]:
        ...     state, decision = controller.update(state, loss)
        >>> decision.action, state.rates
        ('reduce', (0.05,))

    Reference:
        `keras.callbacks.ReduceLROnPlateau`, whose learning rates it gives for the arguments both
        have; torch's `ReduceLROnPlateau`, optax' `reduce_on_plateau`; for increases and resets
        GreedyLR, arXiv:2512.14527.
    """

    def start(self, learning_rates: float | Sequence[float] = 1.0) -> PlateauState:
        """Return the state before the first evaluation.

        Args:
            learning_rates: The rate to begin with, or one per optimizer. Left at 1.0, the
                state's rate is a scale to multiply a learning rate by.

        Returns:
            A fresh state.
        """
        if not isinstance(learning_rates, Sequence):
            learning_rates = (learning_rates,)
        rates = tuple(map(float, learning_rates))
        return PlateauState(rates=rates, starts=rates)

    def at_rest(self) -> Self:
        """Return a controller that judges and rescues as this one does, but changes no rate."""
        forever = 10**12
        return replace(self, patience=forever, stop_after=None, restart=False)

    def update(self, state: PlateauState, metric: float) -> tuple[PlateauState, Decision]:
        """Judge one evaluation.

        Args:
            state: The state after the evaluation before.
            metric: The metric's value.

        Returns:
            The new state, and what was decided.
        """
        metric = float(metric)
        before = state
        state = replace(state, evaluations=state.evaluations + 1)
        if self.max_rescues and not math.isfinite(metric):
            action, reason, state = self._rescue(state, metric)
            return state, _decision(action, reason, metric, metric, before, state)
        if state.evaluations <= self.start_after:
            return state, _decision("keep", "", metric, metric, before, state)

        memory, value = self._smooth(state.memory, metric)
        improved = self._improves(value, state.best, self.min_delta)
        record = math.isfinite(metric) and self._improves(metric, state.record, 0.0)
        state = replace(
            state,
            memory=memory,
            best=value if improved else state.best,
            record=metric if record else state.record,
            cooldown=max(state.cooldown - 1, 0),
        )
        paused = state.cooldown > 0
        still = 0 if improved or before.cooldown else state.wait
        state = replace(
            state,
            wait=still if improved or paused else still + 1,
            streak=state.streak + 1 if improved and not paused else 0,
        )
        action, reason = "keep", ""
        if not paused:
            action, reason, state = self._rise(state) if improved else self._fall(state)
        decision = _decision(action, reason, metric, value, before, state)
        return state, replace(decision, improved=improved, record=record)

    def _smooth(self, memory: tuple[float, ...], metric: float) -> tuple[tuple[float, ...], float]:
        """Feed smoothing; a value that is not finite is judged raw and not remembered."""
        if self.smoothing is None or not math.isfinite(metric):
            return memory, metric
        if not isinstance(self.smoothing, Integral):
            total, weight = memory or (0.0, 0.0)
            total = self.smoothing * total + (1 - self.smoothing) * metric
            weight = self.smoothing * weight + (1 - self.smoothing)
            return (total, weight), total / weight
        memory = (*memory, metric)[-self.smoothing :]
        return memory, median(memory) if self.window_average == "median" else fmean(memory)

    def _improves(self, value: float, best: float | None, min_delta: float) -> bool:
        if best is None:
            return True
        margin = min_delta * abs(best) if self.threshold_mode == "rel" else min_delta
        if self.mode == "min":
            return _below(value + margin, best)
        return _below(best, value - margin)

    def _fall(self, state: PlateauState) -> tuple[Action, str, PlateauState]:
        """After an evaluation without improvement: reduce, restart, stop or wait."""
        limit = self.max_reductions
        rates = self._lowered(state)
        exhausted = rates == state.rates or (limit is not None and state.reductions >= limit)
        due = state.wait >= self.patience
        if due and not exhausted:
            changed = replace(state, rates=rates, reductions=state.reductions + 1)
            return "reduce", f"no improvement in {state.wait}", self._pause(changed)
        if due and self.restart:
            return "restart", "nothing left to reduce", self._restarted(state)
        if exhausted and self.stop_after is not None and state.wait >= self.stop_after:
            return "stop", "nothing left to reduce", state
        return "keep", "", state

    def _rise(self, state: PlateauState) -> tuple[Action, str, PlateauState]:
        """After an improvement: increase or go on."""
        if self.increase_factor is None or state.streak < max(self.patience, 1):
            return "keep", "", state
        rates = tuple(
            max(rate, min(rate * self.increase_factor, ceiling))
            for rate, ceiling in zip(state.rates, self._ceilings(state), strict=True)
        )
        changed = any(new - old > self.eps for new, old in zip(rates, state.rates, strict=True))
        if not changed:
            return "keep", "", replace(state, streak=0)
        reason = f"{state.streak} improvements in a row"
        return "increase", reason, self._pause(replace(state, rates=rates))

    def _rescue(self, state: PlateauState, metric: float) -> tuple[Action, str, PlateauState]:
        if state.rescues >= self.max_rescues:
            return "stop", f"the metric is {metric} after {state.rescues} rescues", state
        rates = self._lowered(state)
        rescued = replace(state, rates=rates, ceilings=rates, rescues=state.rescues + 1)
        return "rescue", f"the metric is {metric}", self._pause(rescued)

    def _restarted(self, state: PlateauState) -> PlateauState:
        decay = self.restart_decay ** (state.restarts + 1)
        ceilings = state.ceilings or (math.inf,) * len(state.rates)
        peaks = map(min, [start * decay for start in state.starts], ceilings)
        fresh = replace(
            state,
            rates=tuple(map(max, peaks, state.rates)),
            restarts=state.restarts + 1,
            reductions=0,
            best=None,
            record=None,
            memory=(),
        )
        return self._pause(fresh)

    def _pause(self, state: PlateauState) -> PlateauState:
        return replace(state, wait=0, streak=0, cooldown=self.cooldown)

    def _lowered(self, state: PlateauState) -> tuple[float, ...]:
        """Return the rates after one more reduction; those at their floor stay."""
        factors = self.factor if isinstance(self.factor, Sequence) else (self.factor,)
        factor = factors[min(state.reductions, len(factors) - 1)]
        lowered = []
        for rate, start in zip(state.rates, state.starts, strict=True):
            floor = max(self.min_lr, self.min_scale * start)
            new = max(rate * factor, floor)
            lowered.append(new if _below(floor, rate) and rate - new > self.eps else rate)
        return tuple(lowered)

    def _ceilings(self, state: PlateauState) -> tuple[float, ...]:
        highest = math.inf if self.max_lr is None else self.max_lr
        ceilings = state.ceilings or (math.inf,) * len(state.rates)
        return tuple(min(highest, ceiling) for ceiling in ceilings)


def _below(left: float, right: float) -> bool:
    """Compare in float32, the precision of metrics and learning rates, exactly as Keras does."""
    with np.errstate(over="ignore"):
        return bool(np.float32(left) < np.float32(right))


def _decision(
    action: Action,
    reason: str,
    metric: float,
    value: float,
    before: PlateauState,
    after: PlateauState,
) -> Decision:
    return Decision(
        action=action,
        reason=reason,
        metric=metric,
        value=value,
        best=before.best,
        improved=False,
        record=False,
        before=before.rates,
        after=after.rates,
    )
