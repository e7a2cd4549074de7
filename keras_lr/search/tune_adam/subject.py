"""Digests of a study's task, by which a study of another task is refused."""

from itertools import islice
from typing import Any

import keras

from keras_lr._engine.trials import trials
from keras_lr._keras.data import FitData, is_rows, numpy_batches
from keras_lr._keras.random import random_state_kept, seed_generators
from keras_lr.errors import complaint
from keras_lr.search.data import TrainingData
from keras_lr.search.tune_adam.digest import digest, training_digests


def check_subject(
    owner: str, study: Any, model: Any, data: TrainingData, validation_data: FitData
) -> None:
    """Hold that a study is about what it was begun with; if it is new, note that.

    Digests are kept with the study. The same call in another process gives the same ones, and
    there is nothing in them that tells where the data comes from or which machine this is.

    Args:
        owner: The public name the user called.
        study: An Optuna study.
        model: A compiled model; it is built.
        data: What it is trained on.
        validation_data: What it is judged on.

    Raises:
        ValueError: If the study is about something else, or does not say.
    """
    with trials(model, data.for_fit, data.batches(1, 0)[0], owner):
        pass  # builds the model and its optimizer
    about = {
        **training_digests(model),
        "training data": _data_digest(data.for_fit),
        "validation data": _data_digest(validation_data),
    }
    begun = study.user_attrs.get("about")
    if begun is None and "space" not in study.user_attrs:
        study.set_user_attr("about", about)
        return
    others = [name for name in about if (begun or {}).get(name) != about[name]]
    if others:
        rule = f"the study was begun with another model or other data: {', '.join(others)}"
        fix = "Begin from the same weights and data, or pass another study_name"
        raise ValueError(complaint(owner, rule, fix, study_name=study.study_name))


def _data_digest(data: FitData) -> str:
    given = data.arguments
    x, y, sample_weight = (given[name] for name in ("x", "y", "sample_weight"))
    rest = [given[name] for name in sorted(given) if name not in ("x", "y", "sample_weight")]
    if is_rows((x, y, sample_weight)):
        return digest([x, y, sample_weight, rest])
    return digest([_sample(x, y), rest])


def _sample(x: Any, y: Any) -> Any:
    """Return the first batch of a dataset; only its form if it is another one each time."""
    batches: list[Any] = []
    for seed in (0, 1):
        with random_state_kept():  # data may draw random numbers as it is read
            seed_generators(seed)
            batches += islice(numpy_batches(x) if y is None else numpy_batches(x, y), 1)
    if len({digest(batch) for batch in batches}) <= 1:
        return batches[:1]
    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else f"{leaf.shape[1:]} {leaf.dtype}", batches[0]
    )
