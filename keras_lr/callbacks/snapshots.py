"""The weights at the ends of cycles: kept, made into an ensemble, or averaged."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lr._checks import check_integer, check_path, complaint
from keras_lr._keras.averaged import average_in_use, evaluated_values
from keras_lr._keras.batch_norm import batch_norm_layers, recompute_batch_norm
from keras_lr._keras.build import layers_of
from keras_lr._keras.cloning import clone_uncompiled
from keras_lr._keras.data import numpy_batches
from keras_lr._keras.schedule_free import AveragedWeights
from keras_lr._keras.training_state import TrainingState
from keras_lr._keras.values import read_variable, write_variable

Weights = list[np.ndarray]


@dataclass(frozen=True)
class Snapshot:
    """The weights at the end of one cycle.

    Attributes:
        cycle: The cycle's number, from 0.
        weights: The weights, or the file they are in.
    """

    cycle: int
    weights: Weights | Path


class Snapshots:
    """The last few sets of weights of a model, in memory or in a folder.

    Args:
        keep: How many to keep; 0 for none.
        folder: Where to write them, as `cycle_0001_step_400.weights.h5` and so on, which
            `Model.load_weights` reads; None for memory.
    """

    def __init__(self, keep: int, folder: str | os.PathLike[str] | None = None) -> None:
        self.keep = keep
        self._folder = None if folder is None else Path(folder)
        self._kept: list[Snapshot] = []
        self._unwritten: list[tuple[Snapshot, Path]] = []
        self._average: AveragedWeights | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, model: Any, step: int, ends: Sequence[int]) -> None:
        """Begin a fit: what a former one kept before this step belongs to it, the rest does not.

        Args:
            model: The model in `fit`, all of whose callbacks have begun.
            step: The update the fit begins at. At 0 it is a new run.
            ends: After how many updates each cycle is over. Files of other cycles are those of
                another run.
        """
        self._average = average_in_use(model)
        past = [end for end in ends if end <= step] if step else []
        self._kept = [each for each in self._kept if each.cycle < len(past)]
        self._unwritten = [pair for pair in self._unwritten if pair[0].cycle < len(past)]
        if self._folder is not None and not self._kept:
            paths = [self._path(*cycle) for cycle in enumerate(past)]
            found = [Snapshot(*pair) for pair in enumerate(paths) if pair[1].exists()]
            self._kept = found[-self.keep :] if self.keep else []

    def take(self, model: Any, state: TrainingState, cycle: int, step: int) -> None:
        """Keep the present weights, those that evaluation uses.

        Args:
            model: The model in training.
            state: Where its values are.
            cycle: Number of the cycle that is over, from 0.
            step: Updates done.
        """
        if self.keep == 0:
            return
        snapshot = Snapshot(cycle, evaluated_values(model, state.read, self._average))
        if self._folder is None:
            self._add(snapshot)
        else:
            self._unwritten.append((snapshot, self._path(cycle, step)))

    def _path(self, cycle: int, step: int) -> Path:
        return Path(self._folder or "", f"cycle_{cycle:04d}_step_{step}.weights.h5")

    def _add(self, snapshot: Snapshot) -> None:
        self._kept.append(snapshot)
        while len(self._kept) > self.keep:
            oldest = self._kept.pop(0)
            if isinstance(oldest.weights, Path):
                oldest.weights.unlink(missing_ok=True)

    @property
    def unwritten(self) -> bool:
        """Whether `write` has something to do."""
        return bool(self._unwritten)

    def write(self, model: Any) -> None:
        """Write to the folder what has been taken, and delete what is no longer to be kept.

        Args:
            model: The model, between two executions. Its weights are put back.
        """
        for snapshot, path in self._unwritten:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not by the model's own methods: SwapScheduleFreeWeights makes these take an average
            # and give one, and training would not go on from the same weights to the bit.
            present = [read_variable(variable) for variable in model.weights]
            try:
                _write(model, snapshot.weights)
                type(model).save_weights(model, path)
            finally:
                _write(model, present)
            self._add(Snapshot(snapshot.cycle, path))
        self._unwritten.clear()

    def models(self, model: Any) -> list[keras.Model]:
        """Return a copy of the model for each set of weights, the oldest first."""
        copies = []
        for number, snapshot in enumerate(self._kept):
            copy = _clone(model, f"{model.name}_snapshot_{number}")
            if isinstance(snapshot.weights, Path):
                with warnings.catch_warnings():  # the file has the optimizer too, the copy has none
                    warnings.filterwarnings("ignore", message="Skipping variable loading")
                    copy.load_weights(snapshot.weights)
                _finalize(copy)
            else:
                _set_weights(copy, snapshot.weights)
            copies.append(copy)
        return copies


def check_snapshots(owner: str, snapshots: int, folder: Any) -> None:
    """Raise unless the arguments of a callback with snapshots make sense."""
    check_integer(owner, "Pass how many to keep, 0 for none", at_least=0, snapshots=snapshots)
    if folder is None:
        return
    fix = "Pass the path of a folder; it need not exist yet"
    check_path(owner, fix, snapshot_folder=folder)
    if snapshots == 0:
        rule, fix = "a folder needs snapshots to put in", "Pass snapshots=5 or so"
        raise ValueError(complaint(owner, rule, fix, snapshots=0, snapshot_folder=folder))
    path = Path(folder)
    if any(each.exists() and not each.is_dir() for each in (path, *path.parents)):
        rule = "snapshot_folder must not be a file, nor lie below one"
        raise ValueError(complaint(owner, rule, fix, snapshot_folder=str(folder)))


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
    _set_weights(model, [_mean(each) for each in sets])
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


def _write(model: Any, weights: Any) -> None:
    for variable, value in zip(model.weights, weights, strict=True):
        write_variable(variable, value)


def _set_weights(copy: Any, weights: Sequence[np.ndarray]) -> None:
    copy.set_weights(weights)
    _finalize(copy)


def _finalize(model: Any) -> None:
    # Normalization works with constants that it has made of its weights, and only `load_weights`
    # tells it to make them anew. Layers that hold what they have adapted to elsewhere got that
    # with their configuration, and would lose it.
    for layer in layers_of(model):
        finalize = getattr(layer, "finalize_state", None)
        if callable(finalize) and layer.weights:
            finalize()


def _clone(model: Any, name: str) -> Any:
    """Return a built copy of a model with weights of its own, not compiled."""
    if _has_graph(model):
        clone = clone_uncompiled(model)
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
