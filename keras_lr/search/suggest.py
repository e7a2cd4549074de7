"""Rules that read one learning rate off a range-test record: pure NumPy, raw losses in.

Each rule smooths the losses itself, without lag, and says nothing (`SuggestionError`) about a
record whose fall does not stand out of the noise. `RULES` holds them by name.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_lr.errors import check_number, complaint
from keras_lr.search.range_test.curve import Floats, SuggestionError, read_descent, smooth

__all__ = [
    "RULES",
    "Rule",
    "SuggestionError",
    "consensus",
    "fall75",
    "minimum",
    "slide",
    "smooth",
    "steep",
    "valley",
]

Rule = Callable[[ArrayLike, ArrayLike], float]


def valley(learning_rates: ArrayLike, losses: ArrayLike) -> float:
    """The middle of the longest run of falling losses.

    Of the longest decreasing subsequence, ending at index e with length n, it is the learning
    rate at index `e - n + floor(n / 3) + floor(n / 6)`. The sequence is the smoothed loss between
    10 % and 100 % of its fall: without noise it creeps down long before it falls, and those
    creeping steps must not count.

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw loss of each step; anything after the first loss that is not
            finite is left out.

    Returns:
        A learning rate.

    Raises:
        ValueError: If the two arrays do not make a record.
        SuggestionError: If the record has no clear fall.

    Example:
        >>> import numpy as np
        >>> from keras_lr.search.suggest import valley
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> float(f"{valley(rates, losses):.1g}")
        0.002

    Reference:
        fastai's `valley`, which has the same index rule but reads a lagging average.
    """
    descent = read_descent("valley", learning_rates, losses).after(0.1)
    return float(descent.learning_rates[valley_index(descent.losses)])


def slide(
    learning_rates: ArrayLike,
    losses: ArrayLike,
    *,
    window: int = 15,
    threshold: float = 0.005,
    adjust: float = 1.0,
) -> float:
    """The left edge of a window slid down from the lowest loss until the slopes at its edges agree.

    Kept for those who know it; over many models it is the weakest of the rules.

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw loss of each step.
        window: The window's width in steps; the default is fastai's, made for 100 steps.
        threshold: The difference of the slopes, in loss per step, that counts as agreement; it
            is absolute, so this rule alone depends on the scale of the loss.
        adjust: A factor on the result.

    Returns:
        A learning rate.

    Raises:
        ValueError: If the two arrays do not make a record.
        SuggestionError: If the record has no clear fall, or begins without a level stretch.

    Example:
        >>> import numpy as np
        >>> from keras_lr.search.suggest import slide
        >>> rates = np.geomspace(1e-8, 100.0, 101)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> float(f"{slide(rates, losses):.1g}")
        5e-07

    Reference:
        fastai's `slide`.
    """
    descent = read_descent("slide", learning_rates, losses)
    steps = len(descent.losses)
    index = slide_index(descent.losses, window, threshold) if steps > window else 0
    if index == 0:
        rule = "the record must begin with a level stretch longer than the window"
        fix = "Lower min_lr, or use another rule"
        raise SuggestionError(complaint("slide", rule, fix, steps=steps, window=window))
    return adjust * float(descent.learning_rates[index])


def minimum(learning_rates: ArrayLike, losses: ArrayLike) -> float:
    """A tenth of the learning rate at the lowest smoothed loss.

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw loss of each step.

    Returns:
        A learning rate.

    Raises:
        ValueError: If the two arrays do not make a record.
        SuggestionError: If the record has no clear fall.

    Example:
        >>> import numpy as np
        >>> from keras_lr.search.suggest import minimum
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> float(f"{minimum(rates, losses):.1g}")
        0.004

    Reference:
        fastai's `minimum`.
    """
    descent = read_descent("minimum", learning_rates, losses)
    return float(descent.learning_rates[-1]) / 10.0


def steep(learning_rates: ArrayLike, losses: ArrayLike) -> float:
    """Where the smoothed loss falls fastest per decade: argmin of d loss / d log(lr).

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw loss of each step.

    Returns:
        A learning rate.

    Raises:
        ValueError: If the two arrays do not make a record.
        SuggestionError: If the record has no clear fall.

    Example:
        >>> import numpy as np
        >>> from keras_lr.search.suggest import steep
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> float(f"{steep(rates, losses):.1g}")
        0.0008

    Reference:
        fastai's `steep`. Lightning differentiates by lr, not by log(lr), which favours the
        smallest learning rates of an exponential sweep.
    """
    descent = read_descent("steep", learning_rates, losses)
    return float(descent.learning_rates[steep_index(descent.learning_rates, descent.losses)])


def fall75(learning_rates: ArrayLike, losses: ArrayLike) -> float:
    """Where the smoothed loss has made 75 % of its whole fall, interpolated in log(lr).

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw loss of each step.

    Returns:
        A learning rate.

    Raises:
        ValueError: If the two arrays do not make a record.
        SuggestionError: If the record has no clear fall.

    Example:
        >>> import numpy as np
        >>> from keras_lr.search.suggest import fall75
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> float(f"{fall75(rates, losses):.1g}")
        0.003
    """
    descent = read_descent("fall75", learning_rates, losses)
    start, end = descent.losses[0], descent.losses[-1]
    level = start - 0.75 * (start - end)
    after = int(np.argmax(descent.losses <= level))
    around = slice(after, after - 2 if after > 1 else None, -1)  # losses rising, as interp wants
    log_rate = np.interp(level, descent.losses[around], np.log(descent.learning_rates[around]))
    return float(np.exp(log_rate))


def consensus(learning_rates: ArrayLike, losses: ArrayLike, default: float | None = None) -> float:
    """The median, in log(lr), of `valley`, `fall75` and the optimizer's default.

    One noisy curve is a weak witness, so a sane prior has one vote of three. Without a default
    it is the geometric mean of the other two. A default at which the smoothed loss is past its
    lowest point has no vote, for the record shows that it is too high: data or loss are then on an
    unusual scale, where rates that train lie close to rates that destroy the model, and the lowest
    of `valley`, `fall75` and `minimum` is taken. There is no other fallback: a record that says
    nothing raises, and whether to keep the default is then the caller's choice.

    Args:
        learning_rates: float[n], positive and increasing.
        losses: float[n], the raw loss of each step.
        default: The default learning rate of the optimizer's family, such as 0.001 for Adam;
            None if it is not known.

    Returns:
        A learning rate.

    Raises:
        ValueError: If the two arrays do not make a record, or the default is not positive.
        SuggestionError: If the record has no clear fall.

    Example:
        >>> import numpy as np
        >>> from keras_lr.search.suggest import consensus, fall75
        >>> rates = np.geomspace(1e-6, 100.0, 81)
        >>> losses = 2.0 - 1.5 / (1.0 + 1e-3 / rates) + rates
        >>> float(f"{consensus(rates, losses, default=1e-3):.1g}")
        0.002
        >>> consensus(rates, losses, default=0.01) == fall75(rates, losses)
        True
    """
    if default is not None:
        check_number("consensus", "Pass the optimizer's default or None", above=0, default=default)
    # Read here first, so that a refusal names the rule that was asked.
    lowest = float(read_descent("consensus", learning_rates, losses).learning_rates[-1])
    votes = [valley(learning_rates, losses), fall75(learning_rates, losses)]
    if default is None:
        return float(np.exp(np.mean(np.log(votes))))
    if default >= lowest:
        return min(*votes, minimum(learning_rates, losses))
    return sorted([*votes, float(default)])[1]


RULES: dict[str, Rule] = {
    "valley": valley,
    "slide": slide,
    "minimum": minimum,
    "steep": steep,
    "fall75": fall75,
    "consensus": consensus,
}
"""Every rule by name. All take `(learning_rates, losses)` and return one learning rate."""


def valley_index(losses: Floats) -> int:
    """Return the index that `valley` picks, of losses taken as they are.

    It is a third and a sixth of its length beyond the start of the longest falling subsequence,
    where that is counted back from its end without gaps.

    Args:
        losses: float64[n], finite.

    Example:
        >>> valley_index(np.array([3.0, 3.0, 2.0, 1.0, 0.5, 4.0]))
        1
    """
    smallest_ends: list[float] = []  # negated last loss of the best subsequence of each length
    lengths = np.empty(len(losses), dtype=np.int64)
    for index, value in enumerate(-losses):
        length = int(np.searchsorted(smallest_ends, value))
        smallest_ends[length : length + 1] = [value]
        lengths[index] = length + 1
    end = int(lengths.argmax())
    length = int(lengths[end])
    return max(0, end - length + length // 3 + length // 6)


def slide_index(losses: Floats, window: int = 15, threshold: float = 0.005) -> int:
    """Return the index that `slide` picks, of losses taken as they are; 0 if it finds none.

    Args:
        losses: float64[n], finite; longer than `window`.
        window: Width of the window in steps.
        threshold: Difference of the slopes at its edges that counts as agreement, per step.

    Example:
        >>> slide_index(np.array([2.0, 2.0, 2.0, 2.0, 1.0, 0.0, -1.0]), window=2)
        4
    """
    slopes = np.gradient(losses)
    agreed = np.abs(slopes[window:] - slopes[:-window]) <= threshold  # by the window's left edge
    last_agreed = int(np.flatnonzero(agreed)[-1]) if agreed.any() else -1
    return min(last_agreed + 1, len(agreed) - 1)


def steep_index(learning_rates: Floats, losses: Floats) -> int:
    """Return the index that `steep` picks, of losses taken as they are: the steepest fall.

    Args:
        learning_rates: float64[n], positive and increasing.
        losses: float64[n], finite.

    Example:
        >>> steep_index(np.array([0.1, 1.0, 10.0, 100.0]), np.array([3.0, 2.9, 1.0, 0.9]))
        1
    """
    return int(np.argmin(np.diff(losses) / np.diff(np.log(learning_rates))))
