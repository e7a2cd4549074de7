"""The state of `WeightAverage` as a file holds it: plain values, and arrays by names."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_lr._checks import complaint
from keras_lr.callbacks.weight_average.averaging import OWNER

Arrays = dict[str, np.ndarray]


def check_state(state: Any) -> None:
    """Raise unless a state has the parts that `WeightAverage.get_state` returns.

    Raises:
        TypeError: If it is not a dictionary.
        ValueError: If a part is missing.
    """
    rule, fix = "a state must be what get_state returned", "Pass that"
    if not isinstance(state, Mapping):
        raise TypeError(complaint(OWNER, rule, fix, state=type(state)))
    parts = {"decays", "taken", "kept", "averages", "best", "steps", "training"}
    missing = sorted(parts - set(state))
    if missing:
        raise ValueError(complaint(OWNER, rule, fix, missing=missing))


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
    """Return the state that `packed` was given, without training weights."""
    state = {**plain, "training": []}
    count = len(plain["decays"]) if plain["taken"] else 0
    state["averages"] = [_group(arrays, f"average_{index}_") for index in range(count)]
    if plain["best"] is not None:
        state["best"] = {**plain["best"], "arrays": _group(arrays, "best_")}
    return state


def _group(arrays: Arrays, prefix: str) -> list[np.ndarray]:
    names = [name for name in arrays if name.startswith(prefix)]
    return [arrays[name] for name in sorted(names, key=lambda name: int(name[len(prefix) :]))]
