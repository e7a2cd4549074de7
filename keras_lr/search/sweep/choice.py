"""The choice between a sweep's two ways, lane after lane or all at once, by what they cost.

Pure arithmetic: who runs the sweep says what has been measured, and asks again when more is known.
What is not known is estimated from the rest. Only proportions matter, so that a slow machine
chooses as a quick one does.
"""

from dataclasses import dataclass
from typing import Literal

Way = Literal["sequential", "lanes"]

# Measured on two cores with dense, convolutional and recurrent networks of 1e3 to 1e7 weights.
_COMPILING_STEPS = 4500.0  # as many steps of a network with next to no arithmetic take as long
_SLOWED = 1e7  # operations a step that double its time
_STACK_COMPILING = 1.45  # times as long as compiling one lane, with what making a stack takes
# A stack saves calls, not arithmetic. On a CPU its batched products are slower than single ones,
# which use all cores: from here on no longer even as quick as one lane after the other.
_MOST_OPERATIONS = 2.5e7
_SHARE, _SHARE_PER_OPERATION, _LARGEST_SHARE = 0.1, 0.11e-6, 0.65
_SLOW_SHARE = 3.0


@dataclass(frozen=True)
class WayCost:
    """The time that one way takes, as far as it is known.

    Attributes:
        compiling: Seconds to compile its step; None where that is not known.
        step: Seconds of a step, of one lane alone or of all lanes at once; None where that is not
            known.
        is_compiled: Whether its step has been compiled.
    """

    compiling: float | None = None
    step: float | None = None
    is_compiled: bool = False


def quicker_way(
    lanes: int, steps: int, operations: float, alone: WayCost, together: WayCost
) -> Way:
    """Return the way that is quicker for so many lanes of so many steps.

    Args:
        lanes: The number of learning rates to come.
        steps: The steps to come of each.
        operations: Floating-point operations of one lane's step.
        alone: What lanes one after the other cost.
        together: What all lanes at once cost.

    Example:
        >>> quicker_way(16, 50, 1e6, WayCost(), WayCost())
        'sequential'
        >>> quicker_way(16, 500, 1e6, WayCost(), WayCost())
        'lanes'
        >>> quicker_way(16, 500, 1e6, WayCost(), WayCost(compiling=1.0, step=1.0))
        'sequential'
    """
    compiling_steps = _COMPILING_STEPS / (1 + operations / _SLOWED)
    stack_steps = lanes * _share(lanes, operations)  # of one lane, as long as one of the stack
    compiling, step = alone.compiling, alone.step
    if compiling is None and together.compiling is not None:
        compiling = together.compiling / _STACK_COMPILING
    if step is None and compiling is not None:
        step = compiling / compiling_steps
    if step is None:
        step = 1.0 if together.step is None else together.step / stack_steps
    if compiling is None:
        compiling = compiling_steps * step
    stack_compiling, stack_step = together.compiling, together.step
    if stack_compiling is None:
        stack_compiling = _STACK_COMPILING * compiling
    if stack_step is None:
        stack_step = stack_steps * step
    one_by_one = (0.0 if alone.is_compiled else compiling) + lanes * steps * step
    at_once = (0.0 if together.is_compiled else stack_compiling) + steps * stack_step
    return "lanes" if at_once < one_by_one else "sequential"


def _share(lanes: int, operations: float) -> float:
    """Return how long a step of a stack takes for each lane, in steps of one lane alone."""
    if operations > _MOST_OPERATIONS:
        return _SLOW_SHARE
    share = min(_SHARE + _SHARE_PER_OPERATION * operations, _LARGEST_SHARE)
    return max(share, 1 / lanes)
