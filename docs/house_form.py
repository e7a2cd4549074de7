"""Tells griffe, which reads the code for the reference, of two habits of this library."""

from typing import Any

import griffe


class HouseForm(griffe.Extension):
    """Shows the fields of schedules as arguments, and the `Example` of a docstring as code."""

    def on_class_instance(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Put `dataclass` in the place of the decorators that make one."""
        for decorator in cls.decorators:
            if str(decorator.value) in ("schedule", "frozen"):
                decorator.value = griffe.ExprName("dataclasses.dataclass")

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Name the section of examples as griffe expects it."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
