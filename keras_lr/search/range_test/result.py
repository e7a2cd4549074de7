"""The result of a range test: a frozen record with suggestion rules."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_lr._warnings import warn
from keras_lr.errors import check_choice, complaining_as, complaint
from keras_lr.search.range_test.curve import (
    Floats,
    SuggestionError,
    capped,
    falls_to_the_end,
    finite_steps,
    smooth,
)
from keras_lr.search.range_test.picture import RangeTestPicture, picture_of
from keras_lr.search.results import Result
from keras_lr.search.suggest import RULES, consensus

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_VECTORS = ("learning_rates", "losses", "smoothed_losses", "probe_losses", "validation_losses")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RangeTestResult(Result):
    """The record of a learning-rate range test, and the learning rates it suggests.

    Arrays are copied to float64 and made read-only. Two results are equal if every field is, NaN
    counting as equal to NaN.

    Attributes:
        learning_rates: float64[n], the learning rate of each step done, increasing.
        losses: float64[n], the loss of each single batch; with repeats their median.
        smoothed_losses: float64[n], the bias-corrected average that the stop rule watches, of the
            probe's losses if there are any. It lags behind; `smooth` is the average to look at.
        stop_reason: Why the sweep ended, such as `"completed"` or
            `"diverged (smoothed loss 9.1, its best was 2.2)"`.
        steps: How many steps were planned; None if that is not known.
        optimizer_learning_rate: What the optimizer was set to before the test, or what its schedule
            gave then; None if that is not known.
        default_learning_rate: The default of the optimizer's family, which has a vote in
            `suggest()`; None if there is none.
        probe_losses: float64[n], the loss of one fixed batch after each step, or None.
        validation_losses: float64[n], NaN where it was not evaluated, or None.
        repeat_losses: float64[repeats, n], NaN after the stop of a repeat, or None.
        dead_from: The learning rate from which on the model's matrices stood still, as when every
            ReLU has died; None if they moved to the end. What the loss falls from there on is the
            work of a bias alone, and no rule reads it.

    Raises:
        ValueError: If the lengths of the arrays do not agree.

    Example:
        >>> import numpy as np
        >>> from keras_lr import RangeTestResult
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> result = RangeTestResult(
        ...     learning_rates=rates, losses=losses, smoothed_losses=losses,
        ...     stop_reason="completed", steps=81, default_learning_rate=1e-3)
        >>> result
        RangeTestResult(81 of 81 steps, 1e-06 to 100; completed; suggestion 1.6e-03 (consensus))
        >>> round(result.suggest("minimum"), 4)
        0.004

    Reference:
        Smith, "Cyclical Learning Rates for Training Neural Networks", 2015, section 3.3.
    """

    learning_rates: Floats
    losses: Floats
    smoothed_losses: Floats
    stop_reason: str
    steps: int | None = None
    optimizer_learning_rate: float | None = None
    default_learning_rate: float | None = None
    probe_losses: Floats | None = None
    validation_losses: Floats | None = None
    repeat_losses: Floats | None = None
    dead_from: float | None = None

    def __post_init__(self) -> None:
        """Copy the arrays, lock them and check that they fit together."""
        for name in (*_VECTORS, "repeat_losses"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        super().__post_init__()
        for name in ("optimizer_learning_rate", "default_learning_rate"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        n = self.learning_rates.size
        for name in (*_VECTORS, "repeat_losses"):
            array = getattr(self, name)
            if array is None:
                continue
            expected = (len(array), n) if name == "repeat_losses" else (n,)
            if array.shape != expected:
                rule = f"{name} must hold one value per learning rate ({n})"
                fix = "Pass NaN where there is no value"
                raise ValueError(complaint("RangeTestResult", rule, fix, shape=array.shape))

    @property
    def min_lr(self) -> float:
        """The first learning rate of the sweep."""
        return float(self.learning_rates[0])

    @property
    def max_lr(self) -> float:
        """The last learning rate that was tried, which a stop may have kept below the plan."""
        return float(self.learning_rates[-1])

    @property
    def observed_losses(self) -> Floats:
        """float64[n], what the rules read: the probe's losses if there are any, else `losses`.

        The probe is one fixed batch, so its losses do not jump with the batch.
        """
        return self.losses if self.probe_losses is None else self.probe_losses

    @property
    def spread(self) -> Floats | None:
        """float64[2, n], the quartiles over the repeats; None for fewer than two repeats.

        Repeats that had stopped before a step do not count there; NaN where none is left.
        """
        if self.repeat_losses is None or len(self.repeat_losses) < 2:
            return None
        quartiles = np.full((2, self.repeat_losses.shape[1]), np.nan)
        for step, losses in enumerate(self.repeat_losses.T):
            finite = losses[np.isfinite(losses)]
            if finite.size:
                quartiles[:, step] = np.quantile(finite, (0.25, 0.75))
        return quartiles

    def suggest(self, rule: str = "consensus") -> float:
        """One learning rate to train with.

        Args:
            rule: `"consensus"`, `"valley"`, `"fall75"`, `"steep"`, `"minimum"` or `"slide"`. The
                default is the least wrong of them over many models: see `consensus`.

        Returns:
            A learning rate. Where the loss was still falling at the last one, a warning says so:
            the rules then have not seen the end of the fall, and what they say is too low.

        Raises:
            ValueError: If there is no such rule.
            SuggestionError: If the record has no clear fall; it tells what to change.
        """
        check_choice("RangeTestResult.suggest", tuple(RULES), rule=rule)
        with complaining_as("RangeTestResult.suggest", rule):
            suggestion = self._suggest(rule)
        if self.still_falling:
            needed = "the sweep should go on until the loss stops falling; the suggestion is low"
            message = complaint(
                "RangeTestResult.suggest", needed, "Raise max_lr", max_lr=self.max_lr
            )
            warn(message)
        return suggestion

    @property
    def still_falling(self) -> bool:
        """Whether the smoothed loss was lowest, and falling, at the last learning rate."""
        return falls_to_the_end(self.learning_rates, self.observed_losses)

    def _suggest(self, rule: str) -> float:
        rates, losses = self.learning_rates, self.observed_losses
        if self.dead_from is not None and self.dead_from <= self.min_lr:
            needed = "the steps must move the model's matrices, but none has moved any"
            fix = "Look for gradients that are zero, or a network of which every unit is dead"
            raise SuggestionError(complaint(rule, needed, fix, min_lr=self.min_lr))
        if self.dead_from is None or not self._falls_once_dead():
            return self._read(rule, rates, losses)
        alive = rates < self.dead_from
        try:
            return self._read(rule, rates[alive], losses[alive])
        except SuggestionError as error:
            needed = "the loss must fall while the weights move; here the network died before"
            fix = "Scale inputs and targets to about 1, or lower min_lr"
            received = {"dead_from": float(f"{self.dead_from:.3g}")}
            raise SuggestionError(complaint(rule, needed, fix, **received)) from error

    def _read(self, rule: str, rates: Floats, losses: Floats) -> float:
        if rule == "consensus":
            return consensus(rates, losses, default=self.default_learning_rate)
        return RULES[rule](rates, losses)

    def _falls_once_dead(self) -> bool:
        """Whether the smoothed loss is lowest where the network is dead already."""
        finite = finite_steps(self.observed_losses)
        rates, losses = self.learning_rates[:finite], self.observed_losses[:finite]
        if not finite or self.dead_from is None:
            return False
        return bool(rates[int(smooth(rates, capped(losses)).argmin())] >= self.dead_from)

    def suggestions(self) -> dict[str, float]:
        """The learning rate of every rule that has something to say, by the rule's name."""
        return {rule: found for rule, found in self._answers() if isinstance(found, float)}

    def refusals(self) -> dict[str, str]:
        """Why the other rules have nothing to say, by the rule's name."""
        return {rule: found for rule, found in self._answers() if isinstance(found, str)}

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Draw the record and its suggestions: see `keras_lr.plot_range_test`.

        Args:
            ax: Where to draw; None makes a figure.
            **options: Passed on to `plot_range_test`.

        Returns:
            The matplotlib Axes.
        """
        from keras_lr.plot.range_test import plot_range_test

        return plot_range_test(self, ax=ax, **options)

    def _told(self) -> dict[str, Any]:
        steps = f"{len(self.learning_rates)}, {self.stop_reason}"
        found = {f"suggestion, {rule}": rate for rule, rate in self.suggestions().items()}
        return {"steps": steps, **(found or {"suggestion": "none: see refusals()"})}

    picture_type: ClassVar[type] = RangeTestPicture

    def picture(self, rules: Sequence[str] | None = None) -> RangeTestPicture:
        """What `plot` draws, as plain data.

        Args:
            rules: Which suggestions to mark; None for all that there are.

        Raises:
            ValueError: If there is no finite loss to draw.
        """
        return picture_of(self, rules)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per step; columns for what was not recorded are left out.

        Returns:
            A pandas DataFrame indexed by step from 0, all columns float64.

        Raises:
            ImportError: If pandas is not installed.
        """
        return super().to_dataframe()

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        columns = {name: getattr(self, name) for name in _VECTORS}
        if self.spread is not None:
            columns["lower_quartile"], columns["upper_quartile"] = self.spread
        kept = {name: column for name, column in columns.items() if column is not None}
        return ("step", range(self.losses.size)), kept

    def _answers(self) -> Iterator[tuple[str, float | str]]:
        """Yield what every rule suggests, or why it does not."""
        for rule in RULES:
            try:
                yield rule, self._suggest(rule)
            except SuggestionError as error:
                yield rule, str(error)

    def __repr__(self) -> str:
        """How far the sweep came, why it ended and what it suggests."""
        n = self.learning_rates.size
        done = f"{n} steps" if self.steps is None else f"{n} of {self.steps} steps"
        span = f", {self.min_lr:.3g} to {self.max_lr:.3g}" if n else ""
        ended = "; ".join(dict.fromkeys(re.sub(r" \(.*?\)", "", self.stop_reason).split("; ")))
        try:
            advice = f"suggestion {self._suggest('consensus'):.1e} (consensus)"
            if self.still_falling:
                ended += ", the loss still falling"
        except SuggestionError:
            advice = "no suggestion, see refusals()"
        except ValueError:  # a record that somebody made, and no rule can read
            advice = "no record of a sweep"
        return f"RangeTestResult({done}{span}; {ended}; {advice})"
