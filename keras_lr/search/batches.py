"""The batches that every trial is trained on: drawn once, the same for all."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, overload

import keras
import numpy as np

from keras_lr._checks import check_integer, complaint
from keras_lr._keras.data import is_arrays, numpy_batches, pick_samples, sample_count
from keras_lr._keras.evaluation import Batch
from keras_lr._keras.seeding import generators_kept

_PROBE_SEED = 2**31 - 1  # away from the seeds of the batches


class TrainingData:
    """Data as `Model.fit` takes it, from which fixed batches and a probe are drawn.

    The global random generators are not touched.

    Args:
        owner: The public name the user called, for error messages.
        x: As `Model.fit` takes it, but not a one-shot generator.
        y: As `Model.fit` takes it.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        batch_size: Samples per batch of arrays; None for Keras' 32.

    Raises:
        TypeError: If samples cannot be picked from `x`, as from a sparse matrix.
        ValueError: If there is no data, or it is a one-shot generator.
    """

    def __init__(
        self,
        owner: str,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        batch_size: int | None = None,
    ) -> None:
        if isinstance(x, Iterator):
            rule = "every trial needs the same batches, and a generator gives them only once"
            fix = "Pass arrays, a tf.data.Dataset, a keras.utils.PyDataset or a DataLoader"
            raise ValueError(complaint(owner, rule, fix, x=x))
        self._owner, self._source = owner, (x, y, sample_weight)
        self._class_weight = class_weight
        self._arrays = x is not None and is_arrays(self._source)
        self._length = sample_count(owner, x) if self._arrays else None
        if x is None or self._length == 0:
            rule = "x must hold at least one batch"
            raise ValueError(complaint(owner, rule, "Pass the data to train on", x=x))
        if batch_size is not None:
            check_integer(owner, "32 is Keras' default", at_least=1, batch_size=batch_size)
        self._batch_size = batch_size or 32
        self._held: list[Batch] = []  # of one epoch, the first ones or all
        self._held_all = False

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one epoch has."""
        if self._length is not None:
            return -(-self._length // self._batch_size)
        epochs = self.epochs_in(1)
        if epochs is None:
            rule = "the number of steps of an epoch must be known"
            raise ValueError(complaint(self._owner, rule, "Pass steps instead", epochs="given"))
        return round(1 / epochs)

    @property
    def for_fit(self) -> dict[str, Any]:
        """The data as the arguments of `Model.fit`."""
        x, y, sample_weight = self._source
        given = {"x": x, "y": y, "sample_weight": sample_weight, "class_weight": self._class_weight}
        return given | {"batch_size": self._batch_size if self._arrays else None}

    def epochs_in(self, steps: int) -> float | None:
        """Return how often so many steps see every sample; None if the data's size is unknown."""
        if self._length is not None:
            return steps * self._batch_size / self._length
        try:
            length = len(self._source[0])
        except TypeError:  # tf.data says so of an infinite or unknown length
            length = 0
        return steps / length if length > 0 else None

    def batches(self, count: int, seed: int) -> Sequence[Batch]:
        """Return `count` batches, over as many epochs as that takes.

        Arrays are shuffled afresh for each epoch, and an incomplete last batch is left out, since
        a step would be compiled for it alone. Of other sources one epoch at most is read, and held
        in memory: its batches come back in every epoch, in another order each time.
        """
        if self._arrays:
            return self._shuffled(count, seed)
        held = self._read(count)
        generator = np.random.default_rng(seed)
        epochs = -(-count // len(held))
        order = np.concatenate([generator.permutation(len(held)) for _ in range(epochs)])
        return _Ordered(held, order[:count])

    def probe(self, size: int) -> Batch:
        """Return one batch of `size` samples: from arrays at random, else the first ones."""
        options: dict[str, Any] = {"size": size, "seed": _PROBE_SEED}
        with generators_kept():  # data may draw random numbers as it is read
            return pick_samples(
                self._owner, *self._source, class_weight=self._class_weight, **options
            )

    def _shuffled(self, count: int, seed: int) -> "_Slices":
        samples = self._length or 0
        size = min(self._batch_size, samples)
        per_epoch = samples // size
        generator = np.random.default_rng(seed)
        epochs = -(-count // per_epoch)
        orders = [generator.permutation(samples)[: per_epoch * size] for _ in range(epochs)]
        order = np.concatenate(orders)[: count * size]
        needed, places = np.unique(order, return_inverse=True)

        def pick(leaf: Any) -> Any:
            return None if leaf is None else np.asarray(leaf)[needed]

        data = keras.tree.map_structure(pick, self._source)
        # Through Keras, which casts and folds in the class weights, as for a fit.
        whole = numpy_batches(*data, batch_size=len(needed), class_weight=self._class_weight)
        return _Slices(next(whole), places.reshape(count, size))

    def _read(self, count: int) -> list[Batch]:
        """Return the first `count` batches of an epoch, or all where there are fewer."""
        if len(self._held) < count and not self._held_all:
            source = numpy_batches(*self._source, class_weight=self._class_weight)
            with generators_kept():  # data may draw random numbers as it is read
                self._held = list(itertools.islice(source, count))
            self._held_all = len(self._held) < count
        if not self._held:
            rule = "the data must hold at least one batch"
            fix = "Pass arrays or a dataset that starts again"
            raise ValueError(complaint(self._owner, rule, fix, batches=0))
        return self._held[:count]


class _Ordered(Sequence[Batch]):
    """Batches in a given order, in which one may come several times."""

    def __init__(self, batches: Sequence[Batch], order: np.ndarray) -> None:
        self._batches, self._order = batches, order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return _Ordered(self._batches, self._order[index])
        batch: Batch = self._batches[int(self._order[index])]
        return batch


class _Slices(Sequence[Batch]):
    """Batches picked from arrays only when they are asked for."""

    def __init__(self, data: Batch, places: np.ndarray) -> None:
        self._data, self._places = data, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return _Slices(self._data, self._places[index])
        chosen = self._places[index]
        picked: Batch = keras.tree.map_structure(
            lambda leaf: None if leaf is None else leaf[chosen], self._data
        )
        return picked
