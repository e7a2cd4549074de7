"""`OneCycle` and `CyclicLR`: learning rates that go up before they come down."""

from typing import Any, Literal

from keras_lr._engine.named_optimizers import Wanted
from keras_lr._warnings import warn
from keras_lr.callbacks.schedule.bound import BoundSchedule
from keras_lr.callbacks.schedule.driver import ScheduleCallback
from keras_lr.callbacks.schedule.fit import FitInfo
from keras_lr.callbacks.schedule.lengths import length_warning
from keras_lr.callbacks.schedule.step_driver import DrivenSchedules
from keras_lr.errors import check_integer, check_number, complaining_as, complaint
from keras_lr.schedules import OneCycle as OneCycleSchedule
from keras_lr.schedules import Triangular

_MOMENTUM = (0.85, 0.95)


class OneCycle(ScheduleCallback):
    """Up to a high learning rate, down to almost nothing, over the whole fit; momentum against it.

    The curve is that of `schedules.OneCycle`: from `max_lr / div_factor` up to `max_lr`, and down
    to `max_lr / div_factor / final_div_factor` at the last update. Momentum, or `beta_1`, falls
    while the learning rate rises and rises while it falls. FitPosition, logs and checkpoints are
    those of `LRScheduler`; its length is that of the fit, so a fit that goes on with
    `initial_epoch` must have the same `epochs`: with others the cycle is planned anew, and a
    warning says how far the learning rate jumps. A loop of fits needs `steps`.

    Args:
        max_lr: The top. The range test finds it.
        steps: Length in updates. Default: the whole fit.
        warmup_fraction: Part of the run that goes up, between 0 and 1 (1/2 with three phases).
        div_factor: How much lower the first value is than the top, at least 1.
        final_div_factor: How much lower the last value is than the first, at least 1.
        curve: `"cosine"` or `"linear"`.
        three_phase: Whether to come down to the first value before falling to the last.
        momentum: The low and the high momentum; or None to leave it alone. To drive it, the
            training step is compiled once more. The default, `"auto"`, is (0.85, 0.95) for every
            optimizer that was made with a momentum, or a `beta_1`. Where none was, the learning
            rate alone is cycled, and a line says so.
        optimizers: Which optimizers to drive: names of those in a `MultiOptimizer`, names of the
            model's attributes that hold others, as a GAN does, or optimizers. Default: all that the
            model is compiled with.

    Raises:
        ValueError: At construction if an argument is out of its range. In `fit` if the optimizer
            has no momentum and two values are given for it, if data of unknown length meets no
            `steps`, if a cycle as long as the fit is to go on after its end, and as `LRScheduler`.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import OneCycle
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
        >>> x = np.ones((40, 4))
        >>> cycle = OneCycle(max_lr=0.1)
        >>> history = model.fit(x, x[:, :1], batch_size=8, epochs=4, callbacks=[cycle], verbose=0)
        >>> print(np.round(history.history["learning_rate"], 4))
        [0.0908 0.0812 0.0283 0.    ]
        >>> print(np.round(history.history["momentum"], 3))
        [0.86  0.869 0.922 0.95 ]

    Reference:
        Smith 2018, arXiv 1803.09820; values and defaults as `torch.optim.lr_scheduler.OneCycleLR`.
    """

    def __init__(
        self,
        max_lr: float,
        *,
        steps: int | None = None,
        warmup_fraction: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        curve: str = "cosine",
        three_phase: bool = False,
        momentum: tuple[float, float] | Literal["auto"] | None = "auto",
        optimizers: Wanted = None,
    ) -> None:
        super().__init__(optimizers)
        self._shape: dict[str, Any] = {
            "max_lr": max_lr,
            "warmup_fraction": warmup_fraction,
            "div_factor": div_factor,
            "final_div_factor": final_div_factor,
            "curve": curve,
            "three_phase": three_phase,
        }
        if steps is not None:
            check_integer("OneCycle", "Pass a number of updates", at_least=2, steps=steps)
        # What is wrong whatever the fit: the schedule's own checks find it.
        OneCycleSchedule(steps=10**9 if steps is None else steps, **self._shape)
        self._spares = isinstance(momentum, str) and momentum == "auto"
        if self._spares:
            momentum = _MOMENTUM
        if momentum is not None:
            _check_momentum("OneCycle", momentum)
        self._steps = steps
        self._momentum = momentum

    def plan(self, run: FitInfo) -> DrivenSchedules:
        """Return the readings of the learning rate and the momentum."""
        steps = run.updates if self._steps is None else self._steps
        if steps is None:
            rule = "the length of the fit is not known"
            fix = "Pass steps_per_epoch to fit, or steps to OneCycle"
            raise ValueError(complaint("OneCycle", rule, fix, steps=None))
        schedule = OneCycleSchedule(steps=steps, **self._shape)
        doubt = length_warning(
            "the cycle", schedule, run.updates, "step", may_go_on=run.may_be_part
        )
        if doubt is not None:
            fix = "Leave steps out for a cycle as long as the fit"
            warn(complaint("OneCycle", doubt, fix, steps=steps))
        momentum = None
        if self._momentum is not None:
            against = schedule.momentum(*self._momentum)
            momentum = BoundSchedule(run, "momentum", against, by_batches=self._steps is None)
        rates = BoundSchedule(run, "the schedule", schedule, by_batches=self._steps is None)
        return DrivenSchedules(rates, momentum, spares=self._spares, spans_fit=self._steps is None)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin; say so if there is no momentum to cycle. Called by `fit`."""
        super().on_train_begin(logs)
        alone = self._spares and self._overrides is not None and self._overrides.momentum is None
        if alone and (self.params or {}).get("verbose", 1):
            print("OneCycle: the optimizer has no momentum; the learning rate alone is cycled.")


class CyclicLR(ScheduleCallback):
    """Up and down between two learning rates, again and again (cyclical learning rates).

    The curve is that of `schedules.Triangular`. FitPosition, logs and checkpoints are those of
    `LRScheduler`.

    Args:
        min_lr: Value at both ends of a cycle, at least 0.
        max_lr: Value at the first top, at least `min_lr`.
        step_size_epochs: Length of a half cycle, from the lowest value to the top, in epochs; 2 to
            10 in the paper. The cycle is rounded to whole updates. Default: 4, unless
            `step_size_steps` is given.
        step_size_steps: Length of a half cycle in updates, instead.
        mode: `"triangular"`, all tops alike; `"triangular2"`, each half as high as the one before;
            `"exp_range"`, lower by `gamma` at every update.
        gamma: See `mode`; above 0 and at most 1.
        momentum: The low and the high momentum, such as torch's `(0.8, 0.9)`: it falls while the
            learning rate rises, in the same mode. To drive it, the training step is compiled once
            more. Default: None, which leaves it alone.
        optimizers: Which optimizers to drive: names of those in a `MultiOptimizer`, names of the
            model's attributes that hold others, as a GAN does, or optimizers. Default: all that the
            model is compiled with.

    Raises:
        ValueError: At construction if an argument is out of its range, or both lengths are given.
            In `fit` if data of unknown length meets a length in epochs, if the optimizer has no
            momentum and one is asked for, and as `LRScheduler`.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import CyclicLR
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((16, 4))
        >>> cycles = CyclicLR(0.0, 0.1, step_size_epochs=2)
        >>> history = model.fit(x, x[:, :1], batch_size=8, epochs=4, callbacks=[cycles], verbose=0)
        >>> print(np.round(history.history["learning_rate"], 3))
        [0.025 0.075 0.075 0.025]

    Reference:
        Smith 2017, arXiv 1506.01186; values of the momentum as `torch.optim.lr_scheduler.CyclicLR`.
    """

    def __init__(
        self,
        min_lr: float,
        max_lr: float,
        *,
        step_size_epochs: float | None = None,
        step_size_steps: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        momentum: tuple[float, float] | None = None,
        optimizers: Wanted = None,
    ) -> None:
        super().__init__(optimizers)
        if step_size_epochs is not None and step_size_steps is not None:
            rule, fix = "a half cycle has one length", "Pass one of the two"
            sizes = {"step_size_epochs": step_size_epochs, "step_size_steps": step_size_steps}
            raise ValueError(complaint("CyclicLR", rule, fix, **sizes))
        if step_size_steps is None:
            step_size_epochs = 4.0 if step_size_epochs is None else step_size_epochs
            fix = "2 to 10 epochs are usual"
            check_number("CyclicLR", fix, above=0.0, step_size_epochs=step_size_epochs)
        else:
            fix = "Pass a number of updates, or step_size_epochs"
            check_integer("CyclicLR", fix, at_least=1, step_size_steps=step_size_steps)
        self._epochs, self._steps = step_size_epochs, step_size_steps
        self._shape: dict[str, Any] = {
            "min_lr": min_lr,
            "max_lr": max_lr,
            "mode": mode,
            "gamma": gamma,
        }
        if momentum is not None:
            _check_momentum("CyclicLR", momentum)
        self._momentum = momentum
        self._triangular(1, 1)  # finds what is wrong whatever the fit

    def plan(self, run: FitInfo) -> DrivenSchedules:
        """Return the readings of the learning rate and the momentum."""
        if self._steps is not None:
            up_steps, down_steps = self._steps, self._steps
        else:  # rounded as a whole: half an epoch of 57 updates has 28, and the other half 29
            cycle = max(2, run.updates_in("step_size_epochs", self._epochs or 0, times=2))
            up_steps, down_steps = cycle // 2, cycle - cycle // 2
        if run.updates and up_steps > run.updates and not run.may_be_part:
            rule = f"half a cycle is longer than the whole fit of {run.updates} steps"
            fix = "If epochs are meant, pass step_size_epochs; or raise epochs in fit"
            received = {"step_size_epochs": self._epochs, "step_size_steps": self._steps}
            warn(complaint("CyclicLR", rule, fix, **received))
        schedule = self._triangular(up_steps, down_steps)
        momentum = None
        if self._momentum is not None:
            momentum = BoundSchedule(run, "momentum", schedule.momentum(*self._momentum))
        return DrivenSchedules(BoundSchedule(run, "the schedule", schedule), momentum)

    def _triangular(self, up_steps: int, down_steps: int) -> Triangular:
        with complaining_as("CyclicLR", "Triangular"):
            down = None if down_steps == up_steps else down_steps
            return Triangular(up_steps=up_steps, down_steps=down, **self._shape)


def _check_momentum(owner: str, momentum: Any) -> None:
    """Raise unless it is a low and a high momentum."""
    fix = "Pass (low, high), such as (0.85, 0.95), or None"
    rule = "momentum must be a low and a high value"
    if not isinstance(momentum, tuple | list) or len(momentum) != 2:
        raise ValueError(complaint(owner, rule, fix, momentum=momentum))
    for value in momentum:
        check_number(owner, fix, at_least=0.0, below=1.0, momentum=value)
    if momentum[0] > momentum[1]:
        raise ValueError(complaint(owner, rule, fix, momentum=momentum))
