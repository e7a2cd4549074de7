"""The averages of one model in training: moved at updates, shown, kept, saved and loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_lr._engine.averages.running import RunningAverages, averaged_variables
from keras_lr._engine.state import TrainingState
from keras_lr._keras.variables import DIRECT, read_variable
from keras_lr.callbacks.weight_average.averaging import OWNER, Decay, averaging_weight, label
from keras_lr.errors import complaint

Arrays = list[np.ndarray]
Read = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Best:
    """The average that evaluated best so far.

    Attributes:
        value: The monitored value.
        epoch: The epoch, counted from 0.
        kept: Index of the decay.
        arrays: One array per averaged variable.
    """

    value: float
    epoch: int
    kept: int
    arrays: Arrays


class ModelAverages:
    """The averages of a model's weights, one for each decay.

    To `AveragedView` and to what restores weights it is an average that evaluation uses.

    Args:
        model: The model.
        decays: One for each average; None for the equal one.

    Attributes:
        decays: As above.
        taken: How many sets of weights have been averaged.
        kept: Index of the average that is shown.
        best: The average that evaluated best, if that is asked for.
        replaced: Whether something has set the model's weights since the last update.
        shown: What evaluation has last seen, as in `averaged_values`.
    """

    def __init__(self, model: Any, decays: Sequence[Decay]) -> None:
        self.decays = tuple(decays)
        self.taken = self.kept = 0
        self.best: Best | None = None
        self.replaced = False
        self.shown: dict[int, np.ndarray] = {}
        self._model = model
        self._running: RunningAverages | None = None

    @property
    def names(self) -> list[str]:
        """What each average is called in logs."""
        return [label(decay) for decay in self.decays]

    @property
    def variables(self) -> list[Any]:
        """The variables that are averaged."""
        return self._known().variables

    def take(self, state: TrainingState) -> None:
        """Average the present weights in."""
        weights = [averaging_weight(decay, self.taken) for decay in self.decays]
        self._known().move(state, weights)
        self.taken += 1
        self.replaced = False

    def follow(self) -> None:
        """Take account of layers that have been frozen or unfrozen since, between two epochs."""
        if self._running is None:
            return
        variables = averaged_variables(self._model)
        known = {id(each): index for index, each in enumerate(self._running.variables)}
        if list(known) == [id(each) for each in variables]:
            return
        former, self._running = self._running, RunningAverages(variables, len(self.decays))
        if self.taken:
            for index in range(len(self.decays)):
                arrays = former.read(index)
                # What was frozen is its own average.
                values = [
                    arrays[known[id(each)]] if id(each) in known else read_variable(each)
                    for each in variables
                ]
                self._running.write(index, values)
        self.best = None if self.best is None else _best_of(self.best, known, variables)

    def arrays(self, index: int) -> Arrays:
        """Return one average, an array per variable."""
        return self._known().read(index)

    def values(self, arrays: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Return arrays by the `id` of their variable, in its precision."""
        pairs = zip(self.variables, arrays, strict=True)
        return {id(each): array.astype(each.dtype) for each, array in pairs}

    # --- an average that evaluation uses: see `AveragedWeights` ---------------------------------

    def averaged_values(self, read: Read) -> dict[int, np.ndarray]:
        """Return the average of each variable; nothing where there is none.

        One that has met NaN would stay NaN. If training has recovered since, it begins anew.
        """
        if self.taken == 0:
            return {}
        arrays = self.arrays(self.kept)
        if not _finite(arrays) and _finite([read(each) for each in self.variables]):
            self.taken = 0
            self._known().clear()
            return {}
        return self.values(arrays)

    def training_values(
        self, averages: Mapping[int, np.ndarray], read: Read
    ) -> dict[int, np.ndarray]:
        """Return nothing: the training weights are not made of the averages."""
        return {}

    def place(self, variable: Any) -> Any:
        """Return the variable itself: it holds the training weights."""
        return variable

    def go_back_to(self, averages: Mapping[int, np.ndarray]) -> None:
        """Begin all averages anew from an earlier one that was shown, or from none."""
        arrays = [averages[id(each)] for each in self.variables if id(each) in averages]
        if len(arrays) < len(self.variables):
            self.taken = 0
            self._known().clear()
            return
        for index in range(len(self.decays)):
            self._known().write(index, arrays)

    def to_average(self) -> list[tuple[Any, Any]]:
        """Put the average in; return the variables with their training weights."""
        self.shown = self.averaged_values(read_variable)
        if not self.shown:
            return []
        before = [(each, read_variable(each)) for each in self.variables]
        self.put_in(self.shown)
        return before

    def to_training(self) -> list[tuple[Any, Any]]:
        """Take weights that have been set in the model for its averages, and train on from them."""
        if self.taken:
            arrays = [read_variable(each) for each in self.variables]
            for index in range(len(self.decays)):
                self._known().write(index, arrays)
            self.replaced = True
        return []

    def put_in(self, values: Mapping[int, np.ndarray]) -> None:
        """Set variables between two steps."""
        for variable in self.variables:
            if id(variable) in values:
                DIRECT.write(variable, values[id(variable)])

    # --- going on, saved and loaded -------------------------------------------------------------

    def go_on_from(self, former: "ModelAverages") -> None:
        """Take over the averages of a former fit of the same model."""
        self._running = former._running
        self.taken, self.kept, self.best = former.taken, former.kept, former.best

    def get_state(self) -> dict[str, Any]:
        """Return everything as numbers and lists of arrays."""
        best = self.best
        count = len(self.decays) if self.taken else 0
        return {
            "decays": list(self.decays),
            "taken": self.taken,
            "kept": self.kept,
            "averages": [self.arrays(index) for index in range(count)],
            "best": None if best is None else {**vars(best)},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`.

        Raises:
            ValueError: If it is the state of other decays or of another model.
        """
        fix = "Load the state of this model and decays, or begin without it"
        if list(state["decays"]) != list(self.decays):
            rule = "a state fits only the decays it was made with"
            raise ValueError(complaint(OWNER, rule, fix, decays=list(state["decays"])))
        shapes = [tuple(each.shape) for each in self.variables]
        best = state["best"]
        given = [*state["averages"], *([] if best is None else [best["arrays"]])]
        if len(state["training"]):
            given.append(state["training"])
        for arrays in given:
            if [np.shape(array) for array in arrays] != shapes:
                rule = "a state fits only a model with weights of the same shapes"
                raise ValueError(complaint(OWNER, rule, fix, arrays=len(arrays)))
        for index, arrays in enumerate(state["averages"]):
            self._known().write(index, arrays)
        self.taken, self.kept = int(state["taken"]), int(state["kept"])
        self.best = None if best is None else Best(**best)

    def _known(self) -> RunningAverages:
        if self._running is None:
            self._running = RunningAverages(averaged_variables(self._model), len(self.decays))
        return self._running


def _best_of(best: Best, known: Mapping[int, int], variables: Sequence[Any]) -> Best:
    arrays = [
        best.arrays[known[id(each)]] if id(each) in known else read_variable(each)
        for each in variables
    ]
    return Best(best.value, best.epoch, best.kept, arrays)


def _finite(arrays: Sequence[np.ndarray]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)
