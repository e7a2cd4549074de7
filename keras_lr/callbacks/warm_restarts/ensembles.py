"""Models of several sets of weights: copies, the ensemble of their predictions, their average."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_lr._engine.averages.batch_norm import batch_norm_layers, recompute_batch_norm
from keras_lr._engine.averages.cloning import clone, finalize, inputs_like, predicts_by_itself
from keras_lr._engine.averages.weight_sets import Weights, WeightSet, weights_in_place
from keras_lr._keras.data import Batch, is_arrays, numpy_batches
from keras_lr._keras.variables import read_variable
from keras_lr.errors import complaint


class ModelCopy(WeightSet):
    """A copy of a model that cannot be made anew of its configuration.

    It has weights of its own and shares the model's layers. What a subclass of Keras' model may do
    in its own way is done by the model itself, with these weights in it for as long: saving, and
    also `predict` if the class overrides it, and `evaluate` as long as the copy is not compiled.

    Args:
        model: The built model.
        weights: One array per weight of it.
        name: The name.
    """

    def evaluate(self, *arguments: Any, **named: Any) -> Any:
        """Evaluate as the model is compiled, unless this copy has been compiled otherwise."""
        if self.compiled:
            return super().evaluate(*arguments, **named)
        return self._by_the_model("evaluate", *arguments, **named)

    def predict(self, x: Any, *arguments: Any, **named: Any) -> Any:
        """Predict as the model would. See `Model.predict`."""
        if predicts_by_itself(self.source()):
            return self._by_the_model("predict", x, *arguments, **named)
        return super().predict(x, *arguments, **named)

    def predict_on_batch(self, x: Any) -> Any:
        """Predict as the model would. See `Model.predict_on_batch`."""
        if predicts_by_itself(self.source()):
            return self._by_the_model("predict_on_batch", x)
        return super().predict_on_batch(x)

    def save(self, *arguments: Any, **named: Any) -> None:
        """Save the model with these weights. See `Model.save`."""
        self._by_the_model("save", *arguments, **named)

    def save_weights(self, *arguments: Any, **named: Any) -> None:
        """Save these weights, as the model loads them. See `Model.save_weights`."""
        self._by_the_model("save_weights", *arguments, **named)

    def export(self, *arguments: Any, **named: Any) -> Any:
        """Export the model with these weights. See `Model.export`."""
        return self._by_the_model("export", *arguments, **named)

    def get_config(self) -> dict[str, Any]:
        """Raise, for what saves it past its own `save`: it has no configuration of its own.

        Raises:
            ValueError: Always.
        """
        rule = "a copy shares its model's layers and cannot be made anew of a configuration"
        fix = "Call its own save, which saves the model with these weights"
        raise ValueError(complaint("ModelCopy", rule, fix, model=self.source().name))

    def _by_the_model(self, method: str, *arguments: Any, **named: Any) -> Any:
        with weights_in_place(self.source(), self.get_weights()):
            return getattr(type(self.source()), method)(self.source(), *arguments, **named)


class Ensemble(keras.Model):  # type: ignore[misc]
    """A model whose prediction is the mean of its members', which are copies of one model.

    Args:
        members: At least one.
        name: The name.
    """

    def __init__(self, members: Sequence[ModelCopy], name: str) -> None:
        super().__init__(name=name)
        self.members = list(members)
        self.run_eagerly, self.jit_compile = members[0].run_eagerly, members[0].jit_compile
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the mean of what the members return."""
        outputs = [member(inputs, training=training) for member in self.members]
        return keras.tree.map_structure(_average, *outputs)

    def save(self, *arguments: Any, **named: Any) -> None:
        """Raise: Keras could not load what the members share. See `get_config`."""
        self.get_config()

    def get_config(self) -> dict[str, Any]:
        """Raise, whatever saves or copies it: Keras could not load what the members share.

        Raises:
            ValueError: Always.
        """
        rule = (
            "a model that cannot be made anew of its configuration cannot be saved in an ensemble"
        )
        fix = "Call save of each of its members, or save_weights of the ensemble"
        raise ValueError(complaint("Ensemble", rule, fix, members=len(self.members)))

    def predict(self, x: Any, batch_size: int | None = None, **named: Any) -> Any:
        """Return the mean of the members' predictions. See `Model.predict`."""
        if not predicts_by_itself(self.members[0].source()):
            return super().predict(x, batch_size=batch_size, **named)
        if is_arrays(x):
            named = {"batch_size": batch_size, **named}
            return _mean_of([member.predict(x, **named) for member in self.members])
        # A dataset may give its samples in another order, or not at all, the next time.
        batches = itertools.islice(numpy_batches(x), named.get("steps"))
        means = [self.predict_on_batch(inputs) for inputs, _, _ in batches]
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *means)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the mean of the members' predictions. See `Model.predict_on_batch`."""
        if predicts_by_itself(self.members[0].source()):
            return _mean_of([member.predict_on_batch(x) for member in self.members])
        return super().predict_on_batch(x)


def copies(model: Any, sets: Sequence[Weights]) -> list[keras.Model]:
    """Return a copy of a model for each set of weights."""
    return [
        _copy(model, weights, f"{model.name}_snapshot_{number}")
        for number, weights in enumerate(sets)
    ]


def ensemble(model: Any, sets: Sequence[Weights]) -> keras.Model:
    """Return a model whose prediction is the mean of those by several sets of weights.

    Args:
        model: A built model.
        sets: At least one set of weights.
    """
    members = copies(model, sets)
    name = f"{model.name}_ensemble"
    if isinstance(members[0], ModelCopy):
        return Ensemble(members, name)
    inputs = inputs_like(model)
    outputs = [member(inputs) for member in members]
    if len(members) > 1:
        mean = keras.tree.map_structure(lambda *each: keras.layers.Average()(each), *outputs)
    else:
        mean = outputs[0]
    return keras.Model(inputs, mean, name=name)


def average(
    model: Any, sets: Sequence[Weights], x: Any, batch_size: int | None, owner: str
) -> keras.Model:
    """Return a model with the mean of several sets of weights (SWA).

    Args:
        model: A built model.
        sets: At least one set of weights.
        x: Data for the statistics of BatchNorm layers; None if there are none.
        batch_size: Samples per batch for arrays.
        owner: The public name of the caller, for error messages.

    Raises:
        ValueError: If there are BatchNorm layers and no data.
    """
    weights: Weights = [_mean(each) for each in zip(*sets, strict=True)]
    if batch_norm_layers(model):
        if x is None:
            rule = "averaged weights need new BatchNorm statistics, and these need data"
            raise ValueError(complaint(owner, rule, "Pass the training data", x=None))
        with weights_in_place(model, weights):
            recompute_batch_norm(model, _batches(model, x, batch_size))
            weights = [read_variable(variable) for variable in model.weights]
    return _copy(model, weights, f"{model.name}_average")


def _copy(model: Any, weights: Weights, name: str) -> keras.Model:
    copy = clone(model, name)
    if copy is None:
        return ModelCopy(model, weights, name)
    copy.set_weights(weights)
    finalize(copy)
    return copy


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if arrays[0].dtype.kind in "iub":  # a count has no mean
        return arrays[-1]
    mean: np.ndarray = np.mean([array.astype("float64") for array in arrays], axis=0)
    return mean.astype(arrays[0].dtype)


def _mean_of(predictions: Sequence[Any]) -> Any:
    return keras.tree.map_structure(lambda *each: _mean(each), *predictions)


def _average(*outputs: Any) -> Any:
    return keras.ops.mean(keras.ops.stack(outputs), axis=0)


def _batches(model: Any, x: Any, batch_size: int | None) -> Iterator[Batch]:
    # A model of KerasHub has a preprocessor between the data and its layers.
    prepare: Callable[[Any], Any] | None = getattr(model, "preprocess_samples", None)
    for inputs, y, sample_weight in numpy_batches(x, batch_size=batch_size):
        if prepare is not None:
            inputs = keras.utils.unpack_x_y_sample_weight(prepare(inputs))[0]
        yield inputs, y, sample_weight
