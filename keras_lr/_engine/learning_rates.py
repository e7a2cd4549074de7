"""The learning rates of a model's optimizers, moved as one; schedules replaced by variables."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_lr._engine.hooks import compiled_anew
from keras_lr._engine.hyperparameters import Hyperparameter
from keras_lr._engine.state import TrainingState
from keras_lr._keras.backend import strategy_scope
from keras_lr._keras.optimizers import (
    RATE,
    current_learning_rate,
    current_learning_rates,
    default_learning_rate,
    is_scheduled,
    leaf_optimizers,
    proportions,
    rate_of,
    replace_setting,
    restore_setting,
)


class LearningRates:
    """The learning rates of all of a model's optimizers, moved as one.

    The largest of them is "the" learning rate; the others keep their proportion to it, so a
    backbone that learns ten times slower than the head goes on doing so.
    """

    def __init__(self, model: Any) -> None:
        leaves = leaf_optimizers(model.optimizer)
        present = current_learning_rates(model)
        self.initial = max(present)
        self.default = default_learning_rate(leaves[present.index(self.initial)])
        variables = [rate_of(leaf) for leaf in leaves]
        self._hyperparameter = Hyperparameter(variables, proportions(present), scaled=True)
        decays = [getattr(leaf, "_decay", None) for leaf in leaves]
        self._decays = [decay for decay in decays if isinstance(decay, keras.Variable)]

    @property
    def written(self) -> dict[int, float]:
        """What was last written to each variable, by its `id`."""
        return dict(self._hyperparameter.written)

    def write(self, state: TrainingState, learning_rate: float) -> None:
        """Make `learning_rate`, times a plateau's scale, the one of the next update."""
        self._hyperparameter.write(state, learning_rate)

    def hold_decay(self, state: TrainingState) -> None:
        """Switch off the decay of this library's optimizers: what is written is what is used."""
        for variable in self._decays:
            state.write(variable, 0.0)


@contextlib.contextmanager
def held_learning_rates(model: Any) -> Iterator[None]:
    """Replace each in-graph schedule of a model's optimizers by a variable, and put it back.

    The variable starts at the schedule's present value. While it is there the training step is
    another one, so it is traced anew; the old compiled function comes back untouched. Without a
    schedule nothing happens.
    """
    scheduled = [leaf for leaf in leaf_optimizers(model.optimizer) if is_scheduled(leaf)]
    with contextlib.ExitStack() as undo:
        for optimizer in scheduled:
            undo.enter_context(_held(model, optimizer))
        if scheduled:
            undo.enter_context(compiled_anew(model))
        yield


@contextlib.contextmanager
def _held(model: Any, optimizer: Any) -> Iterator[None]:
    schedule = rate_of(optimizer)
    with strategy_scope(model):
        variable = keras.Variable(
            current_learning_rate(optimizer),
            dtype=keras.backend.floatx(),
            trainable=False,
            name="learning_rate",
            aggregation="only_first_replica",
        )
    replace_setting(optimizer, RATE, variable)
    try:
        yield
    finally:
        restore_setting(optimizer, RATE, variable, schedule)
