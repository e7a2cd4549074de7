"""The batches that every trial is trained on: drawn once, the same for all, as `fit` makes them."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, overload

import keras
import numpy as np

from keras_lr._keras.data import Batch, FitData, Rows, batch_length, is_arrays
from keras_lr._keras.own_fit import batches_of_own_fit, has_own_fit
from keras_lr._keras.random import random_state_kept, seed_generators
from keras_lr.errors import complaint
from keras_lr.search.batch_faults import NamedBatchFaults
from keras_lr.search.feeding import check_feeding, with_validation
from keras_lr.search.given import check_data
from keras_lr.search.representatives import batches_in_order, chosen_batches, drawn_batches

_PROBE_SEED = 2**31 - 1  # away from the seeds of the batches
_PROBE_SAMPLES, _PROBE_BATCHES = 256, 8


class TrainingData:
    """Data as `Model.fit` takes it, from which fixed batches and a probe are drawn.

    Each batch has the structure, the dtypes and the size that `fit` would give it. The global
    random generators are not touched.

    Args:
        owner: The public name the user called, for error messages.
        x: As `Model.fit` takes it, but not a one-shot generator.
        y: As `Model.fit` takes it.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        batch_size: As `Model.fit` takes it.
        steps_per_epoch: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it. Batches of a dataset, too, come in another order in each
            epoch, unless it is False.
        model: The model the data is for. It matters where its `fit` is not Keras' own.
        hint: What may have been meant by a `y` beside a dataset, for the error message.

    Raises:
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
        steps_per_epoch: int | None = None,
        shuffle: bool | str = True,
        model: Any = None,
        hint: str = "",
    ) -> None:
        if isinstance(x, Iterator):
            rule = "every trial needs the same batches, and a generator gives them only once"
            fix = "Pass arrays, a tf.data.Dataset, a keras.utils.PyDataset or a DataLoader"
            raise ValueError(complaint(owner, rule, fix, x=x))
        check_feeding(owner, batch_size, steps_per_epoch, shuffle)
        self._owner, self.model, self._shuffle = owner, model, shuffle
        self.for_fit = FitData(
            x=x,
            y=y,
            sample_weight=sample_weight,
            class_weight=class_weight,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            shuffle=shuffle,
        )
        empty = x is None or (is_arrays(x) and _is_empty(x))
        if empty:
            rule = "x must hold at least one batch"
            raise ValueError(complaint(owner, rule, "Pass the data to train on", x=x))
        check_data(owner, self.for_fit, model, hint=hint)
        self._own_fit = has_own_fit(model)
        self._rows: Rows | None = None if self._own_fit else self.for_fit.rows
        self._held: list[Batch] = []  # of one epoch, the first ones or all
        self._held_all = False
        self._own_length: int | None = None

    @classmethod
    def beside_validation(
        cls,
        owner: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any,
        *,
        validation_split: float,
        validation_batch_size: int | None,
        validation_steps: int | None,
        batch_size: int | None,
        model: Any,
        **given: Any,
    ) -> "tuple[TrainingData, FitData | None]":
        """Return the training data and the validation data, told apart as `Model.fit` does.

        Args:
            owner: The public name the user called, for error messages.
            x: As `Model.fit` takes it.
            y: As `Model.fit` takes it.
            sample_weight: As `Model.fit` takes it.
            validation_data: As `Model.fit` takes it; so are the arguments that begin alike.
            validation_split: See `validation_data`.
            validation_batch_size: See `validation_data`.
            validation_steps: See `validation_data`.
            batch_size: As `Model.fit` takes it.
            model: The model the data is for.
            **given: Further arguments of `TrainingData`.

        Raises:
            TypeError: If something is not what Keras takes.
            ValueError: If there is no data, or its parts do not fit together.
        """
        (x, y, sample_weight), validation = with_validation(
            owner,
            (x, y, sample_weight),
            validation_data,
            split=validation_split,
            batch_size=batch_size,
            validation_batch_size=validation_batch_size,
            steps=validation_steps,
            model=model,
        )
        given |= {"sample_weight": sample_weight, "batch_size": batch_size, "model": model}
        return cls(owner, x, y, **given), validation

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one epoch has."""
        length = self.known_steps_per_epoch
        if length is None:
            rule = "the number of steps of an epoch must be known"
            fix = "Pass steps_per_epoch too, or steps instead"
            raise ValueError(complaint(self._owner, rule, fix, epochs="given"))
        return length

    @property
    def known_steps_per_epoch(self) -> int | None:
        """How many batches one epoch has; None if that is not known beforehand."""
        return self.for_fit.steps_per_epoch or self._length

    def epochs_in(self, steps: int) -> float | None:
        """Return how often so many steps see every sample; None if the data's size is unknown."""
        if self._rows is not None:
            return steps * self._rows.batch_size / self._rows.count
        return steps / self._length if self._length else None

    def batches(self, count: int, seed: int) -> Sequence[Batch]:
        """Return `count` batches, over as many epochs as that takes.

        Arrays are shuffled afresh for each epoch. Of other sources one epoch at most is read, and
        held in memory: its batches come back in every epoch, in another order each time.
        """
        if self._rows is not None:
            return _Drawn(self._rows, count, seed, self._shuffle)
        held = self._read(count)
        generator = np.random.default_rng(seed)
        order = np.arange(count) % len(held)
        if self._shuffle:
            epochs = -(-count // len(held))
            orders = [generator.permutation(len(held)) for _ in range(epochs)]
            order = np.concatenate(orders)[:count]
        return _Ordered(held, order)

    def faults_named(self) -> NamedBatchFaults:
        """Return a context in which errors that a batch causes name the batch."""
        return NamedBatchFaults(self._owner, self.for_fit.x)

    def probe(self, samples: int | None = None) -> list[Batch]:
        """Return whole batches that are not for training, and represent the data by their targets.

        Of other sources than arrays they are some of those that have been read, else the first.

        Args:
            samples: How many samples they hold at least, if there are so many; None for about 256,
                in 8 batches at most.
        """
        most = _PROBE_BATCHES if samples is None else samples
        wanted = samples or _PROBE_SAMPLES
        if self._rows is not None:
            whole = max(1, self._rows.count // self._rows.batch_size)
            most = min(most, whole, -(-wanted // self._rows.batch_size))
            choose = drawn_batches if self._shuffle is True else batches_in_order
            return choose(self._rows, most, _PROBE_SEED)
        first = self._read(most)
        held = np.cumsum([batch_length(batch) for batch in first])
        most = min(len(first), int(np.searchsorted(held, wanted)) + 1)
        return chosen_batches(self._held, most, _PROBE_SEED)

    @property
    def _length(self) -> int | None:
        """The number of batches in one pass over the data, if it can be known beforehand."""
        if not self._own_fit:
            length: int | None = self.for_fit.adapter.num_batches
        else:
            self._read(1)
            length = self._own_length
        return length if length and length < 2**40 else None

    def _read(self, count: int) -> list[Batch]:
        """Return the first `count` batches of an epoch, or all where there are fewer."""
        if len(self._held) < count and not self._held_all:
            if self._own_fit:
                arguments = self.model, self.for_fit, count, 0
                self._held, self._own_length = batches_of_own_fit(*arguments)
            else:
                # Data may draw random numbers as it is read.
                with random_state_kept(), self.faults_named():
                    seed_generators(0)  # the same in every call
                    self._held = list(itertools.islice(self.for_fit.batches(), count))
            self._held_all = len(self._held) < count
            for index, batch in enumerate(self._held):
                if batch_length(batch) == 0:
                    rule, fix = "each batch must hold samples", "Look at what the dataset gives"
                    raise ValueError(complaint(self._owner, rule, fix, batch=index, samples=0))
        if not self._held:
            rule = "the data must hold at least one batch"
            fix = "Pass arrays or a dataset that starts again"
            raise ValueError(complaint(self._owner, rule, fix, batches=0))
        return self._held[:count]


def _is_empty(x: Any) -> bool:
    shapes = [leaf.shape for leaf in keras.tree.flatten(x) if hasattr(leaf, "shape")]
    return not shapes or any(shape[:1] == (0,) for shape in shapes)


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
        return self._batches[int(self._order[index])]


class _Drawn(Sequence[Batch]):
    """Batches picked from arrays, in the order of a seed, only when they are asked for."""

    def __init__(self, rows: Rows, count: int, seed: int, shuffle: bool | str) -> None:
        self._rows, self._count, self._seed, self._shuffle = rows, count, seed, shuffle
        self._per_epoch = -(-rows.count // rows.batch_size)
        self._generator, self._drawn = np.random.default_rng(seed), -1  # the last epoch drawn
        self._order = np.empty(0, dtype=int)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return _Ordered(self, np.arange(self._count)[index])
        if not -self._count <= index < self._count:
            raise IndexError(index)
        epoch, place = divmod(index % self._count, self._per_epoch)
        size = self._rows.batch_size
        return self._rows.pick(self._epoch(epoch)[place * size : (place + 1) * size])

    def _epoch(self, epoch: int) -> np.ndarray:
        """Return the order of the samples in an epoch."""
        if epoch < self._drawn:
            self._generator, self._drawn = np.random.default_rng(self._seed), -1
        while self._drawn < epoch:
            self._order, self._drawn = self._next_order(), self._drawn + 1
        return self._order

    def _next_order(self) -> np.ndarray:
        order, size = np.arange(self._rows.count), self._rows.batch_size
        if self._shuffle == "batch":
            parts = [order[first : first + size] for first in range(0, len(order), size)]
            return np.concatenate([self._generator.permutation(part) for part in parts])
        return self._generator.permutation(order) if self._shuffle else order
