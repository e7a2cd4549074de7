"""The learning rates of a fit that a plateau scales, read and written together."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_lr._engine.named_optimizers import named_leaves
from keras_lr._keras.models import build_optimizer
from keras_lr._keras.optimizers import leaf_optimizers
from keras_lr._keras.variables import DIRECT, VariableAccess
from keras_lr.callbacks.plateau.chosen import Chosen
from keras_lr.callbacks.plateau.rates import ScalableRate, driver_of
from keras_lr.callbacks.plateau.state import OWNER
from keras_lr.errors import complaint


class ScaledRates:
    """Learning rates by name: of groups, optimizers, or by an empty one, where there is one.

    Args:
        model: The model in `fit`.
        wanted: What is scaled, see `Chosen`.

    Raises:
        ValueError: If a name is unknown, or a learning rate cannot be scaled.

    Attributes:
        driven: Whether another callback of the fit drives the learning rate.
        named: Whether the user has named what is scaled.
        observed: The optimizers whose learning rates are logged, by these endings.
        leaves: The optimizers of which at least one must make updates.
    """

    def __init__(self, model: Any, wanted: Sequence[Any] | None) -> None:
        self.driven = driver_of(model) is not None
        self.named = wanted is not None
        self._model, self._wanted = model, wanted
        self._left: list[float] = []  # the rates as last written, as their precision holds them
        self._by_name: dict[str, ScalableRate] = {}
        self._take_optimizers()

    def _take_optimizers(self) -> None:
        chosen = Chosen(self._model, self._wanted)
        optimizers = chosen.optimizers
        self._compiled = vars(self._model).get("optimizer")
        self._by_name = chosen.rates(self._by_name)
        self.observed = dict(optimizers)
        compiled = leaf_optimizers(self._compiled) if self._compiled is not None else []
        if all(any(each is leaf for leaf in compiled) for each in optimizers.values()):
            self.observed = named_leaves(self._model, None, OWNER)
        self.leaves = [*optimizers.values(), *compiled]  # of these some may have no weights

    def follow(self) -> bool:
        """Go over to the optimizer that the model has been compiled with since; whether it has."""
        if vars(self._model).get("optimizer") is self._compiled:
            return False
        build_optimizer(self._model)
        self._take_optimizers()
        self._left = []
        return True

    @property
    def _rates(self) -> list[ScalableRate]:
        return list(self._by_name.values())

    @property
    def starts(self) -> list[float]:
        """What bounds and restarts refer to, for each."""
        return [rate.start for rate in self._rates]

    def read(self, access: VariableAccess = DIRECT) -> list[float]:
        """Return the rates, as the controller sees them."""
        return [rate.read(access) for rate in self._rates]

    def applied(self, access: VariableAccess = DIRECT) -> dict[str, float]:
        """Return the learning rates of the next update, by name."""
        return {name: rate.applied(access) for name, rate in self._by_name.items()}

    def observe(self, access: VariableAccess = DIRECT) -> None:
        """Look at where the schedules are."""
        for rate in self._rates:
            rate.observe(access)

    def begin_step(self) -> None:
        """Take note that a step begins."""
        for rate in self._rates:
            rate.begin_step()

    def write(
        self, before: Sequence[float], after: Sequence[float], access: VariableAccess
    ) -> None:
        """Change the rates that a decision changes."""
        for rate, old, new in zip(self._rates, before, after, strict=True):
            if new != old:
                rate.write(access, new)
        self._left = self.read(access)

    def overwritten(self, present: Sequence[float]) -> tuple[float, float] | None:
        """Return a rate that was written here, and what something else has set it to since."""
        for rate, left, found in zip(self._rates, self._left, present, strict=bool(self._left)):
            if rate.is_constant and found != left:
                return left, found
        return None

    def get_state(self) -> list[dict[str, float]]:
        """Return what must be remembered of each, beside the rate itself."""
        return [rate.get_state() for rate in self._rates]

    def check_state(self, saved: Sequence[Mapping[str, float]]) -> None:
        """Raise a ValueError if a state is of other optimizers, or of rates given otherwise."""
        if len(saved) != len(self._rates):
            rule = "a state fits only a model with as many optimizers"
            fix = f"Load a state of {len(self._rates)}"
            raise ValueError(complaint(OWNER, rule, fix, optimizers=len(saved)))
        for rate, each in zip(self._rates, saved, strict=True):
            if set(each) != set(rate.get_state()):
                rule = "a state of a scheduled learning rate fits only a scheduled one"
                fix = "Give the learning rate as before, or begin without the state"
                raise ValueError(complaint(OWNER, rule, fix, rates=saved))

    def set_state(
        self, saved: Sequence[dict[str, float]], present: Sequence[float], *, written: bool
    ) -> None:
        """Go on from `get_state()`, at given rates.

        Args:
            saved: What `get_state` returned.
            present: The rates.
            written: Whether they were written here.
        """
        for rate, each, value in zip(self._rates, saved, present, strict=True):
            rate.set_state(each, DIRECT, value)
        self._left = self.read() if written else []
