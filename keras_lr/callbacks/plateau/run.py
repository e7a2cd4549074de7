"""One `fit` under a plateau controller: decisions turned into learning rates and weights."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._engine.monitor import metric_direction
from keras_lr._keras.optimizers import updates_made
from keras_lr._keras.variables import DIRECT, VariableAccess
from keras_lr._keras.workers import agreed
from keras_lr._warnings import warn
from keras_lr.callbacks.cooldown.rates import is_cooling
from keras_lr.callbacks.plateau.controller import PlateauController
from keras_lr.callbacks.plateau.restore_points import Policy, RestorePoints
from keras_lr.callbacks.plateau.scaled_rates import ScaledRates
from keras_lr.callbacks.plateau.state import OWNER, Decision, PlateauEvent, PlateauState
from keras_lr.errors import complaint


class PlateauRun:
    """The state of a controller in one `fit`, and the things that its decisions change.

    Args:
        model: The model in `fit`.
        monitor: The name of the metric.
        controller: What decides.
        direction: The controller's mode; None to infer it from the metric.
        policy: What else is done.
        rates: The learning rates.

    Attributes:
        monitor: As above; like the next three it may be changed between two evaluations.
        controller: As above.
        direction: As above.
        policy: As above.
        state: The controller's state.
        events: What happened, in order.
        epoch: The present epoch, counted from 0.
        restore_points: What there is to go back to.
    """

    def __init__(
        self,
        model: Any,
        monitor: str,
        controller: PlateauController,
        direction: Literal["min", "max"] | None,
        policy: Policy,
        rates: ScaledRates,
    ) -> None:
        self.rates = rates
        self.events: list[PlateauEvent] = []
        self.epoch = 0
        self._model = model
        self.monitor = monitor
        self.controller = controller
        self.direction = direction
        self.policy = policy
        self._warned = False
        self.restore_points = RestorePoints(
            model,
            policy,
            rescues=controller.max_rescues > 0,
            second_chance=1 if monitor.startswith("val_") else 0,
        )
        self.state: PlateauState = controller.start(rates.read())

    def follow(self) -> None:
        """Go over to the optimizer that the model has been compiled with since, if it has.

        Its learning rate is as it is given, as Keras' own callback has it; the count of evaluations
        without improvement goes on.
        """
        if not self.rates.follow():
            return
        present = self.rates.read()
        if len(present) != len(self.state.rates):
            self.state = replace(self.state, ceilings=None)
        self.state = self.state.moved(present, self.rates.starts)
        self.restore_points.follow()

    @property
    def rescues(self) -> bool:
        """Whether training goes back to a sound state after a NaN."""
        return self.restore_points.rescues

    def check_floor(self) -> None:
        """Warn if the learning rate is below its lowest value already."""
        highest = max(self.rates.applied().values())
        lowest = self.controller.min_lr
        if not self.rates.driven and 0 < highest < lowest:
            rule = "min_lr should be below the learning rate, or nothing is ever reduced"
            fix = "Lower min_lr, or use min_scale, which is relative"
            received = {"min_lr": lowest, "learning_rate": highest}
            warn(complaint(OWNER, rule, fix, **received))

    def begin_epoch(self, epoch: int) -> None:
        """Take note that an epoch begins."""
        self.epoch = epoch
        self.restore_points.forget_going_back()
        self.rates.observe()

    def begin_step(self, access: VariableAccess) -> None:
        """Take note that a step begins."""
        self.rates.begin_step()
        self.restore_points.begin_step(access)

    def evaluate(
        self,
        metric: float,
        access: VariableAccess = DIRECT,
        weights: WeightCheckpoint | None = None,
        loss: float | None = None,
    ) -> Decision:
        """Judge one value of the metric and do what is decided.

        Args:
            metric: The value.
            access: How to reach the variables now.
            weights: What the value was measured at; None for the present ones.
            loss: The training loss reported with it, if any.

        Returns:
            The decision.
        """
        metric, loss = agreed(metric), None if loss is None else agreed(loss)
        self._find_direction()
        self.rates.observe(access)
        controller, present = self.controller, self.rates.read(access)
        if is_cooling(self._model):  # a Cooldown has the rate, and will end the fit
            controller, present = controller.at_rest(), list(self.state.rates)
        else:
            self._watch_for_other_writers(present)
        state = self.state.moved(present, self.rates.starts)
        self.state, decision = controller.update(state, metric)
        if decision.record and self.restore_points.keeps_best:
            judged = weights or self.restore_points.take(access)
            if self.restore_points.keep_best(judged, loss):
                if self.controller.restart:
                    sign = 1.0 if self.controller.mode == "max" else -1.0
                    self.restore_points.keep_best_of_all(sign * metric)
            else:
                self.state = replace(self.state, record=state.record)
                if self.rescues:
                    self.state, decision = controller.update(state, math.nan)
                    decision = replace(decision, reason="the weights are not finite any more")
        if decision.action != "keep":
            self._act(decision, access)
        return decision

    def get_state(self) -> dict[str, Any]:
        """Return everything but the best weights, as plain values."""
        return {
            "controller": self.state.to_dict(),
            "rates": self.rates.get_state(),
            "events": [asdict(event) for event in self.events],
            **self.restore_points.get_state(),
        }

    def set_state(self, state: dict[str, Any], weights: dict[str, WeightCheckpoint]) -> None:
        """Go on from `get_state()`, between two epochs.

        Args:
            state: What `get_state` returned.
            weights: What there was to go back to, as far as it is known.

        Raises:
            ValueError: If the state is that of another number of optimizers, or of learning rates
                that were given in another way.
        """
        self.rates.check_state(state["rates"])
        self.state = PlateauState.from_dict(state["controller"])
        self.events = [PlateauEvent(**event) for event in state["events"]]
        self.rates.set_state(state["rates"], self.state.rates, written=bool(self.events))
        points = self.restore_points
        points.set_state(state, weights, self.events[-1] if self.events else None)
        if points.keeps_best and "best" not in points.states:
            self.state = replace(self.state, record=None)  # the best from now on is kept

    def _find_direction(self) -> None:
        """Infer from the metric which way is better, which cannot be done before it is built."""
        if self.direction is None:
            self.direction = metric_direction(self._model, self.monitor)
        if self.direction is None:
            rule = "the direction of this metric is not known"
            fix = 'Pass mode="min" or mode="max"'
            raise ValueError(complaint(OWNER, rule, fix, monitor=self.monitor, mode="auto"))
        if self.controller.mode != self.direction:
            self.controller = replace(self.controller, mode=self.direction)

    def _watch_for_other_writers(self, present: list[float]) -> None:
        """Warn, once, if a learning rate that has been changed here was set by something else."""
        found = None if self._warned else self.rates.overwritten(present)
        if found is not None:
            self._warned = True
            rule = "something else in this fit has set the learning rate after it was reduced"
            fix = "Drive it by LRScheduler, which can be combined with ReduceOnPlateauPlus"
            received = {"reduced_to": found[0], "learning_rate": found[1]}
            warn(complaint(OWNER, rule, fix, **received))

    def _act(self, decision: Decision, access: VariableAccess) -> None:
        before = max(self.rates.applied(access).values())
        self.rates.write(decision.before, decision.after, access)
        applied = self.rates.applied(access)
        event = PlateauEvent(
            epoch=self.epoch,
            step=updates_made(self._model, access),
            action=decision.action,
            metric=decision.metric,
            best=decision.best,
            lr_before=before,
            lr_after=max(applied.values()),
            reason=decision.reason,
        )
        self.events.append(event)
        self.restore_points.restore_for(event, access)
        if decision.action == "stop":
            self._model.stop_training = True
        told = list(applied.values()) if self.rates.driven else list(decision.after)
        self._tell(event, decision, dict(zip(applied, told, strict=True)))

    def _tell(self, event: PlateauEvent, decision: Decision, rates: Mapping[str, float]) -> None:
        if event.action == "stop" and not math.isfinite(event.metric):
            rule = "the metric must become finite again after max_rescues cuts of the learning rate"
            fix = "Training stops at the last sound weights. Begin with a lower learning rate"
            warn(complaint(OWNER, rule, fix, metric=event.metric))
        if not self.policy.verbose:
            return
        head = f"\nEpoch {event.epoch + 1}: {OWNER}"
        if event.action == "stop":
            print(f"{head} stopping: {event.reason}.")
        for name, old, new in zip(rates, decision.before, decision.after, strict=True):
            if new != old:
                doing = "reducing" if new < old else "raising"
                whose = f"{name} learning rate" if name else "learning rate"
                print(f"{head} {doing} {whose} to {rates[name]}.")
