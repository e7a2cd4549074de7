"""Loggers that ask the optimizer for the learning rate, and are told the one that was applied.

The optimizer's attribute is the base of a decay, or the value for the coming update. The logs of
the training step hold what the last update used, but these callbacks overwrite that:

- `keras.callbacks.TensorBoard` in `_collect_learning_rate(logs)`, at the end of an epoch;
- `wandb.integration.keras.WandbMetricsLogger` in `_get_lr()`, at the end of a batch or an epoch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from keras_lr._keras.peers import callbacks_of_caller


class LoggedRates:
    """The learning rates of the last step, shown by the loggers of the running `fit`.

    Attributes:
        applied: The learning rates by their names in the logs, without those of other things.
    """

    def __init__(self) -> None:
        self.applied: dict[str, Any] = {}
        self._undo: list[Callable[[], None]] = []

    def show(self) -> None:
        """Have the loggers of the list of callbacks that calls this show what was applied."""
        for callback in callbacks_of_caller():
            collect = getattr(callback, "_collect_learning_rate", None)
            if collect is not None and not _is_ours(collect):
                self._replace(callback, "_collect_learning_rate", _collecting(collect))
            ask = getattr(callback, "_get_lr", None)
            if ask is not None and not _is_ours(ask):
                self._replace(callback, "_get_lr", self._telling(ask))

    def note(self, logs: Mapping[str, Any]) -> None:
        """Take the learning rates out of a step's logs."""
        self.applied = _rates_in(logs)

    def leave(self) -> None:
        """Give the loggers their own methods back."""
        undo, self._undo = self._undo, []
        for put_back in undo:
            put_back()

    def _telling(self, ask: Callable[[], Any]) -> Callable[[], Any]:
        @_ours
        def tell() -> Any:
            rate = self.applied.get("learning_rate")
            return ask() if rate is None else float(rate)

        return tell

    def _replace(self, callback: Any, name: str, method: Callable[..., Any]) -> None:
        own = vars(callback).get(name)
        setattr(callback, name, method)

        def put_back() -> None:
            if vars(callback).get(name) is not method:
                return
            if own is None:
                delattr(callback, name)
            else:
                setattr(callback, name, own)

        self._undo.append(put_back)


def _collecting(collect: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @_ours
    def collected(logs: Any) -> Any:
        given = _rates_in(logs)
        return {**collect(logs), **given}

    return collected


def _rates_in(logs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rate for name, rate in logs.items() if name.startswith("learning_rate")}


def _ours(method: Callable[..., Any]) -> Callable[..., Any]:
    method.__dict__["shows_applied_rate"] = True
    return method


def _is_ours(method: Any) -> bool:
    return getattr(method, "shows_applied_rate", False) is True
