"""The view of a model's averages in a fit: each validated, the best shown, backups left alone."""

import inspect
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import keras

from keras_lr._engine.averages.view import AveragedView, ShownWeights
from keras_lr._keras.random import RandomSnapshot

Results = dict[str, float]


class Averages(ShownWeights, Protocol):
    """Several averages of a model's weights, of which one is shown."""

    kept: int
    shown: dict[int, Any]

    @property
    def names(self) -> list[str]:
        """What each is called in logs."""


class SeveralAveragesView(AveragedView):
    """Shows the best of several averages to whatever asks for a model's weights in mid-fit.

    Each validation of `fit` evaluates all of them. Its results, and what is saved or evaluated from
    then on, are those of the best; the others' are added under names of their own.

    `BackupAndRestore` is the exception: it saves and loads the training weights, for a fit that
    goes on with these.

    Args:
        model: The model in `fit`.
        averages: Its averages.
        synced: Returns the model with its variables up to date.
        best: Returns the index of the best of several validation results.
    """

    def __init__(
        self,
        model: Any,
        averages: Averages,
        synced: Callable[[], Any],
        best: Callable[[list[Results]], int],
    ) -> None:
        super().__init__(model, averages, synced)
        self._averages = averages
        self._best = best

    def _call(
        self,
        name: str,
        around: Callable[[], Any],
        original: Callable[..., Any],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        if _called_by(keras.callbacks.BackupAndRestore):
            return original(*arguments, **named)
        by_fit = name == "evaluate" and named.get("_use_cached_eval_dataset")
        if by_fit and len(self._averages.names) > 1:
            return self._validate(original, arguments, named)
        return super()._call(name, around, original, arguments, named)

    def _validate(
        self, original: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Results:
        averages = self._averages
        present, count = averages.kept, len(averages.names)
        results: dict[int, Results] = {}
        shown: dict[int, Any] = {}
        # The one shown so far comes last: its evaluation is the one that callbacks hear of.
        for index in [*(each for each in range(count) if each != present), present]:
            averages.kept = index
            silent = {} if index == present else {"callbacks": None, "verbose": 0}
            generators = RandomSnapshot()
            with self._shown():
                shown[index] = averages.shown
                results[index] = original(*arguments, **{**named, **silent})
            if index != present:
                generators.restore()
        averages.kept = self._best([results[index] for index in range(count)])
        averages.shown = shown[averages.kept]
        logs = dict(results[averages.kept])
        for index, each in enumerate(averages.names):
            logs |= {f"{name}_decay_{each}": value for name, value in results[index].items()}
        return logs


def _called_by(kind: type) -> bool:
    """Return whether a method of such a callback asks, directly or through functions of its own."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "fit":
        if isinstance(frame.f_locals.get("self"), kind):
            return True
        frame = frame.f_back
    return False
