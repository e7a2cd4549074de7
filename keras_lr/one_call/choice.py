"""The choice of the weights that `fit` keeps: by validation, at the end or in the best epoch."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from keras_lr.callbacks import WeightAverage
from keras_lr.callbacks.saved.judge import Judge
from keras_lr.callbacks.weight_average.averaging import label
from keras_lr.one_call.recipe import OWNER

# What a run may lose again of what it has gained, before its end counts as overfitted: less is
# noise of the validation data, by which a best epoch is worse on other data than the end.
_MAY_BE_LOST = 0.1


class Choice(WeightAverage):
    """Keeps the best of several averages of the weights, those of the end or of the best epoch.

    `"auto"` keeps those of the end, unless the metric has lost more than a tenth of all that it had
    gained since the first validation: then the run has overfitted, and the best epoch is kept.

    Args:
        decays: Of the averages; 0 stands for the weights themselves.
        checkpoint: Whether the best epoch is kept, or `"auto"`.
        monitor: The metric in the logs.
        mode: `"min"`, `"max"` or `"auto"`.
        backup_dir: As for `WeightAverage`.
        first: The metric at the first validation, of a run that goes on; else None.
        remember: Called with it as soon as it is known.

    Attributes:
        chosen: The decay of what is kept, its value of the metric, and the epoch that ended with
            it, None for the end; None before.
    """

    def __init__(
        self,
        decays: Sequence[float | None],
        *,
        checkpoint: bool | Literal["auto"] = "auto",
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        backup_dir: str | None = None,
        first: float | None = None,
        remember: Callable[[float], None] = lambda value: None,
    ) -> None:
        super().__init__(
            decays,
            keep="best" if checkpoint else "average",
            monitor=monitor,
            mode=mode,
            batch_norm=False,
            backup_dir=backup_dir,
        )
        self._decays, self._checkpoint = tuple(decays), checkpoint
        self._monitor, self._judge = monitor, Judge("WeightAverage", monitor, mode)
        self._first, self._remember = first, remember
        self._last: float | None = None
        self._last_decay = self._decays[0]
        self.chosen: tuple[float | None, float, int | None] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the metric's name, where it can be known by now. Called by `fit`.

        Raises:
            ValueError: If validation does not report it, or it has no direction.
        """
        Judge(OWNER, self._monitor, self._judge.mode).check(self.model)
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the metric. Called by `fit`."""
        super().on_epoch_end(epoch, logs)
        if not logs or self._monitor not in logs:
            return
        self._last = self._judge.value(logs)
        if self._first is None:
            self._first = self._last
            self._remember(self._last)
        names = [f"{self._monitor}_decay_{label(decay)}" for decay in self._decays]
        if len(names) > 1:
            name = self._monitor.removeprefix("val_")
            results = [{name: logs[each]} for each in names]
            self._last_decay = self._decays[self._judge.best(self.model, results)]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave in the model what is kept. Called by `fit`."""
        super().on_train_end(logs)
        if self._last is None:
            return
        best, averages = self.best, self.averages
        if best is None or self.best_epoch is None:
            self.chosen = self._last_decay, self._last, None
        elif self._checkpoint == "auto" and averages and not self._is_overfitted(best):
            self.model.set_weights(averages[self._last_decay])
            self.chosen = self._last_decay, self._last, None
        else:
            self.chosen = self.kept, best, self.best_epoch

    def _is_overfitted(self, best: float) -> bool:
        """Return whether the last value is far behind the best one."""
        if self._first is None or self._last is None:
            return False
        margin = _MAY_BE_LOST * abs(self._first - best)
        return self._judge.is_better(self.model, best, self._last, margin)
