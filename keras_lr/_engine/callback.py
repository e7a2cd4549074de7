"""Base class of the callbacks: of one fit at a time, copied and configured by their arguments."""

import inspect
from typing import Any, ClassVar, Self

import keras

from keras_lr._keras.running_fit import FitSession, running_fit
from keras_lr.errors import complaint


class FitCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that can be copied, cloned and given other arguments, as an estimator can.

    A copy, also of a callback whose fit is running, is a new one made with the same arguments; it
    has the results of the last fit, but no part in one. So KerasTuner can copy callbacks, and
    scikit-learn clone them.
    """

    results: ClassVar[tuple[str, ...]] = ()
    """Names of attributes that a copy has too."""

    _given: tuple[tuple[Any, ...], dict[str, Any]]
    _session: FitSession | None

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Note the arguments."""
        self: Self = super().__new__(cls)
        self._given = arguments, named
        self._session = None
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments it was made with, as scikit-learn's estimators do.

        Args:
            deep: Without effect, as no argument has parameters of its own.
        """
        arguments, named = self._given
        bound = inspect.signature(type(self)).bind(*arguments, **named)
        bound.apply_defaults()
        return dict(bound.arguments)

    def set_params(self, params: dict[str, Any] | None = None, **named: Any) -> Self:
        """Make it anew with other arguments; the rest stay.

        Args:
            params: What Keras hands over about a fit, alone; such as its number of epochs.
            **named: Arguments by name, as scikit-learn's estimators take them.

        Returns:
            The callback itself.

        Raises:
            ValueError: If an argument is unknown, or out of its range. The callback is then as it
                was.
            RuntimeError: If its fit is running.
        """
        if not named:
            super().set_params(params)
            return self
        present = self.get_params()
        owner = type(self).__name__
        unknown = sorted(set(named) - set(present))
        if unknown:
            rule = "set_params takes the names of its arguments"
            fix = f"Pass some of {', '.join(present)}"
            raise ValueError(complaint(owner, rule, fix, unknown=unknown))
        if self._is_at_work:
            rule = "a callback cannot be given other arguments while its fit is running"
            raise RuntimeError(complaint(owner, rule, "Do so before or after", **named))
        fresh = type(self)(**{**present, **named})
        self.__dict__ = dict(vars(fresh))
        return self

    def set_model(self, model: Any) -> None:
        """Take the model of a fit. Called by `fit`.

        Raises:
            RuntimeError: If the callback is at work in another fit.
        """
        if self._takes(model):
            super().set_model(model)

    def _takes(self, model: Any) -> bool:
        """Return whether a fit begins here, and not an evaluation in one that is running.

        Raises:
            RuntimeError: If the callback is at work in another fit.
        """
        if self._is_at_work:
            if self._session is not None and self._session.is_same(running_fit(model)):
                return False
            rule = "one callback cannot be in two fits at once"
            fix = "Make one for each, by copy.deepcopy for example"
            owner = type(self).__name__
            raise RuntimeError(complaint(owner, rule, fix, model=getattr(model, "name", model)))
        self._session = FitSession(model)
        return True

    @property
    def _is_at_work(self) -> bool:
        session = self._session
        return session is not None and session.is_fit and session.is_running

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what copies and pickles are made of."""
        results = {name: vars(self)[name] for name in self.results if name in vars(self)}
        return _made, (type(self), *self._given, results)


def _made(
    kind: type[FitCallback],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    results: dict[str, Any],
) -> FitCallback:
    made = kind(*arguments, **named)
    for name, value in results.items():
        setattr(made, name, value)
    return made
