"""Assignments to learning rates in the course of a fit, by whatever makes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_lr._keras.patch import Patch
from keras_lr._keras.variables import VariableAccess, differs


class RateWrites:
    """Notes that learning rates have been assigned to, by `optimizer.learning_rate = ...` or so.

    Reading the variables before every step instead would wait for an accelerator each time.

    Args:
        variables: The learning rates.

    Attributes:
        noted: Whether one has been assigned to since `settle`, be it the same value. On JAX, Keras
            does so whenever a callback asks for the model.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.noted = False
        self._variables = list(variables)
        self._patches = [self._patched(variable) for variable in self._variables]

    def settle(self) -> None:
        """Forget what has been noted: the driver has just made its own assignments."""
        self.noted = False

    def foreign(self, access: VariableAccess, written: Mapping[int, Any]) -> Any:
        """Return a learning rate that is not the one written; None if there is none.

        Args:
            access: Where the variables are read.
            written: What the driver has written, by the variables' identities.
        """
        for variable in self._variables:
            present = access.read(variable)
            if differs(variable, present, written.get(id(variable), present)):
                return present.tolist()
        return None

    def end(self) -> None:
        """Note nothing more."""
        for patch in self._patches:
            patch.remove()

    def _patched(self, variable: Any) -> Patch:
        def noting(value: Any) -> Any:
            self.noted = True
            return patch.original(value)

        patch = Patch(variable, "assign", noting)
        return patch
