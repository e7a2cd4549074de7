"""One `fit` under a plateau controller: decisions turned into learning rates and weights."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

import keras

from keras_lr._engine.applied_rate import AppliedRate
from keras_lr._engine.checkpoint import WeightCheckpoint
from keras_lr._engine.monitor import metric_direction
from keras_lr._engine.named_optimizers import named_leaves
from keras_lr._keras.models import build_optimizer
from keras_lr._keras.optimizers import leaf_optimizers, updates_made
from keras_lr._keras.variables import DIRECT, VariableAccess
from keras_lr._warnings import warn
from keras_lr.callbacks.cooldown.rates import is_cooling
from keras_lr.callbacks.plateau.controller import PlateauController
from keras_lr.callbacks.plateau.rates import (
    DrivenRate,
    ScalableRate,
    driven_optimizers,
    is_driven,
    scalable_rate,
)
from keras_lr.callbacks.plateau.restore_points import Policy, RestorePoints
from keras_lr.callbacks.plateau.state import OWNER, Decision, PlateauEvent, PlateauState
from keras_lr.errors import complaint


class PlateauRun:
    """The state of one `fit` and the handles on what a decision changes.

    Args:
        model: The model in `fit`.
        monitor: The name of the metric.
        controller: What decides.
        direction: The controller's mode; None to infer it from the metric.
        policy: What else is done.
        find: Returns the optimizers whose learning rates are scaled, by the ending of their names
            in logs. A driver's rates are scaled as one.
        named: Whether the user has named these; else, where a driver drives some, it is those.

    Raises:
        ValueError: If only some of the optimizers are to be scaled, and a driver drives them all,
            or if one has a learning rate that cannot be scaled.

    Attributes:
        monitor: As above; like the next three it may be changed between two evaluations.
        controller: As above.
        direction: As above.
        policy: As above.
        observed: The optimizers whose learning rates are logged, as above.
        leaves: Those of which at least one must make updates.
        named: As above.
        driven: Whether another callback of the fit drives the learning rate.
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
        find: Callable[[], dict[str, Any]],
        *,
        named: bool,
    ) -> None:
        self.driven = is_driven(model)
        self._find, self.named = find, named
        self.events: list[PlateauEvent] = []
        self.epoch = 0
        self._model = model
        self.monitor = monitor
        self.controller = controller
        self.direction = direction
        self.policy = policy
        self._warned = False
        self._left: list[float] = []  # the rates at the last event, as their precision holds them
        self.restore_points = RestorePoints(
            model,
            policy,
            rescues=controller.max_rescues > 0,
            second_chance=1 if monitor.startswith("val_") else 0,
        )
        self._rates: list[ScalableRate] = [DrivenRate(model)] if self.driven else []
        self._take_optimizers()
        self.state: PlateauState = controller.start([rate.read(DIRECT) for rate in self._rates])

    def _take_optimizers(self) -> None:
        driven = driven_optimizers(self._model)
        optimizers = driven if driven and not self.named else self._find()
        self._compiled = vars(self._model).get("optimizer")
        _check_choice(optimizers, driven)
        self._names = [""] if self.driven else list(optimizers)
        if not self.driven:
            self._rates = [scalable_rate(self._model, each) for each in optimizers.values()]
        self.observed = dict(optimizers)
        compiled = leaf_optimizers(self._compiled) if self._compiled is not None else []
        if all(any(each is leaf for leaf in compiled) for each in optimizers.values()):
            self.observed = named_leaves(self._model, None, OWNER)
        self.leaves = [*optimizers.values(), *compiled]  # of these some may have no weights

    def follow(self) -> None:
        """Go over to the optimizer that the model has been compiled with since, if it has.

        Its learning rate is as it is given, as Keras' own callback has it; the count of evaluations
        without improvement goes on.
        """
        if vars(self._model).get("optimizer") is self._compiled:
            return
        build_optimizer(self._model)
        self._take_optimizers()
        for rate in self._rates:
            if isinstance(rate, DrivenRate):
                rate.follow(self._model)
        self._left = []
        if len(self._rates) != len(self.state.rates):
            self.state = replace(self.state, ceilings=None)
        rates = [rate.read(DIRECT) for rate in self._rates]
        self.state = self.state.moved(rates, [rate.start for rate in self._rates])
        self.restore_points.follow()

    @property
    def rescues(self) -> bool:
        """Whether training goes back to a sound state after a NaN."""
        return self.restore_points.rescues

    def applied(self, access: VariableAccess = DIRECT) -> dict[str, float]:
        """Return the learning rates of the next update, by the names they are logged under."""
        return {
            f"learning_rate_{name}" if name else "learning_rate": rate.applied(access)
            for name, rate in zip(self._names, self._rates, strict=True)
        }

    def check_floor(self) -> None:
        """Warn if the learning rate is below its lowest value already."""
        highest = max(self.applied().values())
        lowest = self.controller.min_lr
        if not self.driven and 0 < highest < lowest:
            rule = "min_lr should be below the learning rate, or nothing is ever reduced"
            fix = "Lower min_lr, or use min_scale, which is relative"
            received = {"min_lr": lowest, "learning_rate": highest}
            warn(complaint(OWNER, rule, fix, **received))

    def begin_epoch(self, epoch: int) -> None:
        """Take note that an epoch begins."""
        self.epoch = epoch
        self.restore_points.forget_going_back()
        self.observe()

    def observe(self, access: VariableAccess = DIRECT) -> None:
        """Look at where the schedules are."""
        for rate in self._rates:
            rate.observe(access)

    def begin_step(self, access: VariableAccess) -> None:
        """Take note that a step begins."""
        for rate in self._rates:
            rate.begin_step()
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
        self._find_direction()
        self.observe(access)
        controller, present = self.controller, [rate.read(access) for rate in self._rates]
        if is_cooling(self._model):  # a Cooldown has the rate, and will end the fit
            controller, present = controller.at_rest(), list(self.state.rates)
        else:
            self._watch_for_other_writers(present)
        state = self.state.moved(present, [rate.start for rate in self._rates])
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
            "rates": [rate.get_state() for rate in self._rates],
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
        if len(state["rates"]) != len(self._rates):
            rule = "a state fits only a model with as many optimizers"
            fix = f"Load a state of {len(self._rates)}"
            raise ValueError(complaint(OWNER, rule, fix, optimizers=len(state["rates"])))
        for rate, saved in zip(self._rates, state["rates"], strict=True):
            if set(saved) != set(rate.get_state()):
                rule = "a state of a scheduled learning rate fits only a scheduled one"
                fix = "Give the learning rate as before, or begin without the state"
                raise ValueError(complaint(OWNER, rule, fix, rates=state["rates"]))
        self.state = PlateauState.from_dict(state["controller"])
        self.events = [PlateauEvent(**event) for event in state["events"]]
        for rate, saved, present in zip(self._rates, state["rates"], self.state.rates, strict=True):
            rate.set_state(saved, DIRECT, present)
        self._left = [rate.read(DIRECT) for rate in self._rates] if self.events else []
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
        if self._warned or not self._left:
            return
        for rate, left, found in zip(self._rates, self._left, present, strict=True):
            if rate.is_constant and found != left:
                self._warned = True
                rule = "something else in this fit has set the learning rate after it was reduced"
                fix = "Drive it by LRScheduler, which can be combined with ReduceOnPlateauPlus"
                received = {"reduced_to": left, "learning_rate": found}
                warn(complaint(OWNER, rule, fix, **received))

    def _act(self, decision: Decision, access: VariableAccess) -> None:
        before = max(self.applied(access).values())
        for rate, old, new in zip(self._rates, decision.before, decision.after, strict=True):
            if new != old:
                rate.write(access, new)
        self._left = [rate.read(access) for rate in self._rates]
        event = PlateauEvent(
            epoch=self.epoch,
            step=updates_made(self._model, access),
            action=decision.action,
            metric=decision.metric,
            best=decision.best,
            lr_before=before,
            lr_after=max(self.applied(access).values()),
            reason=decision.reason,
        )
        self.events.append(event)
        self.restore_points.restore_for(event, access)
        if decision.action == "stop":
            self._model.stop_training = True
        self._tell(event, decision)

    def _tell(self, event: PlateauEvent, decision: Decision) -> None:
        if event.action == "stop" and not math.isfinite(event.metric):
            rule = "the metric must become finite again after max_rescues cuts of the learning rate"
            fix = "Training stops at the last sound weights. Begin with a lower learning rate"
            warn(complaint(OWNER, rule, fix, metric=event.metric))
        if not self.policy.verbose:
            return
        head = f"\nEpoch {event.epoch + 1}: {OWNER}"
        if event.action == "stop":
            print(f"{head} stopping: {event.reason}.")
        for name, old, new in zip(self._names, decision.before, decision.after, strict=True):
            if new != old:
                doing = "reducing" if new < old else "raising"
                whose = f"{name} learning rate" if name else "learning rate"
                applied = new if not self.driven else event.lr_after
                print(f"{head} {doing} {whose} to {applied}.")


def _check_choice(chosen: Mapping[str, Any], driven: Mapping[str, Any]) -> None:
    if any(all(leaf is not each for each in chosen.values()) for leaf in driven.values()):
        rule = "optimizers cannot be chosen where another callback drives the learning rate"
        fix = "Leave optimizers out, and all of them are scaled"
        raise ValueError(complaint(OWNER, rule, fix, optimizers=list(chosen)))
    for optimizer in chosen.values():
        rate = AppliedRate(optimizer).schedule
        if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule | None):
            rule = "the optimizer's learning rate must be a number or a schedule"
            fix = "Make a schedule of it, by keras_lr.schedules.FromCallable for example"
            raise ValueError(complaint(OWNER, rule, fix, learning_rate=rate))
