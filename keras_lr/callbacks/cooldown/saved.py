"""The checks that a saved state passes before a cooldown continues from it."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_lr.callbacks.cooldown.descent import OWNER
from keras_lr.callbacks.saved.parts import (
    check_parts,
    is_count,
    is_number,
    is_rate,
    list_of,
    mapping_of,
    or_none,
)


def checked_state(state: Any) -> Mapping[str, Any]:
    """Return a state, if it is one that `Cooldown.get_state` returns.

    Raises:
        TypeError: If it is not a dictionary.
        ValueError: If a part is missing or damaged.
    """
    check_parts(OWNER, state, _PARTS)
    return dict(state)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_progress(value: Any) -> bool:
    return is_rate(value) and value <= 1.0


_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "begin": or_none(is_count),
    "descent": mapping_of({"left": is_count, "begin": _is_progress, "done": is_count}),
    "bases": list_of(is_rate),
    "reason": or_none(_is_text),
    "asked": or_none(_is_text),
    "stall": or_none(mapping_of({"best": or_none(is_number), "wait": is_count})),
}
