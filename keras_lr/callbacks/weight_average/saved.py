"""The state of `WeightAverage` as a file holds it: plain values, and arrays by names."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_lr.callbacks.saved.parts import (
    FIX,
    RULE,
    check_parts,
    is_count,
    is_number,
    is_rate,
    list_of,
    mapping_of,
    or_none,
)
from keras_lr.callbacks.weight_average.averaging import OWNER
from keras_lr.errors import complaint

Arrays = dict[str, np.ndarray]


def check_state(state: Any) -> None:
    """Raise unless a state is one that `WeightAverage.get_state` returns.

    Raises:
        TypeError: If it is not a dictionary.
        ValueError: If a part is missing or damaged.
    """
    check_parts(OWNER, state, _PARTS)
    decays, averages, best = len(state["decays"]), len(state["averages"]), state["best"]
    if averages != (decays if state["taken"] else 0):
        raise ValueError(complaint(OWNER, f"{RULE}; averages are missing", FIX, averages=averages))
    kept = max(state["kept"], 0 if best is None else best["kept"])
    if kept >= decays:
        rule = f"{RULE}; kept is damaged"
        raise ValueError(complaint(OWNER, rule, FIX, kept=kept, decays=decays))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind not in "OSU"


_is_weights = list_of(_is_array)
_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "decays": list_of(or_none(is_rate)),
    "taken": is_count,
    "kept": is_count,
    "averages": list_of(_is_weights),
    "best": or_none(
        mapping_of({"value": is_number, "epoch": is_count, "kept": is_count, "arrays": _is_weights})
    ),
    "steps": mapping_of({"batch": is_count, "begin": or_none(is_count)}),
    "training": _is_weights,
}


def packed(state: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Return the plain values and the arrays of a state."""
    best = state["best"]
    arrays = {
        f"average_{index}_{place}": array
        for index, average in enumerate(state["averages"])
        for place, array in enumerate(average)
    }
    plain = {name: state[name] for name in ("decays", "taken", "kept", "steps")}
    plain["best"] = None
    if best is not None:
        plain["best"] = {name: value for name, value in best.items() if name != "arrays"}
        for place, array in enumerate(best["arrays"]):
            # bfloat16, which the file does not know, goes into float32 exactly
            wide = array.astype("float32") if array.dtype.name == "bfloat16" else array
            arrays[f"best_{place}"] = wide
    return plain, arrays


def unpacked(plain: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the state that `packed` was given, without training weights.

    Raises:
        Exception: If they are not what `packed` returns.
    """
    state = {**plain, "training": []}
    count = len(plain["decays"]) if plain["taken"] else 0
    state["averages"] = [_group(arrays, f"average_{index}_") for index in range(count)]
    if plain["best"] is not None:
        state["best"] = {**plain["best"], "arrays": _group(arrays, "best_")}
    check_state(state)
    return state


def _group(arrays: Arrays, prefix: str) -> list[np.ndarray]:
    names = [name for name in arrays if name.startswith(prefix)]
    return [arrays[name] for name in sorted(names, key=lambda name: int(name[len(prefix) :]))]
