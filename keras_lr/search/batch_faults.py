"""Batches of a user's dataset that no training step can take, named when a search fails on them."""

from types import TracebackType
from typing import Any

import keras

from keras_lr.errors import complaint

_MOST = 100  # batches that are looked at


class NamedBatchFaults:
    """Tells which batch of a `PyDataset` is at fault where the block raises an error because of it.

    Keras' own error then names no batch, and not what the user called. An error that the dataset
    itself raises is the user's own, and passes as it is.

    Args:
        owner: The public name the user called.
        x: What the search is fed. Only a `PyDataset` can be looked at once more.
    """

    def __init__(self, owner: str, x: Any) -> None:
        self._owner, self._x = owner, x

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Raise a ValueError in the user's terms if a batch is at fault."""
        is_ours = str(error).startswith((f"{self._owner}: ", "LRRangeTest: "))
        if isinstance(error, Exception) and not is_ours:
            self._look()

    def _look(self) -> None:
        x = self._x
        if not isinstance(x, keras.utils.PyDataset) or x.num_batches is None:
            return
        for index in range(min(x.num_batches, _MOST)):
            check_batch(self._owner, x[index], index)


def check_batch(owner: str, batch: Any, index: int) -> None:
    """Raise unless a batch is a tuple of one to three parts or a dict, and holds samples.

    Args:
        owner: The public name the user called.
        batch: What the dataset returned.
        index: Of the batch.
    """
    received: dict[str, Any] = {"batch": index}
    if not isinstance(batch, dict) and not (isinstance(batch, tuple) and 1 <= len(batch) <= 3):
        rule = "each batch must be a dict, (x,), (x, y) or (x, y, sample_weight)"
        fix = "Return one of these from __getitem__"
        raise ValueError(complaint(owner, rule, fix, **received, type=type(batch).__name__))
    lengths = _lengths(batch)
    if lengths and min(lengths) == 0:
        rule = "each batch must hold samples, up to the length that the dataset says it has"
        fix = "Look at its __len__ and __getitem__"
        raise ValueError(complaint(owner, rule, fix, **received, samples=0))
    if len(set(lengths)) > 1:
        rule = "all parts of a batch must have one number of samples"
        fix = "Look at the dataset's __getitem__"
        raise ValueError(complaint(owner, rule, fix, **received, samples=lengths))


def _lengths(batch: Any) -> list[int]:
    leaves = keras.tree.flatten(batch)
    shapes: list[Any] = [getattr(leaf, "shape", ()) for leaf in leaves]
    return [int(shape[0]) for shape in shapes if len(shape) and shape[0] is not None]
