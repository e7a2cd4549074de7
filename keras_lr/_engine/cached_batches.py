"""Batches of tensors, kept on the device for several runs through them."""

import math
from collections.abc import Sequence
from typing import Any

import keras


class CachedBatches(Sequence[Any]):
    """Batches for several runs, each made when first asked for and then kept.

    Args:
        batches: Batches of tensors.
        room: How many bytes to keep; what does not fit is made each time.
    """

    def __init__(self, batches: Sequence[Any], room: int = 2**28) -> None:
        self._batches, self._room = batches, room
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: Any) -> Any:
        if index in self._kept:
            return self._kept[index]
        batch = self._batches[index]
        size = sum(map(_bytes, keras.tree.flatten(batch)))
        if size <= self._room:
            self._room -= size
            self._kept[index] = batch
        return batch


def _bytes(tensor: Any) -> int:
    """Return how many bytes a tensor takes, at 8 an element, which is the most there is."""
    shape = getattr(tensor, "shape", None) or ()
    return 8 * math.prod(int(dimension or 1) for dimension in shape)
