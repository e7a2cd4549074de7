"""The probe: whole batches of training data that a search looks at and does not train on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_lr._engine.batch_loss import Monitor, has_custom_train_step
from keras_lr._engine.step_loss import can_validate, why_no_loss
from keras_lr._keras.data import Batch, FitData, is_one_shot
from keras_lr._keras.own_fit import batches_of_own_fit, has_own_fit
from keras_lr._warnings import warn
from keras_lr.errors import check_integer, complaint
from keras_lr.search.data import TrainingData
from keras_lr.search.given import MOST, check_data

_FIX = 'Pass 256, "auto", a batch (x, y), a list of batches, or None for no probe'


def check_probe(owner: str, probe: Any) -> None:
    """Raise unless `probe` is a number of samples, "auto", None, False, or may be batches."""
    if _is_number(probe):
        check_integer(owner, _FIX, at_least=1, probe=probe)
    elif not _is_off(probe) and not _is_auto(probe):
        for part in _parts(probe):
            x = part[0] if 1 <= len(part) <= 3 else None
            if x is None or isinstance(x, str | bytes | int | float):
                rule = "probe must be a number of samples, a batch or a list of batches"
                received = probe if isinstance(probe, str | bool | float) else type(probe)
                raise TypeError(complaint(owner, rule, _FIX, probe=received))


def is_drawn(probe: Any) -> bool:
    """Return whether a probe is to be drawn from the training data."""
    return _is_number(probe) or _is_auto(probe)


def drawn_probe(owner: str, probe: Any, data: Any, model: Any = None) -> list[Batch] | None:
    """Return the batches of the probe the user asked for, or None where there is to be none.

    Args:
        owner: The public name the user called, for error messages.
        probe: A number of samples; `"auto"` for the usual number; a batch; a list of batches; None
            or False for none.
        data: What to draw samples from: `TrainingData`, or Keras' adapter of it.
        model: The model, where its `fit` may not be Keras' own.
    """
    if _is_off(probe):
        return None
    if not is_drawn(probe):
        return [_as_in_fit(owner, part, model) for part in _parts(probe)]
    if data is None or is_one_shot(data):
        rule = "a probe cannot be taken from a generator without losing its data"
        fix = "Pass probe=(x, y), a batch of your own"
        raise ValueError(complaint(owner, rule, fix, probe=probe))
    if not isinstance(data, TrainingData):
        data = TrainingData(owner, data)
    batches: list[Batch] = data.probe(None if _is_auto(probe) else int(probe))
    return batches


def say_how_it_is_read(model: Any, owner: str, monitor: Monitor | None) -> None:
    """Warn where the probe's loss can only be what the training step reports."""
    reason = why_no_loss(model)
    if monitor is None and reason and has_custom_train_step(model):
        rule = f"{reason}, so that the probe's loss is the training loss that its step reports"
        fix = "Pass monitor=... to watch something else of what it reports"
        warn(complaint(owner, rule, fix, model=model.name))


def say_if_there_is_no_validation(model: Any, owner: str) -> None:
    """Warn where there is no loss to validate by, so that only the training loss is watched."""
    if not can_validate(model):
        rule = f"{why_no_loss(model)}, so that only the training loss is watched"
        fix = "Write a test_step for the validation data, or leave them out"
        warn(complaint(owner, rule, fix, model=model.name))


def _is_off(probe: Any) -> bool:
    return probe is None or probe is False


def _is_auto(probe: Any) -> bool:
    return isinstance(probe, str) and probe == "auto"


def _is_number(probe: Any) -> bool:
    return isinstance(probe, int | np.integer) and not isinstance(probe, bool)


def _parts(probe: Any) -> list[Sequence[Any]]:
    """Return the batches of a probe, each as x, y and sample_weight or the first of these."""
    if isinstance(probe, list) and probe and all(isinstance(part, tuple) for part in probe):
        return probe
    return [probe if isinstance(probe, tuple | list) else (probe,)]


def _as_in_fit(owner: str, part: Sequence[Any], model: Any) -> Batch:
    """Return a batch of the user's own as `fit` would hand it to a step."""
    x, y, sample_weight = (*part, None, None)[:3]
    data = FitData(x=x, y=y, sample_weight=sample_weight, batch_size=MOST)
    check_data(owner, data, model, "probe")
    if has_own_fit(model):
        return batches_of_own_fit(model, data, 1, 0)[0][0]
    return next(data.batches())
