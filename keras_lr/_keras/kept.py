"""What is kept beside a model's compiled training step, for as long as that step lasts."""

from typing import Any


def kept_with_step(model: Any) -> dict[Any, Any]:
    """Return what is kept with a model's train function; a new `compile` begins with nothing.

    Args:
        model: A compiled model. Its train function is made, if there is none.
    """
    if model.train_function is None:
        model.make_train_function()
    function = model.train_function
    plain = getattr(function, "plain", None) or function
    kept: dict[Any, Any] = vars(plain).setdefault("keras_lr", {})
    return kept
