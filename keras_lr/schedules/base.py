"""The base of all schedules: frozen values to call on steps, combine, save and print."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np
from keras import ops

from keras_lr._cpu import on_cpu
from keras_lr.errors import GREATEST, check_rate, complaint
from keras_lr.schedules.asking import asking_optimizer, update_at
from keras_lr.schedules.fields import Fields
from keras_lr.schedules.look_ahead import LookAhead, eager_step
from keras_lr.schedules.steps import LAST_STEP, exact


class Schedule(Fields, keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate (or any other hyper-parameter) as a pure function of the step.

    Hand it to an optimizer (`SGD(learning_rate=schedule)`), drive it from a callback, or look at it
    with `values`. Before step 0 a schedule has its value at step 0; past its end it keeps the last.

    A subclass is a frozen dataclass under the `schedule` decorator. It implements `value`, has
    `steps` as a field, a property or a plain attribute, and inherits everything else.

    Attributes:
        steps: The number of steps it takes to reach the last value; None if it is endless.

    Example:
        >>> from keras_lr import schedules
        >>> decay = schedules.Linear(start=0.1, end=0.0, steps=100).warmup(10)
        >>> decay
        Linear(start=0.1, end=0.0, steps=100).warmup(10)
        >>> print(decay.values([0, 5, 10, 60, 110]).round(3))
        [0.   0.05 0.1  0.05 0.  ]
    """

    counts_updates = True  # not batches, under gradient accumulation; Keras' own count these
    infix = False  # whether it prints with an operator, and needs brackets as an operand

    if TYPE_CHECKING:  # at run time a dataclass field would take the property for its default

        @property
        def steps(self) -> int | None:
            """The length in steps, None if endless."""

    def value(self, step: Any) -> Any:
        """Return the value at `step`: what a subclass implements, in elementwise `keras.ops`.

        Args:
            step: A tensor of any shape, never negative; integers, or floats between two steps.

        Returns:
            A tensor of the same shape, float32.
        """
        raise NotImplementedError

    def __call__(self, step: Any) -> Any:
        """Return the value at each step.

        A Keras optimizer calls its schedule with a count of batches. Under
        `gradient_accumulation_steps=k`, where `k` of them make an update, the schedule counts
        updates all the same.

        Args:
            step: A number, array, variable or tensor of any shape, at most 2^31 - 1.

        Returns:
            A tensor of the same shape. It is float32 whatever `floatx` is: half precision cannot
            tell step 2048 from step 2049.

        Raises:
            ValueError: On torch, if an optimizer is about to use a value that is negative, not a
                number, or not finite.
        """
        optimizer = asking_optimizer(step)
        step = update_at(ops.convert_to_tensor(step), optimizer)
        single = eager_step(step)
        if single is not None and self.is_foreseeable:
            value = ops.convert_to_tensor(self.ahead(max(single, 0)), dtype="float32")
        else:
            value = self.value(ops.maximum(exact(step), 0))
            value = value if self.greatest <= GREATEST else ops.minimum(value, GREATEST)
        if optimizer is not None and single is not None:
            check_rate(type(self).__name__, float(value), single)
        return value

    @property
    def greatest(self) -> float:
        """An upper bound on the values, as a Python number; infinity where there is none known.

        Where it is above 3.4e38, about the largest float32, the values are cut off there: no
        schedule is infinite.
        """
        return math.inf

    @cached_property
    def ahead(self) -> LookAhead:
        """A reader of single steps, fast when they are read one after another."""
        return LookAhead(self.values)

    @cached_property
    def is_foreseeable(self) -> bool:
        """Whether values of later steps may be computed in advance.

        A user's own function may have no values there, or may change in the meantime.
        """
        parts = keras.tree.flatten(list(self.fields().values()))
        return all(part.is_foreseeable for part in parts if isinstance(part, Schedule))

    def values(self, steps: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the values at `steps` on the host, for a plot, a test or a callback.

        Args:
            steps: A number or an array of any shape, at most 2^31 - 1.

        Returns:
            A float32 array of the same shape, equal to what the optimizer sees at those steps.
        """
        steps = np.asarray(steps)
        if steps.dtype.kind == "u":  # torch barely knows those above 8 bits
            steps = steps.astype("int64")
        with on_cpu():
            return np.asarray(ops.convert_to_numpy(self(steps)))

    def cycle_ends(self, last: int = LAST_STEP) -> list[int]:
        """Return the numbers of steps, up to `last`, after which a cycle is complete.

        Step `end - 1` is the last of a cycle, and step `end` begins the next one. A schedule
        without cycles counts as one cycle if it is finite, and as none if it is endless.

        Args:
            last: Look no further than this many steps. The default covers every step there is;
                endless short cycles make that a long list.

        Returns:
            Integers in rising order.
        """
        return [self.steps] if self.steps and self.steps <= last else []

    # --- operators ------------------------------------------------------------------------------

    _operators: ClassVar[dict[str, type[Schedule]]] = {}  # by the method that makes them

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        method = vars(cls).get("_method")
        if method is None:
            return
        known = Schedule._operators.get(method)
        if known is not None:
            rule = f"the method {method!r} makes {known.__name__} already"
            raise TypeError(complaint(cls.__name__, rule, "Give it another name", method=method))
        Schedule._operators[method] = cls

    def _made_by(self, method: str, *arguments: Any) -> Schedule:
        """Return what an operator makes of this schedule. Operators announce themselves."""
        return self._operators[method](self, *arguments)

    def then(self, following: Schedule, *, after: int | None = None) -> Schedule:
        """Continue with another schedule, which starts at its own step 0.

        Args:
            following: The next schedule.
            after: The step it starts at. Default: when this schedule has reached its end.

        Returns:
            The joined schedule.

        Raises:
            ValueError: If this schedule is endless and `after` is not given.
        """
        return self._made_by("then", following, after)

    def warmup(self, warmup_steps: int, *, start: float = 0.0) -> Schedule:
        """Rise linearly to the first value, then run the schedule from its step 0.

        Args:
            warmup_steps: The length of the rise, added to that of the schedule.
            start: The value at step 0.

        Returns:
            The schedule with its warm-up before it.

        Raises:
            ValueError: If the warm-up is longer than the schedule.
        """
        return self._made_by("warmup", warmup_steps, start)

    def repeat(self, times: int | None = None) -> Schedule:
        """Start again each time the schedule reaches its end.

        Args:
            times: How many times it runs in total. Default: forever.

        Returns:
            The repeated schedule.

        Raises:
            ValueError: If the schedule is endless.
        """
        return self._made_by("repeat", times)

    def skip(self, skipped_steps: int) -> Schedule:
        """Begin `skipped_steps` steps into the schedule.

        Args:
            skipped_steps: How many steps to leave out.

        Returns:
            The rest of the schedule.
        """
        return self._made_by("skip", skipped_steps)

    def staircase(self, every_steps: int) -> Schedule:
        """Change the value only every `every_steps` steps, such as once per epoch.

        Args:
            every_steps: The length of a stair.

        Returns:
            The schedule as read at steps 0, `every_steps`, `2 * every_steps`, ...
        """
        return self._made_by("staircase", every_steps)

    def stretch(self, length: int) -> Schedule:
        """Read the schedule faster or slower, so that it takes `length` steps to its end.

        Args:
            length: The new length in steps.

        Returns:
            The schedule at another pace.

        Raises:
            ValueError: If the schedule is endless.
        """
        return self._made_by("stretch", length)

    def clip(self, low: float | None = None, high: float | None = None) -> Schedule:
        """Keep the values between two bounds.

        Args:
            low: The least value, None for no bound.
            high: The greatest value, None for no bound.

        Returns:
            The bounded schedule.
        """
        return self._made_by("clip", low, high)

    def mirror(self, low: float, high: float) -> Schedule:
        """Turn the values upside down between two bounds: `low + high - value`.

        Args:
            low: What `high` becomes.
            high: What `low` becomes.

        Returns:
            The mirrored schedule, such as a momentum that goes against a learning rate.
        """
        return self._made_by("mirror", low, high)

    def noise(self, amount: float, *, seed: int = 0) -> Schedule:
        """Multiply by `1 + amount * u`, with `u` uniform in [-1, 1) and drawn anew at each step.

        Args:
            amount: The largest relative change, between 0 and 1.
            seed: Another seed gives other noise. The noise is a function of the seed and the step
                alone, so it is the same after a resume and on every backend.

        Returns:
            The noisy schedule.
        """
        return self._made_by("noise", amount, seed)

    def __mul__(self, factor: float | Schedule) -> Schedule:
        return self._made_by("*", factor)

    def __rmul__(self, factor: float) -> Schedule:
        return self._made_by("*", factor)

    def __add__(self, term: float | Schedule) -> Schedule:
        return self._made_by("+", term)

    def __radd__(self, term: float) -> Schedule:
        return self._made_by("+", term)


class Composed(Schedule):
    """A schedule that stands for an expression of other schedules."""

    @cached_property
    def expression(self) -> Schedule:
        """The expression it stands for."""
        raise NotImplementedError

    def value(self, step: Any) -> Any:
        """Read the expression."""
        return self.expression(step)

    @property
    def greatest(self) -> float:
        """The bound of the expression."""
        return self.expression.greatest
