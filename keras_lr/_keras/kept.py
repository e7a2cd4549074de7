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


def is_step_compiled(model: Any) -> bool:
    """Return whether JAX has compiled a model's training step, for batches of whatever size."""
    cells = getattr(_plain(model), "__closure__", None) or ()
    sizes = [getattr(cell.cell_contents, "_cache_size", None) for cell in cells]
    return any(size() > 0 for size in sizes if size is not None)


def _plain(model: Any) -> Any:
    function = model.train_function
    return getattr(function, "plain", None) or function
