"""One `fit` under `WeightAverage`: from what it shows to what it leaves in the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_lr._engine.averages.in_use import average_in_use
from keras_lr._engine.averages.several import SeveralAveragesView
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.monitor import has_validation_data
from keras_lr._keras.optimizers import accumulation_steps, known_leaves
from keras_lr._keras.running_fit import fit_argument
from keras_lr._keras.variables import read_variable
from keras_lr._warnings import warn
from keras_lr.callbacks.saved.judge import Judge
from keras_lr.callbacks.schedule.fit import FitInfo, FitPosition
from keras_lr.callbacks.weight_average.averaging import OWNER, Decay, Timing
from keras_lr.callbacks.weight_average.model_averages import Best, ModelAverages
from keras_lr.callbacks.weight_average.statistics import StatisticsData
from keras_lr.callbacks.weight_average.steps import AverageSteps
from keras_lr.errors import complaint


@dataclass(frozen=True)
class Wishes:
    """The arguments of `WeightAverage`, checked.

    Attributes:
        decays: One for each average.
        timing: When weights are averaged.
        judge: What finds the best.
        keep: What is left in the model.
        batch_norm: What statistics are taken from.
    """

    decays: tuple[Decay, ...]
    timing: Timing
    judge: Judge
    keep: str
    batch_norm: Any

    @property
    def recomputes(self) -> bool:
        """Whether statistics are taken anew; those that belong to the best value are kept."""
        if self.keep == "last" or self.batch_norm is False:
            return False
        return self.keep == "average" or self.batch_norm is not None


class AverageRun:
    """The averages of one `fit`, shown in the place of the model's weights until `stop`.

    Args:
        model: The model in `fit`.
        wishes: What is asked for.
        synced: Returns the model with its variables up to date.

    Raises:
        ValueError: If something else shows an average in this fit.

    Attributes:
        averages: The averages.
        begun: Whether the first epoch has begun.
        over: Whether the fit is over, or has been cut off.
    """

    def __init__(self, model: Any, wishes: Wishes, synced: Callable[[], Any]) -> None:
        present = average_in_use(model)
        if present is not None:
            rule = "only one callback of a fit can show an average in the place of the weights"
            received = {"also": type(present).__name__}
            raise ValueError(complaint(OWNER, rule, "Leave one of them out", **received))
        self.averages = ModelAverages(model, wishes.decays)
        self.begun = self.over = self._may_go_on = False
        self._model, self._wishes = model, wishes
        self._statistics: StatisticsData | None = None
        self._steps: AverageSteps | None = None
        self._epoch = 0
        self._training: dict[int, np.ndarray] | None = None
        self._left: dict[int, np.ndarray] = {}
        self._has_validation = has_validation_data(model)
        self._view = SeveralAveragesView(
            model, self.averages, synced, lambda found: wishes.judge.best(model, found)
        )

    @property
    def kept(self) -> Decay:
        """The decay of the average that is shown, or was left in the model."""
        best = self.averages.best
        index = best.kept if self.over and best is not None else self.averages.kept
        return self._wishes.decays[index]

    @property
    def runner(self) -> Any:
        """What runs the hook around each step, while there is one."""
        return None if self.over or self._steps is None else self._steps.runner

    def begin(self, epochs: int, batches: int | None) -> None:
        """Begin, when every other callback has begun.

        Args:
            epochs: Number of the last epoch.
            batches: Batches per epoch, if known.

        Raises:
            ValueError: If something is asked for that this fit does not have.
        """
        model, wishes = self._model, self._wishes
        leaves = known_leaves(model, OWNER)
        run = FitInfo(
            owner=OWNER,
            epochs=epochs,
            batches=batches,
            accumulation=accumulation_steps(model),
            learning_rates=(),
            optimizers=tuple(leaf.name for leaf in leaves),
            first_epoch=fit_argument(model, "initial_epoch") or 0,
        )
        if wishes.timing.every_epochs is not None:
            run.known_batches(every_epochs=wishes.timing.every_epochs)
        if wishes.recomputes:
            self._statistics = StatisticsData(wishes.batch_norm, model)
        self._steps = AverageSteps(model, self.averages, wishes.timing, FitPosition(run))
        attach(model, self._steps)
        self._may_go_on = run.may_be_part
        self.begun = True

    def begin_epoch(self, epoch: int) -> None:
        """Go to an epoch's first step."""
        self._epoch = epoch
        self.averages.follow()
        if self._steps is not None:
            self._steps.begin_epoch(epoch)

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep the average if it is the best so far.

        Raises:
            ValueError: If the metric that says so is not in the logs.
        """
        averages, judge = self.averages, self._wishes.judge
        wanted = self._wishes.keep == "best" or len(self._wishes.decays) > 1
        if not wanted or averages.taken == 0:
            return
        if judge.skips(logs, has_data=self._has_validation):
            return
        value = judge.value(logs)
        if self._wishes.keep != "best" or averages.replaced:
            return
        former = None if averages.best is None else averages.best.value
        if not judge.is_better(self._model, value, former):
            return
        shown = averages.shown if judge.on_validation else averages.averaged_values(read_variable)
        if shown:
            arrays = [shown[id(variable)] for variable in averages.variables]
            averages.best = Best(value, epoch, averages.kept, arrays)

    def end(self) -> None:
        """Leave in the model what is to be kept."""
        averages, wishes = self.averages, self._wishes
        statistics = self._statistics
        self.stop()
        if averages.taken == 0:
            if self.begun and not self._may_go_on:
                rule = "the fit is over before any weights were averaged"
                fix = "Begin the average earlier; the model has its last weights"
                warn(complaint(OWNER, rule, fix, **_starts(wishes.timing)))
            return
        self._training = self._present()
        if wishes.keep != "last" and not averages.replaced:
            best = averages.best if wishes.keep == "best" else None
            arrays = averages.arrays(averages.kept) if best is None else best.arrays
            averages.put_in(averages.values(arrays))
            if statistics is not None:
                statistics.recompute()
        self._left = self._present()

    def stop(self) -> None:
        """Show the averages no longer. Can be called again."""
        if self.over:
            return
        self.over = True
        self._view.remove()
        if self._steps is not None:
            detach(self._model, self._steps)

    # --- going on in another fit ----------------------------------------------------------------

    def training_weights(self) -> list[np.ndarray]:
        """Return the training weights of the averaged variables."""
        held = self._present() if self._training is None else self._training
        return [held[id(each)] for each in self.averages.variables]

    def go_on_from(self, former: "AverageRun", epoch: int) -> bool:
        """Go on where a former fit ended, if this is the epoch and nothing has changed since.

        Returns:
            Whether it does.
        """
        left = former._left
        if epoch == 0 or epoch != former._epoch + 1 or former._model is not self._model or not left:
            return False
        follows = all(
            _same(read_variable(each), left[id(each)]) for each in former.averages.variables
        )
        if follows:
            self.averages.go_on_from(former.averages)
            self.averages.put_in(former._training or {})
            if self._steps is not None and former._steps is not None:
                self._steps.set_state(former._steps.get_state())
        return follows

    def get_state(self) -> dict[str, Any]:
        """Return everything but the training weights, as numbers and lists of arrays."""
        steps = {} if self._steps is None else self._steps.get_state()
        return {**self.averages.get_state(), "steps": steps}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`, with training weights if there are any in it."""
        self.averages.set_state(state)
        if self._steps is not None:
            self._steps.set_state(state["steps"])
        if len(state["training"]):
            training = [np.asarray(each) for each in state["training"]]
            self.averages.put_in(self.averages.values(training))

    def _present(self) -> dict[int, np.ndarray]:
        return {id(each): read_variable(each) for each in self.averages.variables}


def _starts(timing: Timing) -> dict[str, int | None]:
    starts = {"start_epochs": timing.start_epochs, "start_steps": timing.start_steps}
    return {name: value for name, value in starts.items() if value is not None} or starts


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and left.tobytes() == right.tobytes()
