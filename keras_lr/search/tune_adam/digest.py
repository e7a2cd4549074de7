"""Digests of what a model is trained as, the same in every process that builds the same model.

Names are left out: Keras numbers them by what else the process has built.
"""

import hashlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_lr._keras.models import compile_config, layers_of
from keras_lr._keras.optimizers import leaf_optimizers, proportions, rate_of
from keras_lr._keras.variables import as_numpy, read_variable

_MOST_BYTES = 2**26  # of one array; a larger one is thinned out evenly
_SEARCHED = ("name", "learning_rate", "lr", "decay")
# In a config: numbered by what else there is, or code with the place of its source.
_OF_A_PROCESS = ("name", "build_config", "shared_object_id", "code")
_OWN_STEP = ("call", "train_step", "compute_loss", "compute_metrics")
_PLAIN = (str, bytes, bool, int, float, np.ndarray, np.generic)
_EMPTY = types.CellType()


def digest(value: Any) -> str:
    """Return a short digest of a value: numbers, strings, arrays, functions, Keras objects."""
    sink = hashlib.blake2b(digest_size=8)
    for part in _parts(value, {}):
        sink.update(part)
        sink.update(b"\0")
    return sink.hexdigest()


def training_digests(model: Any) -> dict[str, str]:
    """Return digests of a built and compiled model, by what they are of.

    The learning rates and their decay are not among it, except for the proportions of several.
    """
    leaves = leaf_optimizers(model.optimizer)
    rates = {id(rate_of(leaf)) for leaf in leaves}
    shares = proportions([float(as_numpy(leaf.learning_rate)) for leaf in leaves])
    slots = [each for each in model.optimizer.variables if id(each) not in rates]
    compiled = compile_config(model)
    return {
        "architecture": digest(_architecture(model)),
        "weights": digest([read_variable(each) for each in model.weights]),
        "optimizer": digest([_optimizer(model.optimizer), [f"{share:.4g}" for share in shares]]),
        "optimizer's state": digest([read_variable(each) for each in slots]),
        "loss": digest([compiled.get("loss"), compiled.get("loss_weights")]),
    }


def _architecture(model: Any) -> list[Any]:
    layers = layers_of(model)
    places = {layer.name: f"layer {index}" for index, layer in enumerate(layers)}
    flags = [(layer.trainable, layer.dtype_policy.name) for layer in layers]
    own = [_own(type(layer)) for layer in layers]
    functions = [each.function for each in layers if isinstance(each, keras.layers.Lambda)]
    return [own, flags, functions, [_Placed(_config(layer), places) for layer in layers]]


def _own(kind: type) -> list[Any]:
    """Return the class's name, and the methods of a class that is not Keras' own."""
    if kind.__module__.startswith(("keras.", "keras_lr.")):
        return [kind.__qualname__]
    methods = [vars(base).get(name) for base in kind.__mro__[:-1] for name in _OWN_STEP]
    ours = [each for each in methods if isinstance(each, types.FunctionType)]
    return [kind.__qualname__, [m for m in ours if not m.__module__.startswith("keras.")]]


def _config(thing: Any) -> Any:
    try:
        return thing.get_config()
    except (NotImplementedError, TypeError, AttributeError):  # of a class without a config
        return None


def _optimizer(optimizer: Any) -> Any:
    config = _config(optimizer) or {}
    inner = [getattr(optimizer, "inner_optimizer", None), *getattr(optimizer, "optimizers", ())]
    plain = {name: value for name, value in config.items() if name not in _SEARCHED}
    plain = {k: v for k, v in plain.items() if "optimizer" not in k}  # are in `inner`
    kind = type(optimizer).__qualname__
    return [kind, plain, [_optimizer(each) for each in inner if each is not None]]


class _Placed:
    """A config in which the names of layers stand for their places in the model."""

    def __init__(self, config: Any, places: Mapping[str, str]) -> None:
        self.config, self.places = config, places


def _parts(value: Any, places: Mapping[str, str]) -> Iterator[bytes]:
    if isinstance(value, _Placed):
        yield from _parts(value.config, value.places)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            if key not in _OF_A_PROCESS:
                yield places.get(key, str(key)).encode()
                yield from _parts(value[key], places)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} items".encode()
        for item in value:
            yield from _parts(item, places)
    elif isinstance(value, set | frozenset):
        yield from _parts(sorted(map(str, value)), places)
    elif isinstance(value, str):
        yield places.get(value, value).encode()
    elif value is None or isinstance(value, bool | int | float | bytes):
        yield repr(value).encode()
    elif isinstance(value, types.FunctionType):
        yield from _function_parts(value)
    elif isinstance(value, types.MethodType):
        yield from _function_parts(value.__func__)
    elif hasattr(value, "get_config"):
        yield type(value).__qualname__.encode()
        yield from _parts(_config(value), places)
    elif keras.ops.is_tensor(value) or isinstance(value, np.ndarray | np.generic):
        yield from _array_parts(as_numpy(value) if keras.ops.is_tensor(value) else value)
    elif hasattr(value, "__array__"):  # a data frame, an array of another library
        yield from _array_parts(np.asarray(value))
    else:
        yield type(value).__qualname__.encode()


def _array_parts(array: Any) -> Iterator[bytes]:
    array = np.asarray(array)
    yield f"{array.shape} {array.dtype}".encode()
    if array.ndim:
        array = array[:: max(1, -(-array.nbytes // _MOST_BYTES))]
    if array.dtype.hasobject:
        yield "\n".join(map(str, array.ravel().tolist())).encode()
    else:
        yield np.ascontiguousarray(array).tobytes()


def _function_parts(function: Any) -> Iterator[bytes]:
    yield function.__qualname__.encode()
    yield from _code_parts(function.__code__)
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY]
    settings = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *cells]
    yield from _parts([each for each in settings if isinstance(each, _PLAIN)], {})


def _code_parts(code: types.CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield from _parts(list(code.co_names), {})
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_parts(constant)
        else:
            yield from _parts(constant, {})
