"""Whether the optimizers that a callback drives make updates at all."""

from collections.abc import Sequence
from typing import Any

from keras_lr._engine.snapshot import other_optimizers
from keras_lr._engine.state import TrainingState
from keras_lr._keras.optimizers import batches_of
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

    Args:
        owner: The public name of the callback.
        model: The model in training.
        leaves: The leaf optimizers that are driven or observed.
        fix: What to do where others make the updates.

    Attributes:
        seen: Whether there has been an update.
    """

    def __init__(self, owner: str, model: Any, leaves: Sequence[Any], fix: str = FIX) -> None:
        self._owner, self._leaves, self._fix = owner, leaves, fix
        driven = {id(leaf) for leaf in leaves}
        self._others = [each for each in other_optimizers(model) if id(each) not in driven]
        self._before: list[int] | None = None
        self.seen = False
        self._warned = False

    @property
    def begun(self) -> bool:
        """Whether a step has come by."""
        return self._before is not None

    def before_step(self, state: TrainingState) -> None:
        """Note where the optimizers stand before the first step."""
        if self._before is None:
            self._before = self._counts(state)

    def after_step(self, state: TrainingState) -> bool:
        """Return whether there has been an update; looked at until there is one."""
        if not self.seen:
            self.seen = self._counts(state) != self._before
        return self.seen

    def end_epoch(self, *, driven: bool) -> None:
        """Raise, or warn where nothing is driven, if a whole epoch has made no update.

        Raises:
            ValueError: If so.
        """
        if self.seen or self._before is None or self._warned:
            return
        rule = "the optimizer has made no update in a whole epoch, so its learning rate is not used"
        received = {"optimizers": [leaf.name for leaf in self._leaves]}
        if self._others:
            received["others"] = [each.name for each in self._others]
        message = complaint(self._owner, rule, self._fix, **received)
        if driven:
            raise ValueError(message)
        self._warned = True
        warn(message)

    def _counts(self, state: TrainingState) -> list[int]:
        return [batches_of(leaf, state) for leaf in self._leaves]
