"""The data of `fit`: batches as Keras makes them, of which the trials see the beginning."""

from collections.abc import Iterator
from itertools import islice
from types import GeneratorType
from typing import Any

from keras_lr._keras.optimizers import accumulation_steps
from keras_lr._keras.own_fit import Listed
from keras_lr.one_call.recipe import OWNER, TRIAL_STEPS
from keras_lr.search.data import TrainingData
from keras_lr.search.feeding import check_feeding, with_validation

_PROBE_BATCHES = 8
_DEFAULTS = {"shuffle": True, "validation_split": 0.0}


class Feed:
    """The data of a fit, once for Keras' own and once for the trials.

    A generator gives its batches only once. Those that the trials are made on are held in memory,
    and given to the training again before the rest.

    Args:
        model: A compiled model.
        x: As `Model.fit` takes it.
        y: As `Model.fit` takes it.
        **given: Further arguments of `Model.fit` that are about data.

    Raises:
        TypeError: If something is not what Keras takes.
        ValueError: If there is no data, or its parts do not fit together.

    Attributes:
        arguments: What to hand to Keras' own `fit`.
        trials: What trials are made on, without the data for validation.
        batches: How many batches an epoch has, if that is known beforehand.
        validates: Whether there is validation data.
        validates_again: Whether it can be evaluated more than once.
    """

    def __init__(self, model: Any, x: Any, y: Any, **given: Any) -> None:
        check_feeding(OWNER, given["batch_size"], given["steps_per_epoch"], given["shuffle"])
        source = x, y, given["sample_weight"]
        self.validates_again = not isinstance(given["validation_data"], GeneratorType)
        self.validates = True
        if self.validates_again:
            source, validation = with_validation(
                OWNER,
                source,
                given["validation_data"],
                split=given["validation_split"],
                batch_size=given["batch_size"],
                validation_batch_size=given["validation_batch_size"],
                steps=given["validation_steps"],
                model=model,
            )
            self.validates = validation is not None
        seen = source[0]
        if isinstance(x, GeneratorType):
            held = list(islice(x, TRIAL_STEPS * accumulation_steps(model) + _PROBE_BATCHES))
            seen, x = Listed(held), _held_and_rest(held, x)
        self.trials = TrainingData(
            OWNER,
            seen,
            source[1],
            sample_weight=source[2],
            model=model,
            **{
                name: given[name]
                for name in ("class_weight", "batch_size", "steps_per_epoch", "shuffle")
            },
        )
        is_endless = isinstance(x, GeneratorType) and not given["steps_per_epoch"]
        self.batches = None if is_endless else self.trials.known_steps_per_epoch
        given = {"x": x, "y": y, **given}
        # A `fit` of the model's own need not take all that Keras' does.
        self.arguments = {
            name: value
            for name, value in given.items()
            if value is not None and not (name in _DEFAULTS and value == _DEFAULTS[name])
        }


def _held_and_rest(held: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    yield from held
    yield from rest
