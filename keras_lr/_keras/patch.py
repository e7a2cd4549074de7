"""A function put in the place of a method of one object for a time."""

from collections.abc import Callable
from typing import Any


class Patch:
    """A function that an object has instead of its own method until `remove`.

    Patches of one method may be removed in any order; whatever else has been put over them since
    stays.

    Args:
        owner: The object.
        name: The method's name.
        function: What to call instead.

    Attributes:
        original: What there was before; to be called by `function`.
        before: The same where the object itself had it, as an earlier patch; else None.
        removed: Whether `remove` has been called.
    """

    def __init__(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        self.original = getattr(owner, name)
        self.removed = False
        self.function = function
        self._owner, self._name = owner, name
        self.before = vars(owner).get(name)
        vars(owner)[name] = self

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function, or what there was before where something still holds a removed one."""
        return (self.original if self.removed else self.function)(*arguments, **named)

    def remove(self) -> None:
        """Give the object back what it had. Can be called again."""
        self.removed = True
        attributes = vars(self._owner)
        present = attributes.get(self._name)
        while isinstance(present, Patch) and present.removed:
            present = present.before
            if present is None:
                del attributes[self._name]
            else:
                attributes[self._name] = present
