"""`LRScheduler`: any schedule, for the learning rate, the momentum and the weight decay."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from keras_lr._engine.named_optimizers import Wanted
from keras_lr._keras.optimizers import known_leaves
from keras_lr._warnings import warn
from keras_lr.callbacks.schedule.bound import AnySchedule, BoundSchedule, Unit
from keras_lr.callbacks.schedule.driver import ScheduleCallback
from keras_lr.callbacks.schedule.fit import FitInfo
from keras_lr.callbacks.schedule.lengths import length_warning
from keras_lr.callbacks.schedule.signatures import (
    OfEpochAndRate,
    check_schedule,
    takes_rate,
    warn_of_other_unit,
)
from keras_lr.callbacks.schedule.step_driver import DrivenSchedules
from keras_lr.errors import check_choice, complaint
from keras_lr.schedules import Constant, Schedule


class LRScheduler(ScheduleCallback):
    r"""Drive the learning rate through `fit` by a schedule, and log what is applied.

    Update $t$ is made with $\eta_t = s(t)$, where $t$ counts updates from the beginning of epoch 0:
    $t = \lfloor (epoch \cdot steps + batch) / a \rfloor$ with $a$ batches to an update. So a fit
    that goes on with `initial_epoch=k`, in the same process or in a new one, or after
    `BackupAndRestore`, goes on in the schedule, and one that begins at epoch 0 begins it afresh.
    Under `steps_per_execution` each update has its own value: those of an execution are computed
    before it, and the compiled steps take them in turn. A schedule in the optimizer
    (`SGD(learning_rate=schedule)`) is as exact and costs nothing.

    The applied value is in the logs under `learning_rate`, at every batch and epoch, and so in
    `History`, `CSVLogger`, `TensorBoard` and the progress bar. **Without a schedule**,
    `LRScheduler()` only does that: also for an optimizer with a schedule of its own, and for the
    decay of this library's optimizers. With several optimizers there is `learning_rate_<name>` for
    each, and the largest as `learning_rate`.

    A schedule in the optimizer, or a decay, goes by `optimizer.iterations`. Where only weights were
    loaded that is 0, and it begins anew in a fit from `initial_epoch=k`: a warning says so.

    A batch whose update `LossScaleOptimizer` skips, since a gradient overflowed, still counts:
    the schedule ends with the fit. One inside the optimizer waits for the next update.

    When the fit ends, the optimizer has its own learning rate again, and a checkpoint written
    during the fit holds that one, not one from the middle of the schedule.

    TensorFlow and JAX compile momentum and weight decay into the training step as constants. To
    drive these, variables take their place for the fit, and the step is compiled once more.

    Args:
        schedule: What gives the learning rate: one of `keras_lr.schedules`, a Keras schedule, or a
            function of one Python number. A list gives one to each optimizer of a
            `MultiOptimizer`; a single one drives the largest learning rate, and the others keep
            their proportion to it. A dict gives them by name to the optimizers, or to the groups of
            layers of an optimizer that `by_layer` has made: what it does not name keeps its own
            learning rate. None leaves the learning rate alone. A function of two,
            `f(epoch, lr)`, is called as Keras' `LearningRateScheduler` calls it, whatever `unit`
            is: once per epoch, with the learning rate of the epoch before (of the optimizer itself
            in epoch 0).
        unit: What the schedules count: `"step"`, updates; or `"epoch"`, where update $t$ is at
            $t / steps$, a fraction, so that the value changes smoothly within epochs.
        change_every: `"step"`, or `"epoch"` to change values only when an epoch begins.
        momentum: What gives `momentum`, or `beta_1` where the optimizer has that. None leaves it
            alone. Logged as `momentum`.
        weight_decay: What gives `weight_decay`. None leaves it alone. Keras multiplies it by the
            learning rate. Logged as `weight_decay`.
        optimizers: Which optimizers to drive: names of those in a `MultiOptimizer`, names of the
            model's attributes that hold others, as a GAN does, or optimizers. Default: all that the
            model is compiled with.

    Raises:
        TypeError: At construction if a schedule cannot be called with one number.
        ValueError: At construction if `unit` or `change_every` is unknown, or a list is empty. At
            the beginning of
            `fit` if the optimizer has a schedule of its own or a decay, if another callback sets
            the learning rate, if there is no momentum to drive, or if a schedule in epochs meets
            data of unknown length. In `fit` if a value is negative or not finite in float32, one
            that the optimizer's own schedule gives included.

    Warns:
        UserWarning: If a function's parameter is called `epoch` but it is called with the step, or
            the other way round.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import LRScheduler
        >>> from keras_lr import schedules
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
        >>> x = np.ones((32, 4))
        >>> driver = LRScheduler(schedules.Linear(0.1, 0.0, steps=4), unit="epoch")
        >>> history = model.fit(x, x[:, :1], epochs=4, batch_size=8, callbacks=[driver], verbose=0)
        >>> print(np.round(history.history["learning_rate"], 3))  # of the last update in each
        [0.081 0.056 0.031 0.006]

    Reference:
        `keras.callbacks.LearningRateScheduler` is
        `LRScheduler(function, unit="epoch", change_every="epoch")`.
    """

    def __init__(
        self,
        schedule: AnySchedule | Sequence[AnySchedule] | Mapping[str, AnySchedule] | None = None,
        *,
        unit: Unit = "step",
        change_every: Unit = "step",
        momentum: AnySchedule | None = None,
        weight_decay: AnySchedule | None = None,
        optimizers: Wanted = None,
    ) -> None:
        super().__init__(optimizers)
        check_choice("LRScheduler", ("step", "epoch"), unit=unit, change_every=change_every)
        given: list[tuple[str, Any]] = [("momentum", momentum), ("weight_decay", weight_decay)]
        given = [(name, each) for name, each in given if each is not None]
        if isinstance(schedule, Sequence | Mapping) and not isinstance(schedule, str):
            if not schedule:
                rule, fix = "there must be a schedule for each optimizer", "Pass one for each"
                raise ValueError(complaint("LRScheduler", rule, fix, schedule=schedule))
            # None would be the only optimizer left alone.
            rates = list(schedule.values() if isinstance(schedule, Mapping) else schedule)
        else:
            rates = [] if schedule is None else [schedule]
        given += [("schedule", each) for each in rates if not takes_rate(each)]
        for name, each in given:
            check_schedule("LRScheduler", name, each)
            warn_of_other_unit("LRScheduler", name, each, unit)
        self._schedule = schedule
        self._unit, self._change_every = unit, change_every
        self._momentum, self._weight_decay = momentum, weight_decay

    def plan(self, run: FitInfo) -> DrivenSchedules:
        """Return the readings of all schedules."""
        schedule = self._schedule
        if isinstance(schedule, Mapping):
            rates: Any = self._by_name(run, schedule)
        elif isinstance(schedule, Sequence):
            own = itertools.chain(run.learning_rates, itertools.repeat(0.0))
            rates = [self._rates(run, *each) for each in zip(schedule, own, strict=False)]
        else:
            rates = self._rates(run, schedule, max(run.learning_rates))
        return DrivenSchedules(
            learning_rate=rates,
            momentum=self._reading(run, "momentum", self._momentum),
            weight_decay=self._reading(run, "weight_decay", self._weight_decay),
        )

    def _chosen(self, model: Any) -> Sequence[Any] | None:
        """Return which optimizers of a model to drive; None for all it is compiled with."""
        chosen = super()._chosen(model)
        if chosen is not None or not isinstance(self._schedule, Mapping):
            return chosen
        if getattr(model, "optimizer", None) is None or len(known_leaves(model, self.owner)) > 1:
            return list(self._schedule)
        return None

    def _by_name(self, run: FitInfo, schedules: Mapping[str, Any]) -> Any:
        """Return the readings by group, or those of several optimizers in their order.

        Raises:
            ValueError: If a name is of no group and no optimizer.
        """
        known = tuple(run.group_rates) or run.optimizers
        strange = [name for name in schedules if name not in known]
        if strange:
            rule = "schedules by name need an optimizer with groups, or several optimizers"
            fix = "Make groups by by_layer, or pass a single schedule"
            if any(known):
                rule = f"names must be some of {', '.join(map(repr, known))}"
                fix = "Pass these names"
            raise ValueError(complaint(self.owner, rule, fix, schedule=strange))
        if not run.group_rates:
            own = dict(zip(run.optimizers, run.learning_rates, strict=True))
            return [self._rates(run, schedules[name], own[name]) for name in run.optimizers]
        return {
            name: self._rates(run, schedules.get(name, Constant(own)), own)
            for name, own in run.group_rates.items()
        }

    def _rates(self, run: FitInfo, schedule: Any, own: float) -> BoundSchedule | None:
        if takes_rate(schedule):
            return BoundSchedule(run, "schedule", OfEpochAndRate(schedule, own), "epoch", "epoch")
        return self._reading(run, "schedule", schedule)

    def _reading(
        self, run: FitInfo, name: str, schedule: AnySchedule | None
    ) -> BoundSchedule | None:
        if schedule is None:
            return None
        if isinstance(schedule, Schedule):
            length = run.updates if self._unit == "step" else run.epochs
            doubt = length_warning(name, schedule, length, self._unit, may_go_on=run.may_be_part)
            if doubt is not None:
                other = "epoch" if self._unit == "step" else "step"
                fix = f'If it is meant in {other}s, pass unit="{other}"'
                message = complaint("LRScheduler", doubt, fix, **{name: schedule})
                warn(message)
        return BoundSchedule(run, name, schedule, self._unit, self._change_every)
