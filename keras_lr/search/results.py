"""Frozen records with arrays: what keeps them frozen when they are copied or pickled."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any


class FrozenRecord:
    """A frozen dataclass that is rebuilt from its fields, which locks its arrays anew."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        declared: Any = self  # every subclass is a dataclass
        return partial(type(self), **{f.name: getattr(self, f.name) for f in fields(declared)}), ()
