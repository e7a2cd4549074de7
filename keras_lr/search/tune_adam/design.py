"""The design of the whole runs that the surface of `tune_adam` is fitted to. Pure arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_lr.errors import check_integer, check_number

Place = tuple[str, int]  # a shape, and the steps from its centre

FIRST = (0, -1, 1)
MOST_OF_A_SHAPE = 5


@dataclass(frozen=True, kw_only=True)
class SurfaceDesign:
    """Whole runs at a few learning rates for each shape, and more where the best is at an edge.

    Each shape is run at its centre, one step below and one above. While the lowest loss of a shape
    stands at the edge of what was run, and fewer than five were, one more is run past it.

    Args:
        centres: The learning rate in the middle of each shape.
        spacing: From one learning rate to the next, in decades, > 0.
        limits: The lowest and the highest learning rate that may be run; None for any.
        most: How many runs there may be, of all shapes; None for five of each.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> design = SurfaceDesign(centres={"constant": 0.01})
        >>> losses = {place: abs(place[1] - 2) for place in design.wanted({})}
        >>> design.wanted(losses)
        [('constant', 0), ('constant', -1), ('constant', 1), ('constant', 2)]
        >>> round(design.lr(("constant", 1)), 4)
        0.0316
    """

    centres: Mapping[str, float]
    spacing: float = 0.5
    limits: tuple[float, float] | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        check_number("SurfaceDesign", "Pass decades", above=0, spacing=self.spacing)
        if self.most is not None:
            check_integer("SurfaceDesign", "Pass a number of runs", at_least=1, most=self.most)

    @property
    def shapes(self) -> tuple[str, ...]:
        """The shapes that are run."""
        return tuple(self.centres)

    @property
    def most_runs(self) -> int:
        """How many runs there are at most."""
        all_shapes = MOST_OF_A_SHAPE * len(self.centres)
        return all_shapes if self.most is None else min(self.most, all_shapes)

    def lr(self, place: Place) -> float:
        """Return the learning rate of a place."""
        rate = self.centres[place[0]] * 10.0 ** (self.spacing * place[1])
        if self.limits is None:
            return float(rate)
        return float(min(max(rate, self.limits[0]), self.limits[1]))

    def wanted(self, losses: Mapping[Place, float]) -> list[Place]:
        """Return the places that are to be run by what is known, in their order.

        It depends on nothing else, so that several processes come to the same.

        Args:
            losses: The losses of those that have been run, infinite where one diverged. Others are
                no harm.
        """
        found = [(shape, step) for step in FIRST for shape in self.centres]
        found = found[: self.most_runs]
        while len(found) < self.most_runs and all(place in losses for place in found):
            more = [(shape, self._past_the_edge(shape, found, losses)) for shape in self.centres]
            new = [(shape, step) for shape, step in more if step is not None]
            if not new:
                break
            found += new[: self.most_runs - len(found)]
        return found

    def _past_the_edge(
        self, shape: str, found: Sequence[Place], losses: Mapping[Place, float]
    ) -> int | None:
        steps = sorted(step for each, step in found if each == shape)
        if len(steps) < len(FIRST) or len(steps) >= MOST_OF_A_SHAPE:
            return None
        best = min(steps, key=lambda step: losses[shape, step])  # of equal ones the lowest
        if best not in (steps[0], steps[-1]):
            return None
        beyond = best - 1 if best == steps[0] else best + 1
        return beyond if self._is_allowed(shape, beyond) else None

    def _is_allowed(self, shape: str, step: int) -> bool:
        if self.limits is None:
            return True
        rate, slack = self.centres[shape] * 10.0 ** (self.spacing * step), 1e-9
        return bool(self.limits[0] * (1 - slack) <= rate <= self.limits[1] * (1 + slack))
