"""Temporary overrides of a model's optimizer settings: used by every step, never saved."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_lr._engine.group_rates import GroupFactors, GroupRates
from keras_lr._engine.hooks import compiled_anew
from keras_lr._engine.hyperparameters import (
    Hyperparameter,
    HyperparameterVariable,
    has_momentum,
    momentum_name,
    refuse_driven,
)
from keras_lr._engine.rate_writes import RateWrites
from keras_lr._keras.backend import strategy_scope
from keras_lr._keras.optimizers import (
    RATE,
    current_learning_rate,
    groups_of,
    is_scheduled,
    leaf_optimizers,
    proportions,
    rate_of,
    replace_setting,
    restore_setting,
    set_rate,
)
from keras_lr._keras.patch import Patch
from keras_lr._keras.variables import VariableAccess, differs, has_value, read_variable
from keras_lr.errors import complaint

SAVING = ("get_config", "save_own_variables", "load_own_variables")
SAVING_A_MODEL = ("save", "get_state_tree")  # in forms that read the optimizer's variables


class HyperparameterOverrides:
    """Hyper-parameters of a model's optimizers, made settable for the length of a `fit`.

    Learning rates are variables of the optimizers already. Momentum and weight decay are plain
    numbers, which TensorFlow and JAX compile into the training step; until `remove`, variables
    take their place, and the step is compiled once more.

    What is saved meanwhile, or loaded, is the optimizer as it is without all this: its own learning
    rate, and no more variables than it has outside of the run.

    Args:
        model: A compiled model, in `on_train_begin`.
        owner: The public name of what drives, for error messages.
        leaves: Its leaf optimizers to be driven; None for all that it is compiled with.
        learning_rate: Whether to drive the learning rates, of which none may have a schedule:
            `"together"`, in their present proportion, `"each"` by itself, or those of all
            `"groups"` of the only leaf.
        momentum: Whether to drive `momentum`, or `beta_1` where an optimizer has that.
        spares: Whether optimizers without momentum are left as they are, instead of refused.
        weight_decay: Whether to drive `weight_decay`.
        schedules: Leaf optimizers with a schedule, and what takes its place.
        scaled: Whether a plateau or a cooldown scales the learning rates.
        held: Returns, for each group of the only leaf, whether the owner holds its factor at 0.
            What else is made of the factors in the meantime, by anyone, is their own.

    Attributes:
        rate_writes: Tells whether something has assigned to a learning rate that is driven.
        learning_rates: What sets the learning rates: nothing, one thing, or one for each optimizer.
        groups: The factors of the only leaf's groups, where it has some that are not driven.
        momentum: What sets the momenta of the optimizers, if that was asked for and any has one.
        weight_decay: What sets the weight decays of all optimizers, if that was asked for.

    Raises:
        ValueError: If an optimizer has no momentum to drive, unless it is to be spared.
    """

    def __init__(
        self,
        model: Any,
        owner: str,
        *,
        leaves: Sequence[Any] | None = None,
        learning_rate: Literal["together", "each", "groups"] | None = None,
        momentum: bool = False,
        spares: bool = False,
        weight_decay: bool = False,
        schedules: Sequence[tuple[Any, Any]] = (),
        scaled: bool = True,
        held: Callable[[], np.ndarray] | None = None,
    ) -> None:
        self._model, self._owner = model, owner
        leaves = leaf_optimizers(model.optimizer) if leaves is None else list(leaves)
        self._held = [leaf for leaf in leaves if not is_scheduled(leaf)] if learning_rate else []
        self._rates = [rate_of(leaf) for leaf in self._held]
        self._schedules = [(leaf, rate_of(leaf), given) for leaf, given in schedules]
        groups, by_group = groups_of(leaves[0]) if len(leaves) == 1 else ((), None)
        sets_factors = held is not None or learning_rate == "groups"
        # The variables that get their own values again; factors are the last.
        self._kept = [*self._rates, *([by_group] if sets_factors else [])]
        self._own_rates, self._held_factors = self._present_rates(), held
        self._stand_ins: list[tuple[Any, str, Any, Any]] = []
        self._is_suspended = self._removed = False
        self.learning_rates: list[Hyperparameter] = []
        self.momentum: Hyperparameter | None = None
        self.weight_decay: Hyperparameter | None = None
        if learning_rate == "together":
            shares = proportions([rate.item() for rate in self._own_rates])
            self.learning_rates = [Hyperparameter(self._rates, shares, scaled=scaled)]
        elif learning_rate == "each":
            self.learning_rates = [
                Hyperparameter([rate], [1.0], scaled=scaled) for rate in self._rates
            ]
        elif learning_rate == "groups":
            self.learning_rates = GroupRates(self._rates[0], groups, by_group).hyperparameters
        if momentum:
            driven = list(filter(has_momentum, leaves)) if spares else leaves
            names = [momentum_name(leaf, owner) for leaf in driven]
            self.momentum = self._replaced(driven, names) if driven else None
        if weight_decay:
            self.weight_decay = self._replaced(leaves, ["weight_decay"] * len(leaves))
        self._undo = contextlib.ExitStack()
        self.rate_writes = RateWrites(self._kept)
        self._undo.callback(self.rate_writes.end)
        observed = groups and not sets_factors
        self.groups = GroupFactors(groups, by_group) if observed else None
        if self.groups is not None:
            self._undo.callback(self.groups.end)
        self._put_on()
        self._undo.callback(self._take_off)
        if self._stand_ins or self._schedules:
            self._undo.enter_context(compiled_anew(model))
        for optimizer in _all(vars(model).get("optimizer"), leaves):
            for method in SAVING:
                self._suspend_during(optimizer, method)
        for method in SAVING_A_MODEL:
            self._suspend_during(model, method)

    def check_held(self) -> None:
        """Raise if an optimizer has been given a schedule in the middle of the run.

        Raises:
            ValueError: If so.
        """
        for leaf, rate in zip(self._held, self._rates, strict=True):
            if rate_of(leaf) is not rate:
                rule = "the optimizer has been given a schedule in a fit that drives its rate"
                fix = "Compile it with one and leave out the callback's, or set a number"
                received = {"learning_rate": rate_of(leaf)}
                raise ValueError(complaint(self._owner, rule, fix, **received))

    def present_rate(self, access: VariableAccess) -> float:
        """Return the largest of the optimizers' learning rates."""
        return max(float(access.read(rate)) for rate in self._rates)

    def own_factors(self) -> np.ndarray:
        """Return the factors of the groups as they are without what the owner holds at 0."""
        own, variable = self._own_rates[-1], self._kept[-1]
        if self._held_factors is not None and has_value(variable):
            present = read_variable(variable)
            own = np.where(self._held_factors() & (present == 0.0), own, present)
            self._own_rates[-1] = own
        return np.array(own)

    def remove(self) -> None:
        """Put everything back. Can be called again."""
        if hasattr(self._model, "jax_state_sync"):
            # Else `fit`, on its way out of an exception, would write the run's values back.
            self._model.jax_state_sync()
        self._undo.close()
        self._removed = True

    def restore_keeping_user_changes(self) -> None:
        """Put everything back long after; but leave a learning rate that has been set since."""
        written = {
            key: value
            for hyperparameter in self.learning_rates
            for key, value in hyperparameter.written.items()
        }
        for index, rate in enumerate(self._kept):
            present = read_variable(rate)
            if differs(rate, present, written.get(id(rate), present)):
                self._own_rates[index] = present
        self.remove()

    def _present_rates(self) -> list[Any]:
        return [read_variable(rate) for rate in self._kept]

    def _replaced(self, leaves: Sequence[Any], names: Sequence[str]) -> Hyperparameter:
        pairs = zip(leaves, names, strict=True)
        return Hyperparameter(
            [self._stand_in(leaf, name) for leaf, name in pairs], [1.0] * len(leaves)
        )

    def _stand_in(self, optimizer: Any, name: str) -> Any:
        own = getattr(optimizer, name)
        refuse_driven(self._owner, name, own)
        with strategy_scope(self._model):
            variable = HyperparameterVariable(
                own or 0.0,
                dtype=keras.backend.floatx(),
                trainable=False,
                name=name,
                aggregation="only_first_replica",
            )
        self._stand_ins.append((optimizer, name, own, variable))
        return variable

    def _put_on(self) -> None:
        for optimizer, _, given in self._schedules:
            set_rate(optimizer, given)  # it stays a schedule
        for optimizer, name, _, variable in self._stand_ins:
            replace_setting(optimizer, name, variable)

    def _take_off(self) -> None:
        if self._held_factors is not None:
            self.own_factors()
        for optimizer, own, _ in self._schedules:
            set_rate(optimizer, own)
        for optimizer, name, own, variable in self._stand_ins:
            restore_setting(optimizer, name, variable, own)
        for rate, own in zip(self._kept, self._own_rates, strict=True):
            rate.assign(own)

    def _suspend_during(self, saved: Any, method: str) -> None:
        def lifted(*arguments: Any, **named: Any) -> Any:
            with self._suspended():
                return patch.original(*arguments, **named)

        patch = Patch(saved, method, lifted)
        self._undo.callback(patch.remove)

    @contextlib.contextmanager
    def _suspended(self) -> Iterator[None]:
        if (
            self._is_suspended or self._removed
        ):  # an optimizer within an optimizer; a run that is over
            yield
            return
        applied = self._present_rates()
        self._take_off()
        self._is_suspended = True
        try:
            yield
        finally:
            self._is_suspended = False
            self._own_rates = self._present_rates()  # may have been loaded
            self._put_on()
            if self._held_factors is not None:
                applied[-1] = np.where(self._held_factors(), 0.0, self._own_rates[-1])
            for rate, value in zip(self._kept, applied, strict=True):
                rate.assign(value)


def _all(optimizer: Any, chosen: Sequence[Any]) -> list[Any]:
    """Return an optimizer, what it is made of, and others that have been chosen beside it."""
    known = [] if optimizer is None else [optimizer, *leaf_optimizers(optimizer), *chosen]
    return list({id(each): each for each in known or chosen}.values())


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
