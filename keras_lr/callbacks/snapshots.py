"""The weights at the ends of cycles: kept, made into an ensemble, or averaged."""

import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lr._checks import check_integer, complaint
from keras_lr._keras.batch_norm import batch_norm_layers, recompute_batch_norm
from keras_lr._keras.data import numpy_batches
from keras_lr._keras.training_state import TrainingState

Weights = list[np.ndarray]


class Snapshots:
    """The last few sets of weights of a model, in memory or in a folder.

    Args:
        keep: How many to keep; 0 for none.
        folder: Where to write them, as `cycle_0001_step_400.weights.h5` and so on, which
            `Model.load_weights` reads; None for memory.
    """

    def __init__(self, keep: int, folder: str | Path | None = None) -> None:
        self.keep = keep
        self._folder = None if folder is None else Path(folder)
        self._kept: deque[Weights | Path] = deque(maxlen=keep)
        self._unwritten: list[tuple[Path, Weights]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, step: int, ends: Sequence[int]) -> None:
        """Begin a fit: what a former one kept before this step belongs to it, the rest does not.

        Args:
            step: The update the fit begins at. At 0 it is a new run.
            ends: After how many updates each cycle is over. Files of other cycles are those of
                another run.
        """
        if step == 0:
            self._kept.clear()
        elif self._folder is not None and not self._kept:
            former = [self._path(*cycle) for cycle in enumerate(ends) if cycle[1] <= step]
            self._kept.extend(path for path in former if path.exists())

    def take(self, model: Any, state: TrainingState, cycle: int, step: int) -> None:
        """Keep the present weights.

        Args:
            model: The model in training.
            state: Where its values are.
            cycle: Number of the cycle that is over, from 0.
            step: Updates done.
        """
        if self.keep == 0:
            return
        weights = [state.read(variable) for variable in model.weights]
        if self._folder is None:
            self._kept.append(weights)
        else:
            self._unwritten.append((self._path(cycle, step), weights))

    def _path(self, cycle: int, step: int) -> Path:
        return Path(self._folder or "", f"cycle_{cycle:04d}_step_{step}.weights.h5")

    @property
    def unwritten(self) -> bool:
        """Whether `write` has something to do."""
        return bool(self._unwritten)

    def write(self, model: Any) -> None:
        """Write to the folder what has been taken, and delete what is no longer to be kept.

        Args:
            model: The model, between two executions. Its weights are put back.
        """
        for path, weights in self._unwritten:
            path.parent.mkdir(parents=True, exist_ok=True)
            present = model.get_weights()
            model.set_weights(weights)
            try:
                model.save_weights(path)
            finally:
                model.set_weights(present)
            if len(self._kept) == self.keep and isinstance(self._kept[0], Path):
                self._kept[0].unlink(missing_ok=True)
            self._kept.append(path)
        self._unwritten.clear()

    def models(self, model: Any) -> list[keras.Model]:
        """Return a copy of the model for each set of weights, the oldest first."""
        copies = []
        for number, weights in enumerate(self._kept):
            copy = _clone(model, f"{model.name}_snapshot_{number}")
            if isinstance(weights, Path):
                with warnings.catch_warnings():  # the file has the optimizer too, the copy has none
                    warnings.filterwarnings("ignore", message="Skipping variable loading")
                    copy.load_weights(weights)
            else:
                copy.set_weights(weights)
            copies.append(copy)
        return copies


def check_snapshots(owner: str, snapshots: int, folder: Any) -> None:
    """Raise unless the arguments of a callback with snapshots make sense."""
    check_integer(owner, "Pass how many to keep, 0 for none", at_least=0, snapshots=snapshots)
    if folder is not None and snapshots == 0:
        rule, fix = "a folder needs snapshots to put in", "Pass snapshots=5 or so"
        raise ValueError(complaint(owner, rule, fix, snapshots=0, snapshot_folder=folder))


def ensemble(members: Sequence[keras.Model], like: Any) -> keras.Model:
    """Return a model whose prediction is the mean of its members'.

    Args:
        members: At least one, with names of their own.
        like: The model whose inputs it is to have.
    """
    inputs = _inputs(like)
    outputs = [member(inputs) for member in members]
    if len(members) > 1:
        mean = keras.tree.map_structure(lambda *each: keras.layers.Average()(each), *outputs)
    else:
        mean = outputs[0]
    return keras.Model(inputs, mean, name=f"{like.name}_ensemble")


def average(
    members: Sequence[keras.Model], like: Any, x: Any, batch_size: int | None, owner: str
) -> keras.Model:
    """Return a model with the mean of the members' weights (SWA).

    Args:
        members: At least one.
        like: The model they are copies of.
        x: Data for the statistics of BatchNorm layers; None if there are none.
        batch_size: Samples per batch for arrays.
        owner: The public name of the caller, for error messages.

    Raises:
        ValueError: If there are BatchNorm layers and no data.
    """
    model = _clone(like, f"{like.name}_average")
    sets = zip(*(member.get_weights() for member in members), strict=True)
    model.set_weights([_mean(each) for each in sets])
    if batch_norm_layers(model):
        if x is None:
            rule = "averaged weights need new BatchNorm statistics, and these need data"
            raise ValueError(complaint(owner, rule, "Pass the training data", x=None))
        recompute_batch_norm(model, numpy_batches(x, batch_size=batch_size))
    return model


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if arrays[0].dtype.kind in "iub":  # a count has no mean
        return arrays[-1]
    mean: np.ndarray = np.mean([array.astype("float64") for array in arrays], axis=0)
    return mean.astype(arrays[0].dtype)


def _clone(model: Any, name: str) -> Any:
    """Return a built copy of a model with weights of its own, not compiled."""
    if _has_graph(model):
        clone = keras.models.clone_model(model)
    else:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        clone = keras.saving.deserialize_keras_object(config)
    if not clone.built:
        clone(_inputs(model))
    clone.name = name
    return clone


def _has_graph(model: Any) -> bool:
    return bool(getattr(model, "inputs", None))


def _inputs(model: Any) -> Any:
    """Return new symbolic inputs like those of the model."""
    if _has_graph(model):
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        return keras.tree.map_structure(_input_like, inputs)
    return _inputs_of_shapes(model.get_build_config()["input_shape"])


def _input_like(tensor: Any) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _inputs_of_shapes(shapes: Any, name: str | None = None) -> Any:
    if isinstance(shapes, dict):
        return {key: _inputs_of_shapes(shape, key) for key, shape in shapes.items()}
    if shapes and isinstance(shapes[0], list | tuple):
        return [_inputs_of_shapes(shape) for shape in shapes]
    return keras.Input(shape=tuple(shapes[1:]), name=name)
