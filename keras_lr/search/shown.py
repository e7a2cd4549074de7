"""Base class of results that notebooks show as a table and a picture."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np


class Shown:
    """A dataclass that notebooks show as a small table and a picture."""

    def _repr_html_(self) -> str:
        """The table and the picture, as HTML."""
        from keras_lr.plot.html import page

        return page(self, self._told())

    def _told(self) -> Mapping[str, Any]:
        """Return the names and values that sum up the result: its numbers and words."""
        declared: Any = self  # every subclass is a dataclass
        values = {field.name: getattr(self, field.name) for field in fields(declared)}
        kinds = str | float | int | np.number
        return {name.replace("_", " "): v for name, v in values.items() if isinstance(v, kinds)}
