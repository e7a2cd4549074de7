"""The fit a schedule is driven in: how long it is, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_lr.errors import complaint


@dataclass(frozen=True)
class FitInfo:
    """What is known of a fit before its first step.

    Attributes:
        owner: The public name of the callback, for error messages.
        epochs: Number of the last epoch, as given to `fit`; None in a loop of the user's own that
            does not say.
        batches: Batches per epoch; None where `fit` cannot know.
        accumulation: Batches per update.
        learning_rates: The learning rate of each optimizer, as compiled.
        optimizers: Their names.
        group_rates: The learning rates of the groups of the only optimizer, as compiled; none where
            it has no groups.
        first_epoch: The epoch that `fit` was told to begin with.
    """

    owner: str
    epochs: int | None
    batches: int | None
    accumulation: int
    learning_rates: tuple[float, ...]
    optimizers: tuple[str, ...]
    first_epoch: int = 0
    group_rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def may_be_part(self) -> bool:
        """Whether it may be part of a loop of fits over single epochs, with an unknown end."""
        return self.epochs is not None and self.epochs - self.first_epoch == 1

    @property
    def updates(self) -> int | None:
        """Updates in all epochs up to the last one; None where `fit` cannot know."""
        if self.batches is None or self.epochs is None:
            return None
        return self.epochs * self.batches // self.accumulation

    def updates_before(self, epoch: int) -> int:
        """Return how many updates are made before an epoch; it needs `known_batches`."""
        batches = self.known_batches(epoch=epoch) if epoch else 0
        return epoch * batches // self.accumulation

    def updates_in(self, name: str, epochs: float, *, times: int = 1) -> int:
        """Turn a length in epochs into updates, rounded to whole ones, at least 1.

        Args:
            name: The argument that holds the length; `name` ends in `_epochs`.
            epochs: The length.
            times: How many such lengths are meant.

        Raises:
            ValueError: If the number of batches per epoch is not known.
        """
        batches = self.known_batches(**{name: epochs})
        return max(1, round(times * epochs * batches / self.accumulation))

    def known_batches(self, **received: Any) -> int:
        """Return the batches per epoch.

        Args:
            **received: The argument that asks for them.

        Raises:
            ValueError: If `fit` cannot know their number.
        """
        if self.batches is None:
            rule = "a length in epochs needs to know how many batches an epoch has"
            fix = "Pass steps_per_epoch to fit, or give the length in steps"
            raise ValueError(complaint(self.owner, rule, fix, **received))
        return self.batches

    def epoch_of(self, update: int) -> float | None:
        """Return how many epochs are over after so many updates; None where not known."""
        return update * self.accumulation / self.batches if self.batches else None


class FitPosition:
    """Where a fit stands: its epoch and the batches done in it.

    It does not depend on what ran before: a fit that goes on at epoch `k` stands where it would
    stand had it never stopped, and one that begins at epoch 0 stands at 0.

    Attributes:
        run: The fit.
        epoch: Number of the present epoch.
        epoch_begin: Batches before it.
        batch: Batches done since the very first one.
        is_mixed: Whether optimizers of different accumulation have made the updates.
    """

    def __init__(self, run: FitInfo) -> None:
        self.run = run
        self.epoch = self.epoch_begin = self.batch = 0
        self._lead = self._origin = 0
        self.is_mixed = False
        self._counts_by_optimizer = False
        self._accumulation = run.accumulation

    def begin_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch.

        Raises:
            ValueError: If that cannot be known: a fit that goes on in epochs of unknown length.
        """
        if self.run.batches is not None:
            self.batch = epoch * self.run.batches
        elif epoch > 0 and self.batch == 0:
            rule = "a fit that goes on must know how many batches an epoch has"
            fix = "Pass steps_per_epoch to fit"
            raise ValueError(complaint(self.run.owner, rule, fix, initial_epoch=epoch))
        self.epoch, self.epoch_begin = epoch, self.batch

    def begin_epoch_of_loop(self, epoch: int, batches_seen: int) -> None:
        """Go to the beginning of an epoch in a loop of the user's own, counted by the optimizer.

        Args:
            epoch: The epoch. Where the first one is not 0 and epochs have no known length, the loop
                goes on where the optimizer stands.
            batches_seen: What the optimizer has seen in its life.
        """
        if self._counts_by_optimizer:
            self.follow(batches_seen)
        elif self.run.batches is not None or epoch == 0:
            self.begin_epoch(epoch)
            self.count_from(batches_seen)
        else:
            self.follow(batches_seen)
        self._counts_by_optimizer = True
        self.epoch, self.epoch_begin = epoch, self.batch

    def align(self, batches_seen: int) -> None:
        """Take account of batches that a former fit left over for the next update.

        Args:
            batches_seen: What the optimizer has seen in its life.
        """
        self._lead = (batches_seen - self.batch) % self._accumulation

    def advance(self) -> None:
        """Count one batch."""
        self.batch += 1

    def count_from(self, batches_seen: int) -> None:
        """Count by the optimizer from now on, which has seen so many batches in its life."""
        self._origin = batches_seen - self.batch

    def follow(self, batches_seen: int) -> None:
        """Go to where the optimizer stands: in a loop of the user's own."""
        self.batch = batches_seen - self._origin

    def update_at(self, batch: int) -> int:
        """Return how many updates are done after so many batches, by the present optimizer."""
        return (batch + self._lead) // self._accumulation

    def change_optimizer(self, accumulation: int, batches_seen: int) -> None:
        """Go on at the same update with another optimizer, which has seen so many batches."""
        self.is_mixed |= accumulation != self._accumulation
        updates, self._accumulation = self.update, accumulation
        self._lead = updates * accumulation - self.batch + batches_seen % accumulation
        self.count_from(batches_seen)

    @property
    def update(self) -> int:
        """Updates done; the index of the next one."""
        return self.update_at(self.batch)

    @property
    def accumulation(self) -> int:
        """Batches per update of the present optimizer."""
        return self._accumulation

    @property
    def micro_step(self) -> int:
        """Batches that have been accumulated for the next update."""
        return (self.batch + self._lead) % self._accumulation

    @property
    def between_updates(self) -> bool:
        """Whether no batch has been accumulated for the next update."""
        return self.micro_step == 0

    def epoch_ends(self, updates: int) -> int:
        """Return how many epochs end with or before so many updates, the last one of them."""
        batches = self.run.batches
        if not batches:
            return 1
        beyond = updates * self._accumulation - (self.epoch_begin + batches - self.batch)
        return 1 + max(0, -(-beyond // batches))

    @property
    def epoch_over(self) -> bool:
        """Whether the present epoch is known to have no more batches."""
        return self.batch - self.epoch_begin == self.run.batches
