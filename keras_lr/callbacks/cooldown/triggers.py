"""The trigger of a cooldown by a metric that has stalled."""

from collections.abc import Mapping
from typing import Any

from keras_lr.callbacks.saved.judge import Judge


class Stall:
    """Counts evaluations of a metric without improvement.

    Args:
        judge: What tells an improvement.
        patience: How many are too many.
        min_delta: Smallest change that counts as an improvement.
    """

    def __init__(self, judge: Judge, patience: int, min_delta: float) -> None:
        self._judge, self._patience, self._min_delta = judge, patience, min_delta
        self._best: float | None = None
        self._wait = 0

    def end_epoch(self, model: Any, logs: Mapping[str, Any], *, has_data: bool) -> bool:
        """Return whether the metric has stalled.

        Args:
            model: The model in `fit`.
            logs: The epoch's logs.
            has_data: Whether the fit has validation data.

        Raises:
            ValueError: If the metric is not in the logs.
        """
        if self._judge.skips(logs, has_data=has_data):
            return False
        value = self._judge.value(logs)
        if self._judge.is_better(model, value, self._best, self._min_delta):
            self._best, self._wait = value, 0
        else:
            self._wait += 1
        return self._wait >= self._patience

    def get_state(self) -> dict[str, Any]:
        """Return what is remembered."""
        return {"best": self._best, "wait": self._wait}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        self._best, self._wait = state["best"], int(state["wait"])
