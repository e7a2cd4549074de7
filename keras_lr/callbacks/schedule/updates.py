"""Checks that the optimizers a callback drives make updates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_lr._engine.optimizer_use import PATIENCE, small_weights
from keras_lr._engine.snapshot import other_optimizers
from keras_lr._keras.optimizers import batches_of, iterations_of, leaf_optimizers
from keras_lr._keras.variables import VariableAccess
from keras_lr._warnings import warn
from keras_lr.errors import complaint

FIX = "If train_step uses others, name the model's attributes: optimizers=['d_optimizer']"


def check_loop_tells(owner: str, updates: int) -> None:
    """Raise if a loop of the user's own has made updates and told callbacks of none of its batches.

    Args:
        owner: The public name of the callback.
        updates: Batches that the optimizer has seen in the epoch.

    Raises:
        ValueError: If there are any.
    """
    if updates > 0:
        rule = "a loop of your own must tell of its batches"
        fix = "Call on_train_batch_begin and on_train_batch_end of the CallbackList around each"
        raise ValueError(complaint(owner, rule, fix, untold=updates))


class UpdateWatch:
    """Sees whether driven optimizers update weights, which a custom `train_step` may do by others.

    It is known after some steps if the weights, or other optimizers, have moved in these; a step
    may also gather several batches for an update, so otherwise it is known when the epoch ends.

    Args:
        owner: The public name of the callback.
        model: The model in training.
        leaves: The leaf optimizers that are driven or observed.
        driven: Whether to raise; else there is a warning.
        named: Whether the user has named these: a critic may then make any number of steps first.
        fix: What to do where others make the updates.

    Attributes:
        seen: Whether there has been an update.
    """

    def __init__(
        self,
        owner: str,
        model: Any,
        leaves: Sequence[Any],
        *,
        driven: bool,
        named: bool = False,
        fix: str = FIX,
    ) -> None:
        self._owner, self._leaves, self._fix = owner, leaves, fix
        self._driven, self._named = driven, named
        ours = {id(leaf) for leaf in leaves}
        self._others = [each for each in other_optimizers(model) if id(each) not in ours]
        self._small = [] if named else small_weights(model)
        self._before: list[int] | None = None
        self._around: list[Any] = []
        self._steps = 0
        self.seen = False
        self._warned = False

    @property
    def begun(self) -> bool:
        """Whether a step has come by."""
        return self._before is not None

    def before_step(self, access: VariableAccess) -> None:
        """Note where optimizers and weights stand before the first step."""
        if self._before is None:
            self._before, self._around = self._counts(access), self._surroundings(access)

    def after_step(self, access: VariableAccess) -> bool:
        """Return whether there has been an update; looked at until there is one.

        Raises:
            ValueError: If it is known that these optimizers are not those that train.
        """
        if self.seen:
            return True
        self.seen = self._counts(access) != self._before
        self._steps += 1
        if not self.seen and self._steps == PATIENCE and not self._named:
            present = zip(self._around, self._surroundings(access), strict=True)
            if any(not np.array_equal(old, new) for old, new in present):
                self._tell(f"{PATIENCE} steps")
        return self.seen

    def end_epoch(self) -> None:
        """Raise, or warn where nothing is driven, if a whole epoch has made no update.

        Raises:
            ValueError: If so.
        """
        if self.begun and not self.seen:
            self._tell("a whole epoch")

    def _tell(self, time: str) -> None:
        if self._warned:
            return
        rule = f"the optimizer has made no update in {time}, so its learning rate is not used"
        received = {"optimizers": [leaf.name for leaf in self._leaves]}
        if self._others:
            received["others"] = [each.name for each in self._others]
        message = complaint(self._owner, rule, self._fix, **received)
        if self._driven:
            raise ValueError(message)
        self._warned = True
        warn(message)

    def _counts(self, access: VariableAccess) -> list[int]:
        return [batches_of(leaf, access) for leaf in self._leaves]

    def _surroundings(self, access: VariableAccess) -> list[Any]:
        leaves = [leaf for other in self._others for leaf in leaf_optimizers(other)]
        counters = list(map(iterations_of, leaves))
        return [access.read(variable) for variable in (*counters, *self._small)]
