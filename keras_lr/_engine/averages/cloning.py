"""Copies of a model made of its configuration, where that tells all there is to the model."""

import warnings
from typing import Any

import keras
import numpy as np

from keras_lr._keras.models import layers_of
from keras_lr._keras.random import random_state_kept
from keras_lr._keras.variables import read_variable

_PLAIN = (bool, int, float, str, np.ndarray, np.generic)


def clone(model: Any, name: str) -> Any:
    """Return a built copy of a model with weights of its own, not compiled; None if there is none.

    There is none of a model with layers or weights that its configuration does not tell of (LoRA
    enabled in a part, a subclass that is not registered or has no `get_config`), nor of one that
    predicts in a way of its own, such as by a preprocessor, which a model made of its layers would
    not do.

    Args:
        model: A built model.
        name: The name of the copy.
    """
    if predicts_by_itself(model) or not (has_graph(model) or _is_registered(model)):
        return None
    make = _clone_graph if has_graph(model) else _from_config
    with_assets = [layer for layer in layers_of(model) if hasattr(layer, "save_assets")]
    if with_assets and not (has_graph(model) and all(map(_is_vocabulary, with_assets))):
        return None
    with warnings.catch_warnings(), random_state_kept():
        warnings.simplefilter("ignore")  # nothing is saved: Keras warns of what could not be loaded
        try:
            copy = make(model)
        except Exception:  # the configuration of a user's own class may raise anything
            return None
    if copy is None or _outline(copy) != _outline(model):
        return None
    copy.set_weights([read_variable(variable) for variable in model.weights])
    finalize(copy)
    if _settings(copy) != _settings(model):
        return None
    copy.name = name
    return copy


def has_graph(model: Any) -> bool:
    """Return whether a model is a functional or a sequential one that knows its inputs."""
    return bool(getattr(model, "inputs", None))


def predicts_by_itself(model: Any) -> bool:
    """Return whether `predict` gives something else than the model's layers do.

    It does where a subclass overrides it or its step, and where torch modules compute with
    parameters of their own, which stay those of the model whatever values a scope gives.
    """
    names = ("predict", "predict_on_batch", "predict_step", "make_predict_function")
    if any(getattr(type(model), name) is not getattr(keras.Model, name) for name in names):
        return True
    kind = keras.layers.TorchModuleWrapper
    return any(isinstance(layer, kind) for layer in layers_of(model))


def inputs_like(model: Any) -> Any:
    """Return new symbolic inputs like those of a model."""
    if has_graph(model):
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        return keras.tree.map_structure(_input_like, inputs)
    return _inputs_of_shapes(model.get_build_config()["input_shape"])


def finalize(model: Any) -> None:
    """Let layers work with the weights they have now.

    Normalization works with constants that it has made of its weights, and only `load_weights`
    tells it to make them anew. Layers that hold what they have adapted to elsewhere got that
    with their configuration, and would lose it.
    """
    for layer in layers_of(model):
        finalize_state = getattr(layer, "finalize_state", None)
        if callable(finalize_state) and layer.weights:
            finalize_state()


def _clone_graph(model: Any) -> Any:
    def copied(layer: Any) -> Any:
        config = layer.get_config()
        copy = type(layer).from_config(config)
        if _is_vocabulary(layer) and config.get("vocabulary") is None:  # it has been adapted to
            copy.set_vocabulary(layer.get_vocabulary(include_special_tokens=False))
        return copy

    some = any(_is_vocabulary(layer) for layer in layers_of(model))
    arguments = {"clone_function": copied, "recursive": True} if some else {}
    attributes = vars(model)
    compiled = attributes["compiled"]
    # Keras would compile the copy too, and for that load a loss, a metric or an optimizer of a
    # user's own, which need not be registered.
    attributes["compiled"] = False
    try:
        return keras.models.clone_model(model, **arguments)
    finally:
        attributes["compiled"] = compiled


def _is_vocabulary(layer: Any) -> bool:
    return hasattr(layer, "get_vocabulary") and layer.get_config()["output_mode"] != "tf_idf"


def _from_config(model: Any) -> Any:
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    copy = keras.saving.deserialize_keras_object(config)
    if not copy.built:
        copy(inputs_like(model))
    return copy


def _is_registered(model: Any) -> bool:
    name = keras.saving.get_registered_name(type(model))
    return keras.saving.get_registered_object(name) is type(model)


def _outline(model: Any) -> list[Any]:
    layers = [(type(layer), str(layer.dtype_policy.name)) for layer in layers_of(model)][1:]
    return [*layers, *((tuple(each.shape), each.dtype) for each in model.weights)]


def _settings(model: Any) -> list[Any]:
    """Return what a user's own layers compute with beside their weights, as far as it is plain."""
    every = set(vars(keras.Sequential()))
    layers = [each for each in layers_of(model) if not _is_of_keras(type(each))]
    return [
        type(model).call,
        *(
            (name, repr(value.tolist() if isinstance(value, np.ndarray) else value))
            for layer in layers
            for name, value in sorted(vars(layer).items())
            if name not in every and _is_plain(value)
        ),
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "keras"


def _input_like(tensor: Any) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _inputs_of_shapes(shapes: Any, name: str | None = None) -> Any:
    if isinstance(shapes, dict):
        return {key: _inputs_of_shapes(shape, key) for key, shape in shapes.items()}
    if shapes and isinstance(shapes[0], list | tuple):
        return [_inputs_of_shapes(shape) for shape in shapes]
    return keras.Input(shape=tuple(shapes[1:]), name=name)
