"""Weights that a plateau restores: the best so far, or those the fit began with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_lr._engine.averages.in_use import average_in_use
from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._keras.variables import DIRECT, VariableAccess
from keras_lr._keras.workers import agreed
from keras_lr.callbacks.plateau.state import PlateauEvent

JUDGED = "judged"  # the state at the first step of an evaluation, which may span two epochs
OF_ALL = "of_all"
_GOING_BACK = ("reduce", "stop")
_DIVERGED = 3.0  # times the first loss above it: four times as high, where a range test stops too


@dataclass(frozen=True)
class Policy:
    """What is done beside changing the learning rate.

    Attributes:
        restore_weights: Whether a reduction goes back to the best weights.
        restore_optimizer: Whether the optimizer's variables then go back too.
        verbose: Whether to print each event.
    """

    restore_weights: bool
    restore_optimizer: bool
    verbose: bool


class RestorePoints:
    """The states one `fit` can go back to, and which of them is to be trusted.

    Args:
        model: The model in `fit`.
        policy: When to go back where nothing is broken.
        rescues: Whether to go back when a metric is not finite.
        second_chance: How many rescues in a row the best state is given beyond the first.

    Attributes:
        states: What there is to go back to: `"best"`, for rescues `"start"`, and what may become
            the best: `JUDGED`. `OF_ALL` is the best of all, where a restart has made `"best"` the
            best since then.
        rescues: As above.
        average: The average of the weights that evaluation uses in this fit, if it uses one.
    """

    def __init__(self, model: Any, policy: Policy, *, rescues: bool, second_chance: int) -> None:
        self.average = average_in_use(model)
        self.states: dict[str, WeightCheckpoint] = {}
        self.rescues = rescues
        self._model, self._policy = model, policy
        self._second_chance = second_chance
        self._failures = 0  # rescues since the best state was found
        self._start_loss: float | None = None
        self._best_loss: float | None = None
        self._best_of_all: float | None = None
        self._went_back: str | None = None
        self._stopped_at: str | None = None
        self._metrics_broken = False
        self._broken: list[tuple[Any, np.ndarray]] = []
        self._empty: list[tuple[Any, np.ndarray]] | None = None

    @property
    def keeps_best(self) -> bool:
        """Whether there may be a need to go back to the best state."""
        return self._policy.restore_weights or self.rescues

    def begin_step(self, access: VariableAccess) -> None:
        """Keep the state the fit begins with; start running means afresh after a rescue."""
        if self.rescues and self._empty is None:  # Keras has just emptied them, for the first epoch
            self._empty = self._metrics(access)
        self._broken = []
        if self._metrics_broken:
            # A mean that has met a NaN would stay one until the epoch ends. It is emptied only now:
            # were this the end of the epoch, an empty mean would be logged as a loss of 0.
            self._broken = self._metrics(access)
            for variable, value in self._empty or ():
                access.write(variable, value)
            self._metrics_broken = False
        if self.rescues and "start" not in self.states:
            self.states["start"] = self.take(access)

    def take_back_step(self, access: VariableAccess) -> None:
        """Undo `begin_step`: the epoch was at its end already."""
        for variable, value in self._broken:
            access.write(variable, value)
        self._metrics_broken = bool(self._broken)

    def _metrics(self, access: VariableAccess) -> list[tuple[Any, np.ndarray]]:
        return [(each, access.read(each)) for each in self._model.metrics_variables]

    @property
    def awaits_start_loss(self) -> bool:
        """Whether the loss of the state the fit began with is still to be told."""
        return self.rescues and self._start_loss is None

    def score_start(self, loss: float) -> None:
        """Take the loss of the first batch, before any update, as that of the starting state."""
        self._start_loss = agreed(loss)

    def take(self, access: VariableAccess) -> WeightCheckpoint:
        """Return a copy of the present state."""
        return WeightCheckpoint.take(self._model, access, self.average)

    def follow(self) -> None:
        """Take note that the model has another optimizer, which goes back to where it is now."""
        for name, state in self.states.items():
            self.states[name] = state.beside_optimizer_of(self._model)
        present = {id(variable) for variable in self._model.metrics_variables}
        if any(id(variable) not in present for variable, _ in self._empty or ()):
            self._empty, self._broken, self._metrics_broken = None, [], False

    def keep_best(self, state: WeightCheckpoint, loss: float | None) -> bool:
        """Keep a state as the best so far, unless it is broken: a metric is older than the weights.

        Args:
            state: The state.
            loss: The training loss that was reported with it, if any.

        Returns:
            Whether it was kept.
        """
        earlier = self.states.get("start") or self.states.get("best")
        if earlier is not None and not state.is_sound_beside(earlier):
            return False
        self.states["best"], self._best_loss = state, loss
        self._failures = 0
        return True

    def keep_best_of_all(self, height: float) -> None:
        """Keep the best state since the last restart, if it is the best of the whole fit.

        Args:
            height: The metric it was measured by; the higher, the better.
        """
        if self._best_of_all is None or height > self._best_of_all:
            self._best_of_all = height
            self.states[OF_ALL] = self.states["best"]

    def leave_best(self) -> None:
        """Leave in the model, at the end of the fit, what evaluated best.

        If training was stopped because it broke, that is the state it then went back to. Keras has
        overwritten the weights since, where the optimizer keeps an average.
        """
        best = OF_ALL if OF_ALL in self.states else "best"
        target = self._stopped_at or (best if self._policy.restore_weights else "")
        if target in self.states:
            optimizer = self._policy.restore_optimizer
            self.states[target].restore_evaluated(self._model, optimizer=optimizer)

    def restore_for(self, event: PlateauEvent, access: VariableAccess) -> None:
        """Go back, if what happened asks for it."""
        target = self._target(event)
        if target in self.states:
            self._go_back(target, event, access)
            self._went_back = target if access is DIRECT else None
            if event.action == "stop" and self._is_broken(event):
                self._stopped_at = target

    def forget_going_back(self) -> None:
        """Take note that an epoch begins: what is saved from now on comes after going back."""
        self._went_back = None

    def get_state(self) -> dict[str, Any]:
        """Return everything but the weights, as plain values."""
        return {
            "went_back": self._went_back,
            "failures": self._failures,
            "start_loss": self._start_loss,
            "best_loss": self._best_loss,
            "best_of_all": self._best_of_all,
        }

    def set_state(
        self,
        state: Mapping[str, Any],
        weights: Mapping[str, WeightCheckpoint],
        last: PlateauEvent | None,
    ) -> None:
        """Go on from `get_state()`, between two epochs.

        Args:
            state: What `get_state` returned.
            weights: What there was to go back to, as far as it is known. What does not fit the
                model is left out.
            last: The last event.
        """
        fitting = {name: one for name, one in weights.items() if one.fits(self._model)}
        self.states = fitting  # without those of another model, or of another optimizer
        self._failures = state["failures"]
        self._best_loss = state["best_loss"]
        self._best_of_all = state.get("best_of_all") if OF_ALL in self.states else None
        self._start_loss = state["start_loss"] if "start" in self.states else None
        if last is not None and state["went_back"] in self.states:
            # Keras' backup may hold the weights from before going back.
            self._go_back(state["went_back"], last, DIRECT)

    def _target(self, event: PlateauEvent) -> str:
        """Return which state to go back to, if any.

        A training loss that makes an epoch the best is older than the weights the epoch ends with,
        and these may be broken already. If going back to them did not help, or their loss was one
        that had diverged from the first batch's, the starting weights are the ones that are known
        to work. Validation is believed once more than training.
        """
        if self._is_broken(event):
            helpless = event.action != "stop" and self._failures > self._second_chance
            self._failures += 1
            return "start" if helpless or self._has_diverged() else "best"
        return "best" if self._policy.restore_weights and event.action in _GOING_BACK else ""

    def _is_broken(self, event: PlateauEvent) -> bool:
        return self.rescues and not math.isfinite(event.metric)

    def _has_diverged(self) -> bool:
        """Return whether even the best state is one that training had blown up by then."""
        if "best" not in self.states:
            return True
        if self._start_loss is None or self._best_loss is None:
            return False
        return self._best_loss > self._start_loss + _DIVERGED * abs(self._start_loss)

    def _go_back(self, target: str, event: PlateauEvent, access: VariableAccess) -> None:
        broken = not math.isfinite(event.metric)
        optimizer = self._policy.restore_optimizer or broken
        state = self.states[target]
        state.restore(self._model, access, optimizer=optimizer, average=self.average)
        self._metrics_broken = broken and access is not DIRECT
