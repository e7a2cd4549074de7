"""Names that some versions of Keras lack, looked up by whether they are there."""

from typing import Any

import keras
from keras.src.random import seed_generator

# Named by Keras 3.13; the value is older.
GLOBAL_SEED_GENERATOR = getattr(seed_generator, "GLOBAL_SEED_GENERATOR", "global_seed_generator")


def optimizer_class(name: str) -> type | None:
    """Return the optimizer class of Keras with a name, or None where this version has none."""
    return getattr(keras.optimizers, name, None)


def is_optimizer(optimizer: Any, name: str) -> bool:
    """Return whether an optimizer is of the class with a name; False where Keras has none."""
    wanted = optimizer_class(name)
    return wanted is not None and isinstance(optimizer, wanted)


def lacks_shardings(model: Any) -> bool:
    """Return whether a step that is traced now would look for shardings that nobody has noted."""
    return getattr(model, "_trainable_variable_shardings", ()) is None


def record_shardings(model: Any) -> None:
    """Let Keras note where the training state lies, which `fit` on JAX reads as a step is traced.

    `fit` does so itself when it begins. Before Keras 3.12, a step that is traced outside of `fit`,
    or with other variables than `fit` began with, finds no entry for them.
    """
    record = getattr(model, "_record_training_state_sharding_spec", None)
    # In mid-epoch, `fit` holds the values and the variables are empty: what it noted is valid.
    if record is not None and all(v._value is not None for v in model.variables):
        record()
