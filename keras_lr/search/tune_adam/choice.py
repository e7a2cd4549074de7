"""Choice among settings whose losses are known only up to noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_lr.errors import complaint


@dataclass(frozen=True)
class Choice:
    """The setting taken, and the ones that are as good as the best as far as can be told.

    Attributes:
        index: Which one was taken.
        ties: Indices of all whose mean loss is within one standard error of the lowest, that one
            included.
        standard_error: Of the difference of two settings' mean losses; None if each was run once,
            when nothing is known about the noise.
    """

    index: int
    ties: tuple[int, ...]
    standard_error: float | None


def choose(learning_rates: Sequence[float], losses: ArrayLike) -> Choice:
    r"""Take the setting with the lowest mean loss, and tell which others are as good.

    With losses $L_{kr}$ of setting k in repeat r, b the setting with the lowest mean and
    $d_{kr} = L_{kr} - L_{br}$, the standard error is that of the mean of R such differences,

    $$s = \sqrt{\overline{\mathrm{var}_r(d_{kr})} / R},$$

    pooled over all k but b. Repeats share their batches, so that what they have in common cancels.

    Args:
        learning_rates: The learning rate of each of K settings, for the error message.
        losses: float[K, R], infinite where a run diverged.

    Returns:
        A `Choice`.

    Raises:
        ValueError: If no setting has a finite mean loss.

    Example:
        >>> choose([0.01, 0.03, 0.1], [[1.00, 1.10], [1.02, 1.09], [1.5, 1.6]])
        Choice(index=0, ties=(0, 1), standard_error=0.01...)

    Reference:
        Breiman et al., Classification and Regression Trees (1984), Section 3.4.3, for one standard
        error, here of paired differences. Their rule, to take the simplest of what is as good, is
        not followed: the largest learning rate cost 8 % of the loss on new data.
    """
    table = np.asarray(losses, dtype=np.float64)
    means = table.mean(axis=1)
    if not np.isfinite(means).any():
        rule = "one of the trials must end with a finite loss"
        fix = "Pass smaller learning rates, or look for NaN in the data"
        raise ValueError(complaint("tune_adam", rule, fix, lr=list(learning_rates)))
    best = int(np.argmin(means))
    rivals = [k for k in np.flatnonzero(np.isfinite(means)) if k != best]
    if table.shape[1] < 2 or not rivals:
        return Choice(best, (best,), None)
    differences = table[rivals] - table[best]
    error = float(np.sqrt(differences.var(axis=1, ddof=1).mean() / table.shape[1]))
    near = differences.mean(axis=1) <= error
    ties = sorted([best, *(int(k) for k, tied in zip(rivals, near, strict=True) if tied)])
    return Choice(best, tuple(ties), error)
