"""Optimizers whose learning rate has a factor for each group of weights.

The class is derived from that of the user's optimizer, whose own update is made: nothing is wrapped
around it, and no update is scaled afterwards, which would be exact for some optimizers only.

- One learning rate, `optimizer.learning_rate`, a number or a schedule, is what everything else
  reads, drives and searches. The factors are optimizer variables beside it, so a change of one
  compiles nothing anew, JAX carries them through its state, and they are saved with the moments.
- Keras gives `update_step(gradient, variable, learning_rate)` the rate of each weight: the product
  takes its place. That is all on JAX and TensorFlow, sparse gradients and strategies included.
- On torch, Keras' optimizers update all weights in one call, past `update_step`. That call is made
  once for each group; what it advances for all weights together, as Nadam's product, only once.
- Decoupled weight decay reads `self.learning_rate` instead. It is applied group by group, and the
  property gives the group's rate, times its share of the decay, in the meantime.
- Clipping, accumulation, averages, loss scaling and constraints are done by Keras around all this,
  over all weights at once, as without groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import keras
from keras import ops

from keras_lr._keras.optimizers import is_scheduled, rate_of, set_rate, trained_variables
from keras_lr._keras.variables import decimals
from keras_lr.errors import complaint
from keras_lr.optimizers.division import OWNER, Division, Member, check_factors

_register = keras.saving.register_keras_serializable(package="keras_lr", name="ByLayer")


@_register
class ByLayer(keras.optimizers.Optimizer):  # type: ignore[misc]
    """The part that all optimizers made by `by_layer` share."""

    _groups_base: ClassVar[type | None] = None
    _groups_division: Division
    _groups_members: Mapping[int, Member]
    _groups_names: tuple[str, ...]
    _groups_factors: Any
    _groups_current: Member | None = None
    _groups_decaying = False

    @property
    def factors(self) -> dict[str, float]:
        """The factors on the learning rate, by the names of the groups.

        Assigning a dict sets those of the groups in it, from the next update on and without a
        retrace. A group whose factor becomes 0 stops at once: a velocity that it has is lost.
        """
        self._groups_check_attached()
        return dict(zip(self._groups_names, decimals(self._groups_factors), strict=True))

    @factors.setter
    def factors(self, factors: Mapping[str, float]) -> None:
        self._groups_check_attached()
        check_factors("factors", factors, known=self._groups_names)
        self._groups_check_zero(factors)
        changed = {**self.factors, **factors}
        self._groups_factors.assign([float(changed[name]) for name in self._groups_names])
        self.stop([name for name, factor in factors.items() if not factor])

    @property
    def factor_variable(self) -> tuple[tuple[str, ...], Any]:
        """The names of the groups, and the variable that holds their factors in this order."""
        return self._groups_names, self._groups_factors

    @property
    def groups(self) -> dict[str, list[str]]:
        """The paths of the weights in each group, groups and weights in the order of the model."""
        found: dict[str, list[str]] = {}
        for member in reversed(self._groups_division.members):
            found.setdefault(member.group, []).insert(0, member.path)
        return dict(reversed(found.items()))

    def group_of(self, variable: Any) -> str:
        """Return the name of the group that a weight is in.

        Args:
            variable: A `keras.Variable` of the model.

        Raises:
            ValueError: If it is in none.
        """
        return self._groups_division.of([variable])[0].group

    def stop(self, groups: Collection[str]) -> None:
        """Take the velocity from weights: it would carry them on at a learning rate of 0.

        Args:
            groups: The names of their groups.
        """
        if not isinstance(self, keras.optimizers.SGD | keras.optimizers.RMSprop):
            return
        velocities = getattr(self, "momentums", None) or getattr(self, "_momentums", None)
        for index, velocity in enumerate(velocities or []):  # there are none without momentum
            if velocity is not None and self._groups_members[index].group in groups:
                velocity.assign(ops.zeros(velocity.shape, velocity.dtype))

    @property
    def learning_rates(self) -> dict[str, float]:
        """The learning rates of the coming update, by the names of the groups. Read only."""
        (rate,) = decimals(self._get_current_learning_rate())
        return {name: rate * factor for name, factor in self.factors.items()}

    def build(self, variables: Sequence[Any]) -> None:
        """Create the optimizer's variables, unless they are there already.

        Raises:
            ValueError: If a weight is in no group, as one that came after the groups were made.
        """
        if not self.built:
            division = self._groups_division.bound_to(variables)
            members = dict(enumerate(division.of(variables)))
            self._groups_set(_groups_division=division, _groups_members=members)
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one weight, with the learning rate of its group."""
        if self._groups_current is not None:
            super().update_step(gradient, variable, learning_rate)
            return
        member = self._groups_member(variable)
        with self._groups_updating(member):
            super().update_step(gradient, variable, self._groups_rate(learning_rate, member))

    def get_config(self) -> dict[str, Any]:
        """Return what makes an equal optimizer, without the model and in another process too."""
        base: Any = self._groups_base
        kind = {
            "module": base.__module__,
            "class_name": base.__name__,
            "registered_name": keras.saving.get_registered_name(base),
        }
        groups = self._groups_division.get_config() | {"factors": self.factors}
        return {**super().get_config(), "optimizer": kind, "groups": groups}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Return the optimizer that `get_config` describes."""
        config = dict(config)
        kind, groups = config.pop("optimizer"), config.pop("groups")
        made: Any = cls
        if cls._groups_base is None:
            kind = {**kind, "config": config}
            made = class_with_groups(type(keras.optimizers.deserialize(kind, custom_objects)))
        return made.undivided(config)._groups_begin(Division.from_config(groups))

    @classmethod
    def undivided(cls, config: dict[str, Any]) -> Any:
        """Return an optimizer that is yet to be given its groups."""
        return super().from_config(config)

    def load_own_variables(self, store: Any) -> None:
        """Load saved variables, those of the optimizer without groups too."""
        places = [i for i, each in enumerate(self.variables) if each is self._groups_factors]
        if len(store.keys()) + len(places) != len(self.variables):
            super().load_own_variables(store)  # if there are too few or too many, Keras warns
            return
        saved = iter(range(len(store.keys())))
        padded = {
            str(place): variable.numpy() if place in places else store[str(next(saved))]
            for place, variable in enumerate(self.variables)
        }
        super().load_own_variables(padded)

    def take_state(self, other: Any) -> None:
        """Go on from where an optimizer without groups stands, which has been built."""
        self.build(trained_variables(other))
        own = [variable for variable in self.variables if variable is not self._groups_factors]
        for variable, value in zip(own, other.variables, strict=True):
            variable.assign(value)

    def stateless_apply(
        self, optimizer_variables: Any, grads: Any, trainable_variables: Any
    ) -> Any:
        """Return weights and optimizer variables after an update, as JAX needs it."""
        self._groups_division.check_shapes(self._trainable_variables, trainable_variables)
        return super().stateless_apply(optimizer_variables, grads, trainable_variables)

    def _check_variables_are_known(self, variables: Sequence[Any]) -> None:
        self._groups_division.check_known(self._trainable_variables, variables)

    def _groups_begin(self, division: Division) -> Any:
        """Give the optimizer its groups; return it."""
        self._groups_check_zero(division.factors)
        names = tuple(division.factors)
        factors = self.add_variable((len(names),), aggregation="only_first_replica", name="factors")
        factors.assign(list(division.factors.values()))
        self._groups_set(
            _groups_division=division,
            _groups_members={},
            _groups_names=names,
            _groups_factors=factors,
        )
        return self

    def _backend_update_step(
        self, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        if not hasattr(self, "_parallel_update_step"):
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        groups: dict[str, list[tuple[Any, Any]]] = {}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            groups.setdefault(self._groups_member(variable).group, []).append((gradient, variable))
        common = getattr(self, "_u_product", None)  # Nadam's; each call multiplies it
        before = None if common is None else ops.copy(common)
        for pairs in groups.values():
            gradients, variables = map(list, zip(*pairs, strict=True))
            if common is not None:
                common.assign(before)
            member = self._groups_member(variables[0])
            with self._groups_updating(member):
                rate = self._groups_rate(learning_rate, member)
                super()._backend_update_step(gradients, variables, rate)

    def _apply_weight_decay(self, variables: Any) -> None:
        parts: dict[tuple[str, float], list[Any]] = {}
        for variable in variables:
            member = self._groups_member(variable)
            if member.decay and self._use_weight_decay(variable):
                parts.setdefault((member.group, member.decay), []).append(variable)
        for alike in parts.values():
            with self._groups_updating(self._groups_member(alike[0]), decaying=True):
                super()._apply_weight_decay(alike)

    def _get_current_learning_rate(self) -> Any:
        rate = super()._get_current_learning_rate()
        if self._groups_current is None:
            return rate
        rate = self._groups_rate(rate, self._groups_current)
        return ops.multiply(rate, self._groups_current.decay) if self._groups_decaying else rate

    def _groups_rate(self, learning_rate: Any, member: Member) -> Any:
        place = self._groups_names.index(member.group)
        return ops.multiply(learning_rate, self._groups_factors[place])

    @contextmanager
    def _groups_updating(self, member: Member, *, decaying: bool = False) -> Iterator[None]:
        """Let `self.learning_rate` be that of a weight, times its share of the decay if asked."""
        self._groups_set(_groups_current=member, _groups_decaying=decaying)
        try:
            yield
        finally:
            self._groups_set(_groups_current=None, _groups_decaying=False)

    def _groups_member(self, variable: Any) -> Member:
        return self._groups_members[self._get_variable_index(variable)]

    def _groups_check_zero(self, factors: Mapping[str, float]) -> None:
        if isinstance(self, keras.optimizers.Ftrl) and not all(factors.values()):
            rule = "Ftrl divides by the learning rate, which must not be 0"
            fix = "Freeze the layers by trainable=False, or use another optimizer"
            raise ValueError(complaint(OWNER, rule, fix, factors=dict(factors)))

    def _groups_check_attached(self) -> None:
        if self._groups_factors._value is None:
            rule = "factors are out of reach of a kept optimizer while fit trains on JAX"
            fix = "Use self.model.optimizer in a callback: self.model fetches the state"
            raise RuntimeError(complaint(OWNER, rule, fix, optimizer=self.name))

    def _groups_set(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)  # past Keras' tracking, which copies


def divided(optimizer: Any, division: Division) -> Any:
    """Return an optimizer like another one, with groups, that is yet to be built."""
    rate = rate_of(optimizer)
    try:
        if is_scheduled(optimizer):  # a schedule need not be serializable
            set_rate(optimizer, None)
        config = optimizer.get_config()
    finally:
        set_rate(optimizer, rate)
    if is_scheduled(optimizer):
        config["learning_rate"] = rate
    made = class_with_groups(type(optimizer)).undivided(config)._groups_begin(division)
    for name, value in vars(optimizer).items():
        if name.startswith("_exclude_from_weight_decay"):  # in no config
            object.__setattr__(made, name, value)
    return made


_CLASSES: dict[type, Any] = {}


def class_with_groups(base: type) -> Any:
    """Return the class of optimizers with groups that is derived from one without."""
    if base not in _CLASSES:
        attributes = {"_groups_base": base, "__module__": __name__, "__doc__": base.__doc__}
        _CLASSES[base] = _register(type(f"ByLayer{base.__name__}", (ByLayer, base), attributes))
        _register(ByLayer)  # all have this name in files, by which this one makes any of them
    return _CLASSES[base]
