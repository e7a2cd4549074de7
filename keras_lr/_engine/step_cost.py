"""The arithmetic of a training step, counted before it is compiled (JAX)."""

import math
from collections.abc import Iterator
from typing import Any

from keras_lr._keras.data import Batch


def step_operations(model: Any, state: Any, batch: Batch) -> float:
    """Return the floating-point operations of the matrix products and convolutions of one step.

    The step is traced for that, and not compiled. JAX keeps the trace: the first step takes it over
    and need not be traced again.

    Args:
        model: A compiled model.
        state: What its training step takes, as `fit` carries it.
        batch: A batch, as its training step takes it.
    """
    import jax

    traced = jax.jit(model.train_step, donate_argnums=0).trace(state, batch)
    return _operations(traced.jaxpr)


def _operations(jaxpr: Any) -> float:
    total = 0.0
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            length = math.prod(shape[axis] for axis in contracted)
            total += 2.0 * length * math.prod(equation.outvars[0].aval.shape)
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = kernel[parameters["dimension_numbers"].rhs_spec[0]]
            length = math.prod(kernel) / max(1, features)
            total += 2.0 * length * math.prod(equation.outvars[0].aval.shape)
        else:
            inner = [_operations(each) for each in _inner_jaxprs(parameters)]
            repeated = parameters["length"] if name == "scan" else 1
            total += repeated * (max(inner, default=0.0) if name == "cond" else sum(inner))
    return total


def _inner_jaxprs(parameters: dict[str, Any]) -> Iterator[Any]:
    for value in parameters.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if hasattr(getattr(each, "jaxpr", each), "eqns"):
                yield each
