"""A dict beside a model's compiled training step, which lasts as long as that step."""

from typing import Any


def kept_with_step(model: Any) -> dict[Any, Any]:
    """Return what is kept with a model's train function; a new `compile` begins with nothing.

    Args:
        model: A compiled model. Its train function is made, if there is none.
    """
    if model.train_function is None:
        model.make_train_function()
    kept: dict[Any, Any] = vars(_plain(model)).setdefault("keras_lr", {})
    return kept


def _plain(model: Any) -> Any:
    function = model.train_function
    return getattr(function, "plain", None) or function
