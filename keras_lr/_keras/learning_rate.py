"""The learning rate of a compiled model: found, read and made writable through every wrapper."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_lr._checks import complaint
from keras_lr._keras.backend import strategy_scope
from keras_lr._keras.knobs import Knob
from keras_lr._keras.training import compiled_anew
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.values import as_numpy, read_variable
from keras_lr._keras.versions import is_optimizer


def leaf_optimizers(optimizer: Any) -> list[Any]:
    """Return the optimizers that update weights, unwrapped from loss scaling and `MultiOptimizer`.

    Args:
        optimizer: Any Keras optimizer.

    Returns:
        At least one optimizer, in Keras' own order.
    """
    if hasattr(optimizer, "inner_optimizer"):
        return leaf_optimizers(optimizer.inner_optimizer)
    if is_optimizer(optimizer, "MultiOptimizer"):
        return [leaf for inner in optimizer.optimizers for leaf in leaf_optimizers(inner)]
    return [optimizer]


def known_leaves(model: Any, owner: str) -> list[Any]:
    """Return a model's leaf optimizers; build a `MultiOptimizer` that does not know its own yet.

    Raises:
        ValueError: If the model is not built, so that its optimizer cannot be.
    """
    optimizer = model.optimizer
    if not leaf_optimizers(optimizer):
        if not model.built:
            rule = "a MultiOptimizer made of a function has no optimizers before the model is built"
            fix = "Build the model first, by calling it on a batch"
            raise ValueError(complaint(owner, rule, fix, model=model.name))
        with strategy_scope(model):
            optimizer.build(model.trainable_variables)
    return leaf_optimizers(optimizer)


def rate_of(optimizer: Any) -> Any:
    """Return what holds a leaf optimizer's learning rate: a variable, or a schedule."""
    return optimizer._learning_rate


def is_scheduled(optimizer: Any) -> bool:
    """Return whether a leaf optimizer computes its learning rate in the graph."""
    return not isinstance(optimizer._learning_rate, keras.Variable)


def current_learning_rate(optimizer: Any) -> float:
    """Return what a leaf optimizer's next update would use. Not for use inside `fit` on JAX."""
    if not is_scheduled(optimizer):
        return float(read_variable(optimizer._learning_rate))
    return float(as_numpy(optimizer.learning_rate))


def current_learning_rates(model: Any) -> tuple[float, ...]:
    """Return the present learning rate of each leaf optimizer. Not for use inside a step."""
    return tuple(current_learning_rate(leaf) for leaf in leaf_optimizers(model.optimizer))


def proportions(rates: Sequence[float]) -> tuple[float, ...]:
    """Return learning rates as parts of the largest of them; where all are 0, a whole each."""
    largest = max(rates)
    return tuple(rate / largest if largest > 0 else 1.0 for rate in rates)


def default_learning_rate(optimizer: Any) -> float | None:
    """Return the default learning rate of a leaf optimizer's class, if it has one."""
    for base in type(optimizer).__mro__:
        parameters = inspect.signature(vars(base).get("__init__", object)).parameters
        for name in ("learning_rate", "lr"):
            default = parameters[name].default if name in parameters else None
            if isinstance(default, float):
                return default
    return None


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
        variables = [leaf._learning_rate for leaf in leaves]
        self._knob = Knob(variables, proportions(present), scaled=True)
        decays = [getattr(leaf, "_decay", None) for leaf in leaves]
        self._decays = [decay for decay in decays if isinstance(decay, keras.Variable)]

    @property
    def written(self) -> dict[int, float]:
        """What was last written to each variable, by its `id`."""
        return dict(self._knob.written)

    def write(self, state: TrainingState, learning_rate: float) -> None:
        """Make `learning_rate`, times a plateau's scale, the one of the next update."""
        self._knob.write(state, learning_rate)

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
    schedule = optimizer._learning_rate
    with strategy_scope(model):
        variable = keras.Variable(
            current_learning_rate(optimizer),
            dtype=keras.backend.floatx(),
            trainable=False,
            name="learning_rate",
            aggregation="only_first_replica",
        )
    # Past the public setter, which would untrack and reorder the optimizer's variables: a
    # checkpoint written later would no longer load into a fresh optimizer.
    object.__setattr__(optimizer, "_learning_rate", variable)
    optimizer._track_variable(variable)
    try:
        yield
    finally:
        optimizer._untrack_variable(variable)
        object.__setattr__(optimizer, "_learning_rate", schedule)
