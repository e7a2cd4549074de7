"""`Unfreeze`: groups of layers begin to train at given epochs of one fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_lr._engine.frozen_groups import FrozenGroups
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.restoring import RestoringCallback
from keras_lr._engine.state import TrainingState
from keras_lr._engine.step import StepHook
from keras_lr._keras.optimizers import groups_of, known_leaves
from keras_lr.errors import check_integer, complaint

OWNER = "Unfreeze"


class Unfreeze(RestoringCallback):
    r"""Freeze groups of layers at first, and let them train from given epochs on.

    The optimizer is one of `by_layer`. A group that is frozen has a factor of 0 on its learning
    rate, and then its own again: nothing is compiled anew, the optimizer keeps its state, and what
    drives or searches the learning rate goes on. `BatchNormalization` in a frozen group is in
    inference mode, with the statistics it has, as under `trainable=False`. That is compiled into
    the training step, so a model with such layers is compiled once more when they thaw.

    It depends on the epoch alone: a fit that goes on with `initial_epoch`, or after
    `BackupAndRestore`, does so with the groups frozen that are. What is saved in the meantime has
    the optimizer's own factors, and when the fit ends, so has the optimizer.

    Gradients are still computed for a frozen group, so an epoch takes as long as any other, and
    they count in `global_clipnorm`. Adam's moments follow them, so that a group thaws with moments
    that fit the number of updates, where fresh ones would make its first steps too large.

    Args:
        at: The number of the epoch, from 0 on, from which each group trains: a dict by the names
            of groups. Those it does not name are never frozen. None for gradual unfreezing: the
            last group of the model trains from epoch 0 on, and another one, from the outputs to the
            inputs, joins every `every` epochs.
        every: See `at`.

    Raises:
        TypeError: If an epoch is no integer.
        ValueError: If an epoch is negative or `every` is below 1. At the beginning of `fit` if the
            optimizer has no groups, or not these; if a group that is to thaw has a factor of 0; if
            no group would train; if the optimizer cannot do with a learning rate of 0, as Ftrl; or
            if there are two of these callbacks.

    Example:
        >>> import keras, keras_lr, numpy as np
        >>> from keras_lr import Unfreeze
        >>> layers = [keras.layers.Dense(4, name="body"), keras.layers.Dense(1, name="head")]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> model.compile(keras_lr.by_layer("adam", model, {"body": 0.1, "head": 1.0}), "mse")
        >>> x = np.ones((32, 4))
        >>> callbacks = [Unfreeze({"body": 1}), keras_lr.LRScheduler()]
        >>> history = model.fit(x, x[:, :1], epochs=3, callbacks=callbacks, verbose=0)
        >>> print(np.round(history.history["learning_rate/body"], 5))
        [0.     0.0001 0.0001]

    Reference:
        Howard and Ruder, arXiv:1801.06146, Section 3.3, gradual unfreezing.
    """

    def __init__(self, at: Mapping[str, int] | None = None, *, every: int = 1) -> None:
        super().__init__()
        check_integer(OWNER, "Pass a number of epochs", at_least=1, every=every)
        if at is not None:
            if not isinstance(at, Mapping):
                rule = "at must be a dict of groups and the epochs from which they train"
                fix = 'Pass {"backbone": 1}, or None for one group after the other'
                raise TypeError(complaint(OWNER, rule, fix, at=at))
            for epoch in at.values():
                check_integer(OWNER, "Pass the number of an epoch", at_least=0, at=epoch)
        self._at, self._every = at, every
        self._thaws: dict[str, int] = {}
        self._trained: list[str] = []
        self._hook: _Hook | None = None
        self._groups: FrozenGroups | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the groups are those of the optimizer. Called by `fit`."""
        model = self.model
        self.restore()
        self._begin()
        self._hook = _Hook(self)
        function = attach(model, self._hook)
        if sum(hook.owner == OWNER for hook in function.hooks) > 1:
            self.restore()
            rule = "one of them is enough in a fit: two would freeze and thaw the same groups"
            fix = "Pass one with the epochs of all groups"
            raise ValueError(complaint(OWNER, rule, fix, callbacks="two Unfreeze"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Freeze and thaw. Called by `fit`.

        Raises:
            ValueError: If no group is to train in this epoch.
        """
        if self._groups is None:
            return
        _ = self.model  # on JAX, this lets the variables be read
        frozen = [group for group, thaw in self._thaws.items() if thaw > epoch]
        if set(frozen) >= set(self._trained):
            self.restore()
            rule = f"some group must train in every epoch, but in epoch {epoch} none does"
            raise ValueError(complaint(OWNER, rule, "Let one thaw at epoch 0", at=self._thaws))
        self._groups.freeze(frozen)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Give the optimizer its own factors again. Called by `fit`."""
        _ = self.model
        self.restore()

    def restore(self) -> None:
        """Give the optimizer its own factors again; `fit` has it done when it ends or raises."""
        if self._groups is not None:
            self._groups.remove()
        if self._hook is not None:
            detach(self._model, self._hook)
        self._groups = self._hook = None

    def follow_compilation(self) -> None:
        """Go over to the optimizer that the model has been compiled with in mid-fit."""
        if self._groups is None:
            return
        frozen = self._groups.frozen
        self._groups.remove()
        self._groups = None
        self._begin().freeze(frozen)

    def _begin(self) -> FrozenGroups:
        """Take the model's optimizer; plan the epochs at which its groups thaw."""
        leaves = known_leaves(self._model, OWNER)
        names, _ = groups_of(leaves[0])
        if len(leaves) > 1 or not names:
            rule = "the optimizer must have groups of layers"
            fix = "Compile with keras_lr.by_layer(optimizer, model, {...})"
            received = type(self._model.optimizer).__name__
            raise ValueError(complaint(OWNER, rule, fix, optimizer=received))
        (leaf,) = leaves
        if isinstance(leaf, keras.optimizers.Ftrl):
            rule = "Ftrl divides by the learning rate, which must not be 0"
            fix = "Freeze layers by trainable=False, or use another optimizer"
            raise ValueError(complaint(OWNER, rule, fix, optimizer="Ftrl"))
        factors = leaf.factors
        self._trained = [name for name, factor in factors.items() if factor]
        self._thaws = self._planned(leaf)
        still = [name for name, epoch in self._thaws.items() if epoch and not factors[name]]
        if still:
            rule = "a group that is to thaw must have a factor above 0"
            fix = "Give by_layer the factor that it is to have then"
            raise ValueError(complaint(OWNER, rule, fix, groups=still))
        self._groups = FrozenGroups(self._model, OWNER, leaf)
        return self._groups

    def _planned(self, leaf: Any) -> dict[str, int]:
        """Return the epoch from which each group trains.

        Raises:
            ValueError: If a name is that of no group.
        """
        if self._at is None:
            names = [name for name in leaf.groups if name in self._trained]
            return {name: self._every * place for place, name in enumerate(reversed(names))}
        known = tuple(leaf.factors)
        strange = [name for name in self._at if name not in known]
        if strange:
            rule = f"groups must be some of {', '.join(map(repr, known))}"
            raise ValueError(complaint(OWNER, rule, "Pass these names", at=strange))
        return dict(self._at)


class _Hook(StepHook):
    """Lets the callback hear of what happens around the steps; it has nothing to do in them."""

    owner = OWNER
    each_step = False

    def __init__(self, callback: Unfreeze) -> None:
        self._callback = callback

    def on_compiled(self, state: TrainingState) -> None:
        """Go over to the optimizer that the model has been compiled with."""
        self._callback.follow_compilation()

    def on_interrupt(self) -> None:
        """Give the optimizer its factors: an exception is on its way out of `fit`."""
        self._callback.restore()

    def on_fit_over(self) -> None:
        """Give the optimizer its factors: the fit is over, or another one begins."""
        self._callback.restore()
