"""The division of a model's weights into groups, as an optimizer holds and saves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keras_lr.errors import GREATEST, check_number, complaint

OWNER = "by_layer"
LATE = "the optimizer was built before the model had these weights"
ANEW = "Call by_layer again, on a new optimizer, and compile"


@dataclass(frozen=True)
class Member:
    """A weight and its group.

    Attributes:
        path: The weight's `keras.Variable.path`.
        shape: Its shape.
        group: The name of its group.
        decay: The part of the optimizer's weight decay that it is given.
        variable: The weight itself; None after loading, until the optimizer is built.
    """

    path: str
    shape: tuple[int, ...]
    group: str
    decay: float = 1.0
    variable: Any = None


@dataclass(frozen=True)
class Division:
    """Groups of weights, each with a factor on the learning rate.

    Attributes:
        factors: The factors by the names of the groups.
        members: The weights of the model.
        built: The positions of those that the optimizer was built with; all, before.
    """

    factors: dict[str, float]
    members: tuple[Member, ...]
    built: tuple[int, ...] = ()

    def of(self, variables: Sequence[Any]) -> list[Member]:
        """Return the member for each of an optimizer's variables.

        Those of the model the groups were made for are known by themselves. In a model that was
        loaded they are known by their order, or else by their paths: layers of a subclassed model
        may have other names in another process.

        Raises:
            ValueError: If one is not known.
        """
        known = {id(each.variable): each for each in self.members if each.variable is not None}
        if known:
            found = [known.get(id(variable)) for variable in variables]
        else:
            found = self._by_order(variables) or self._by_path(variables)
        strange = [v.path for v, each in zip(variables, found, strict=True) if each is None]
        if strange:
            rule = "the model has weights that it did not have when its groups were made"
            raise ValueError(complaint(OWNER, rule, ANEW, weights=strange))
        return [each for each in found if each is not None]

    def bound_to(self, variables: Sequence[Any]) -> Division:
        """Return the division with note of what an optimizer is built with."""
        members = list(self.members)
        places = {id(member): place for place, member in enumerate(members)}
        built = [places[id(member)] for member in self.of(variables)]
        for place, variable in zip(built, variables, strict=True):
            members[place] = replace(members[place], variable=variable)
        return replace(self, members=tuple(members), built=tuple(built))

    def check_known(self, built: Sequence[Any], variables: Iterable[Any]) -> None:
        """Raise a ValueError if one of the variables is none of those an optimizer is built for."""
        known = {id(variable) for variable in built}
        late = [variable.path for variable in variables if id(variable) not in known]
        if late:
            raise ValueError(complaint(OWNER, LATE, ANEW, weights=late))

    def check_shapes(self, built: Sequence[Any], values: Iterable[Any]) -> None:
        """Raise a ValueError if values cannot be those of the variables it is built for."""
        known, present = ([tuple(each.shape) for each in group] for group in (built, values))
        late = [shape for shape in present if shape not in known] or present[len(known) :]
        if known != present:
            raise ValueError(complaint(OWNER, LATE, ANEW, shapes=late or present))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` takes."""
        members = [[each.path, list(each.shape), each.group, each.decay] for each in self.members]
        return {"factors": dict(self.factors), "members": members, "built": list(self.built)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Division:
        """Return the division that `get_config` describes, with no model."""
        members = tuple(Member(p, tuple(shape), *rest) for p, shape, *rest in config["members"])
        return cls(dict(config["factors"]), members, tuple(config["built"]))

    def _by_order(self, variables: Sequence[Any]) -> list[Member | None] | None:
        shapes = [tuple(variable.shape) for variable in variables]
        for chosen in ([self.members[place] for place in self.built], self.members):
            if [each.shape for each in chosen] == shapes:
                return list(chosen)
        return None

    def _by_path(self, variables: Iterable[Any]) -> list[Member | None]:
        by_path: dict[str, Member | None] = {}
        for each in self.members:
            by_path[each.path] = None if each.path in by_path else each
        return [by_path.get(variable.path) for variable in variables]


def check_factors(
    argument: str, factors: Mapping[Any, float], known: Sequence[str] | None = None
) -> None:
    """Raise unless factors can be used.

    Args:
        argument: The argument they came in by.
        factors: Factors by group.
        known: The groups there are; None for any.

    Raises:
        TypeError: If they are no dict, or one is no number.
        ValueError: If one is negative, infinite or not a number, or of no known group.
    """
    if not isinstance(factors, Mapping):
        rule, fix = "factors must be a dict, by the names of groups", 'Pass {"backbone": 0.1}'
        raise TypeError(complaint(OWNER, rule, fix, **{argument: factors}))
    for name, factor in factors.items():
        if known is not None and name not in known:
            rule = f"groups must be some of {', '.join(map(repr, known))}"
            raise ValueError(complaint(OWNER, rule, "Pass these names", **{argument: name}))
        fix = "Pass a number of at least 0; 0 freezes the group"
        check_number(OWNER, fix, at_least=0.0, at_most=GREATEST, **{argument: factor})
