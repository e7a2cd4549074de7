"""The probe climb: a few short trials, a parabola through the best, a correction for the run.

Pure arithmetic on x = log10(learning rate): nothing here knows a model. Who runs the trials asks
for the next x and tells its score, until there is nothing left to ask.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from keras_lr.errors import check_integer, check_number, complaint

_SMALLEST_FACTOR = 0.1
_EPOCHS_WITHOUT_OVERFITTING = 8.0
_REPETITION_EXPONENT = 0.4
_BEGUN_TO_LEARN = 0.05


class Trial(NamedTuple):
    """One short training run.

    Attributes:
        x: log10 of its constant learning rate.
        score: The probe's loss after it; infinite if it diverged.
    """

    x: float
    score: float


@dataclass(frozen=True)
class ProbeClimb:
    """Where the probe's loss is lowest after a short trial, in at most `max_trials` trials.

    The first trial stands at `start`, the second one `step` above it if the first one beat the
    untrained model, else one `step` below. From there: while no trial beats the untrained model,
    two steps below the lowest; while the best is at an edge, one step past it.

    The controller never changes: `tell` returns the next one.

    Args:
        start: log10 of the first learning rate.
        untrained: The probe's loss at the initial weights. A finite number.
        step: Distance between trials in decades, > 0. From 0.6 to 0.95 all do alike; 0.9 needs
            the fewest trials.
        max_trials: Most trials there will be, >= 2.
        trials: What is known so far.

    Raises:
        ValueError: If a number is not finite or out of its range.

    Example:
        >>> climb = ProbeClimb(start=-2.0, untrained=3.0)
        >>> while (x := climb.ask()) is not None:
        ...     climb = climb.tell(x, 1.0 + (x + 1.5) ** 2)
        >>> [round(trial.x, 1) for trial in climb.trials], round(climb.vertex(), 3)
        ([-2.0, -1.1, -0.2], -1.5)
    """

    start: float
    untrained: float
    step: float = 0.9
    max_trials: int = 4
    trials: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        fix = "Pass log10 of a learning rate and the loss of a model that is not yet trained"
        check_number("ProbeClimb", fix, start=self.start, untrained=self.untrained)
        check_number("ProbeClimb", "Pass a distance in decades", above=0, step=self.step)
        fix = "A parabola takes three trials, and sometimes one more to get there"
        check_integer("ProbeClimb", fix, at_least=2, max_trials=self.max_trials)

    def ask(self) -> float | None:
        """Return x of the next trial, or None when the climb is done."""
        if not self.trials:
            return self.start
        if len(self.trials) == self.max_trials:
            return None
        lowest, highest = min(self.trials).x, max(self.trials).x
        best = self.best
        if not best.score < self.untrained:
            return lowest - self.step * min(len(self.trials), 2)
        if best.x == highest:
            return highest + self.step
        if best.x == lowest:
            return lowest - self.step
        return None

    def tell(self, x: float, score: float) -> "ProbeClimb":
        """Return the climb that also knows the score of a trial at `x`.

        A score that is not a number counts as infinite.
        """
        score = math.inf if math.isnan(score) else score
        return replace(self, trials=(*self.trials, Trial(float(x), float(score))))

    @property
    def best(self) -> Trial:
        """The trial with the lowest score; of equal ones the one that was run first."""
        return min(self.trials, key=lambda trial: trial.score)

    @property
    def has_fallen(self) -> bool:
        """Whether a trial has lowered the loss of the untrained model."""
        return bool(self.trials) and self.best.score < self.untrained

    @property
    def learned(self) -> float:
        """The share of the untrained model's loss that the best trial took away; 0 if none."""
        scale = abs(self.untrained) or 1.0
        return max(0.0, self.untrained - self.best.score) / scale

    def vertex(self) -> float:
        """Return log10 of the learning rate that suits a run as long as a trial.

        It is the lowest point of the parabola through the best trial and its neighbours, after
        scores above the untrained model's are cut down to it: how badly a trial diverged says
        nothing about where the best one lies. The best trial itself, if it has only one
        neighbour.

        Raises:
            ValueError: If no trial beat the untrained model.
        """
        best = self.best
        if not best.score < self.untrained:
            tried = [f"{10**trial.x:.1e}" for trial in sorted(self.trials)]
            rule = "one of the trials must lower the loss of the untrained model"
            fix = "Check data and loss, pass another start, or give the trials more steps"
            raise ValueError(complaint("tune_lr", rule, fix, learning_rates_tried=tried))
        ordered = sorted(self.trials)
        middle = ordered.index(best)
        points = [(trial.x, min(trial.score, self.untrained)) for trial in ordered]
        return parabola_vertex(points[max(middle - 1, 0) : middle + 2], best.x)

    def peak(self) -> float:
        """Return log10 of the peak that suits a run which warms up and decays to zero.

        It is the vertex, but no lower than the best trial if that has a cliff above it: an upper
        neighbour that did no better than the untrained model tells nothing of the slope, and would
        draw the parabola down. A constant learning rate is better off below such a cliff.

        Raises:
            ValueError: If no trial beat the untrained model.
        """
        vertex, best = self.vertex(), self.best
        above = min((trial for trial in self.trials if trial.x > best.x), default=None)
        falls_off = above is not None and not above.score < self.untrained
        return max(vertex, best.x) if falls_off else vertex


def parabola_vertex(points: Sequence[tuple[float, float]], best: float) -> float:
    """The x of the lowest point of the parabola through three points, its middle one the lowest.

    With differences to the middle point, `v = (p^2 g - q^2 f) / (2 (p g - q f))` from the best.

    Args:
        points: Points (x, y) in increasing x.
        best: What to return for fewer than three points or a flat parabola.

    Returns:
        An x, half way towards a neighbour at the most.
    """
    if len(points) < 3:
        return best
    (x_low, y_low), (x, y), (x_high, y_high) = points
    p, f = x_low - x, y_low - y
    q, g = x_high - x, y_high - y
    curvature = p * g - q * f
    return best if curvature == 0 else x + (p * p * g - q * q * f) / (2 * curvature)


def horizon_correction(
    learning_rate: float,
    steps: int,
    total_steps: int,
    beta: float,
    *,
    epochs: float = 1.0,
    learned: float = 1.0,
) -> float:
    r"""The learning rate for a whole run, from the one that suits its first steps.

    $$\eta = \eta_n \max(0.1, (n / T)^\beta \min(1, 8 / E)^{0.4})^{\min(1, f / 0.05)}$$

    for trials of n steps that took away the share f of the untrained model's loss, and a run of T
    steps that sees every sample E times. A short trial is
    best at the edge of stability, where noise has not yet piled up; a longer run wants less. A
    run that sees its samples often overfits, and the sooner the larger the learning rate. But
    while a trial has hardly begun to learn, its best learning rate is not at that edge, and less
    is taken off. It is never more than a decade, because nothing was measured beyond.

    Args:
        learning_rate: What suits a run of `steps` steps, > 0.
        steps: Steps of a trial, >= 1.
        total_steps: Steps of the whole run, >= `steps`.
        beta: How fast the best learning rate falls with the length of the run, >= 0.
        epochs: How often the run sees every sample, > 0. The default is for data that is always
            new.
        learned: The share of the untrained model's loss that the best trial took away, >= 0; see
            `ProbeClimb.learned`.

    Returns:
        A learning rate, at most `learning_rate`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> round(horizon_correction(0.1, steps=100, total_steps=10_000, beta=0.25), 4)
        0.0316
        >>> round(horizon_correction(0.1, steps=100, total_steps=100, beta=0.25, epochs=80), 4)
        0.0398

    Reference:
        The exponents are fitted: `benchmarks/lr_suggestion`.
    """
    owner = "horizon_correction"
    fix = "Pass positive numbers, total_steps at least steps"
    check_number(owner, fix, above=0, learning_rate=learning_rate, epochs=epochs)
    check_integer(owner, fix, at_least=1, steps=steps)
    check_integer(owner, fix, at_least=steps, total_steps=total_steps)
    check_number(owner, fix, at_least=0, beta=beta, learned=learned)
    length = (steps / total_steps) ** beta
    repetition = min(1.0, _EPOCHS_WITHOUT_OVERFITTING / epochs) ** _REPETITION_EXPONENT
    certainty = min(1.0, learned / _BEGUN_TO_LEARN)
    return float(learning_rate * max(_SMALLEST_FACTOR, length * repetition) ** certainty)
