"""Base class of results: frozen dataclasses that compare, print, travel and become tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import keras
import numpy as np

from keras_lr.search.frames import import_pandas
from keras_lr.search.shown import Shown

if TYPE_CHECKING:
    import pandas as pd


class Result(Shown):
    """A frozen dataclass of numbers, strings, arrays, and tuples of records.

    Its arrays are copied and made read-only. Two results are equal if every field is, NaN counting
    as equal to NaN; fields declared with `compare=False` are left out, of `to_dict` too. Copies
    and pickles are made of the fields.
    """

    # What makes a field again of what `to_dict` wrote, by its name; others are taken as they are.
    _readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def __post_init__(self) -> None:
        """Copy and lock the arrays."""
        for name, value in _values(self).items():
            object.__setattr__(self, name, _locked(value))

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain Python numbers, strings, lists and dicts.

        Values that are not finite stay floats, which Python's `json` writes as NaN and Infinity.
        """
        return {name: _plain(value) for name, value in _values(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The result that `to_dict` wrote down.

        Args:
            values: What `to_dict` returned, through JSON or not.

        Returns:
            A result equal to the one written down.
        """
        given = {
            name: cls._readers[name](value) if name in cls._readers and value is not None else value
            for name, value in values.items()
        }
        return cls(**given)

    def to_dataframe(self) -> "pd.DataFrame":
        """The result as a table.

        Returns:
            A pandas DataFrame.

        Raises:
            ImportError: If pandas is not installed.
        """
        pandas = import_pandas(f"{type(self).__name__}.to_dataframe")
        index, columns = self._table()
        name, values = index
        frame: pd.DataFrame = pandas.DataFrame(dict(columns))
        frame.index = pandas.Index(values, name=name)
        return frame

    def _table(self) -> tuple[tuple[str, Sequence[Any]], Mapping[str, Any]]:
        """Return the name and the values of the table's index, and its columns."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        """Equal fields, array by array."""
        if type(other) is not type(self):
            return NotImplemented
        return _same(_values(self), _values(other))

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        declared: Any = self  # every subclass is a dataclass
        return partial(type(self), **{f.name: getattr(self, f.name) for f in fields(declared)}), ()


def _values(result: Any) -> dict[str, Any]:
    return {field.name: getattr(result, field.name) for field in fields(result) if field.compare}


def _locked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _locked(each) for name, each in value.items()}
    if not isinstance(value, np.ndarray | list):
        return value
    copy = np.array(value)
    copy.setflags(write=False)
    return copy


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, keras.callbacks.History):
        return {"epoch": _plain(value.epoch), "history": _plain(value.history)}
    if hasattr(value, "get_config"):  # a schedule
        return keras.saving.serialize_keras_object(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value):
        return _plain(_values(value))
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _same(mine: Any, other: Any) -> bool:
    if isinstance(mine, np.ndarray) or isinstance(other, np.ndarray):
        both = isinstance(mine, np.ndarray) and isinstance(other, np.ndarray)
        floats = both and mine.dtype.kind == "f"
        return both and np.array_equal(mine, other, equal_nan=floats)
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        return mine.keys() == other.keys() and all(_same(mine[k], other[k]) for k in mine)
    if isinstance(mine, keras.callbacks.History):
        return _same(_plain(mine), _plain(other))
    return bool(mine == other) or (mine != mine and other != other)  # NaN
