"""What a run puts over the settings of a model's optimizers: read by every step, saved by none."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_lr._checks import complaint
from keras_lr._keras.backend import strategy_scope
from keras_lr._keras.learning_rate import current_learning_rate, leaf_optimizers
from keras_lr._keras.training import compiled_anew
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.values import read_variable

SAVING = ("get_config", "save_own_variables", "load_own_variables")


class Knob:
    """Variables of several optimizers that are set together, in proportion to their shares.

    Args:
        variables: One per optimizer.
        shares: What the value is multiplied by for each of them.
        scaled: Whether a plateau scales it, as it does the learning rate.
    """

    def __init__(
        self, variables: Sequence[Any], shares: Sequence[float], *, scaled: bool = False
    ) -> None:
        self._parts = list(zip(variables, shares, strict=True))
        self._scaled = scaled
        self.written: dict[int, float] = {}

    def write(self, state: TrainingState, value: float) -> float:
        """Make `value` the one of the next update; return it with a plateau's scale."""
        if self._scaled:
            value *= state.scale
        for variable, share in self._parts:
            state.write(variable, value * share)
            self.written[id(variable)] = value * share
        return value


class Overlay:
    """Hyper-parameters of a model's optimizers, made settable for the length of a `fit`.

    Learning rates are variables of the optimizers already. Momentum and weight decay are plain
    numbers, which TensorFlow and JAX compile into the training step; until `remove`, variables
    take their place, and the step is compiled once more.

    What is saved meanwhile, or loaded, is the optimizer as it is without all this: its own learning
    rate, and no more variables than it has outside of the run.

    Args:
        model: A compiled model, in `on_train_begin`.
        owner: The public name of what drives, for error messages.
        learning_rate: Whether to drive the learning rates, of which none may have a schedule.
        momentum: Whether to drive `momentum`, or `beta_1` where an optimizer has that.
        weight_decay: Whether to drive `weight_decay`.

    Raises:
        ValueError: If an optimizer has no momentum to drive.
    """

    def __init__(
        self,
        model: Any,
        owner: str,
        *,
        learning_rate: bool = False,
        momentum: bool = False,
        weight_decay: bool = False,
    ) -> None:
        self._model = model
        self._leaves = leaf_optimizers(model.optimizer)
        driven = self._leaves if learning_rate else []
        self._rates = [leaf._learning_rate for leaf in driven]
        self._own_rates = self._present_rates()
        self._knobs: list[Knob] = []
        self._stand_ins: list[tuple[Any, str, Any, Any]] = []
        self._lifted = False
        names = {leaf: momentum_name(leaf, owner) for leaf in self._leaves} if momentum else {}
        self._momenta = [self._stand_in(leaf, name) for leaf, name in names.items()]
        decaying = self._leaves if weight_decay else []
        self._decays = [self._stand_in(leaf, "weight_decay") for leaf in decaying]
        self._undo = contextlib.ExitStack()
        self._put_on()
        self._undo.callback(self._take_off)
        if self._stand_ins:
            self._undo.enter_context(compiled_anew(model))
        for optimizer in _tree(model.optimizer):
            for method in SAVING:
                self._lift_during(optimizer, method)

    def learning_rate(self) -> Knob:
        """Return all learning rates as one: the largest; the others keep their proportion to it."""
        largest = max(self._own_rates)
        shares = [rate / largest if largest > 0 else 1.0 for rate in self._own_rates]
        self._knobs = [Knob(self._rates, shares, scaled=True)]
        return self._knobs[0]

    def learning_rates(self) -> list[Knob]:
        """Return the learning rate of each optimizer."""
        self._knobs = [Knob([rate], [1.0], scaled=True) for rate in self._rates]
        return self._knobs

    def momentum(self) -> Knob:
        """Return the momenta of all optimizers."""
        return Knob(self._momenta, [1.0] * len(self._momenta))

    def weight_decay(self) -> Knob:
        """Return the weight decays of all optimizers."""
        return Knob(self._decays, [1.0] * len(self._decays))

    def remove(self) -> None:
        """Put everything back. Can be called again."""
        if hasattr(self._model, "jax_state_sync"):
            # Else `fit`, on its way out of an exception, would write the run's values back.
            self._model.jax_state_sync()
        self._undo.close()

    def remove_later(self) -> None:
        """Put everything back long after; but leave a learning rate that has been set since."""
        written = {key: value for knob in self._knobs for key, value in knob.written.items()}
        for index, rate in enumerate(self._rates):
            present = read_variable(rate).item()
            ours = written.get(id(rate), present)
            if not math.isclose(present, ours, rel_tol=1e-6):
                self._own_rates[index] = present
        self.remove()

    def _present_rates(self) -> list[float]:
        return [read_variable(rate).item() for rate in self._rates]

    def _stand_in(self, optimizer: Any, name: str) -> Any:
        own = getattr(optimizer, name)
        with strategy_scope(self._model):
            variable = _StandIn(
                own or 0.0,
                dtype=keras.backend.floatx(),
                trainable=False,
                name=name,
                aggregation="only_first_replica",
            )
        self._stand_ins.append((optimizer, name, own, variable))
        return variable

    def _put_on(self) -> None:
        for optimizer, name, _, variable in self._stand_ins:
            object.__setattr__(optimizer, name, variable)  # past Keras' own tracking
            optimizer._track_variable(variable)

    def _take_off(self) -> None:
        for optimizer, name, own, variable in self._stand_ins:
            optimizer._untrack_variable(variable)
            object.__setattr__(optimizer, name, own)
        for rate, own in zip(self._rates, self._own_rates, strict=True):
            rate.assign(own)

    def _lift_during(self, optimizer: Any, method: str) -> None:
        original = getattr(optimizer, method)

        def lifted(*arguments: Any, **named: Any) -> Any:
            with self._off():
                return original(*arguments, **named)

        vars(optimizer)[method] = lifted
        self._undo.callback(vars(optimizer).pop, method, None)

    @contextlib.contextmanager
    def _off(self) -> Iterator[None]:
        if self._lifted:  # an optimizer within an optimizer
            yield
            return
        applied = self._present_rates()
        self._take_off()
        self._lifted = True
        try:
            yield
        finally:
            self._lifted = False
            self._own_rates = self._present_rates()  # may have been loaded
            self._put_on()
            for rate, value in zip(self._rates, applied, strict=True):
                rate.assign(value)


class _StandIn(keras.Variable):  # type: ignore[misc]
    """A variable in place of a plain number.

    Optimizers ask by `momentum != 0` or `momentum > 0` whether they have momentum at all. That is a
    question about how they were made, and must have an answer while the step is being compiled.
    """

    __hash__ = keras.Variable.__hash__

    def __ne__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True


def momentum_name(optimizer: Any, owner: str) -> str:
    """Return which attribute of a leaf optimizer is its momentum.

    Raises:
        ValueError: If it has none, or was made without.
    """
    alone = "leave the momentum alone (momentum=None), or change the optimizer"
    for name in ("momentum", "beta_1"):
        value = getattr(optimizer, name, None)
        if value is None:
            continue
        if value == 0:
            rule = "an optimizer made with momentum 0 keeps no velocity to give it one later"
            fix = f"Make it with one, {type(optimizer).__name__}(momentum=0.9), or {alone}"
            raise ValueError(complaint(owner, rule, fix, **{name: value}))
        return name
    rule = "the optimizer must have a momentum or a beta_1 to drive"
    fix = alone.replace("leave", "Leave", 1)
    raise ValueError(complaint(owner, rule, fix, optimizer=type(optimizer).__name__))


def learning_rates(model: Any) -> tuple[float, ...]:
    """Return the present learning rate of each leaf optimizer. Not for use inside a step."""
    return tuple(current_learning_rate(leaf) for leaf in leaf_optimizers(model.optimizer))


def batches_seen(model: Any) -> int:
    """Return how many batches the model's optimizer has seen. Not for use inside a step."""
    return int(read_variable(leaf_optimizers(model.optimizer)[0]._iterations))


def _tree(optimizer: Any) -> list[Any]:
    leaves = leaf_optimizers(optimizer)
    return leaves if leaves[0] is optimizer else [optimizer, *leaves]
