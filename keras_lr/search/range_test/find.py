"""The learning-rate range test in one call."""

import warnings
from dataclasses import replace
from types import GeneratorType
from typing import Any, Literal

import keras
import numpy as np

from keras_lr._engine.batch_loss import Monitor
from keras_lr._keras.data import FitData
from keras_lr._keras.fit_effects import fit_effects_kept
from keras_lr._keras.optimizers import accumulation_steps
from keras_lr._keras.own_fit import prepared_by_own_fit
from keras_lr._keras.random import data_peek_undone
from keras_lr.errors import complaining_as, complaint
from keras_lr.search.arguments import check_model, say_interrupted
from keras_lr.search.batch_faults import NamedBatchFaults
from keras_lr.search.feeding import check_feeding, with_validation
from keras_lr.search.given import check_data
from keras_lr.search.probe import (
    check_probe,
    drawn_probe,
    is_drawn,
    say_how_it_is_read,
    say_if_there_is_no_validation,
)
from keras_lr.search.progress import Verbosity
from keras_lr.search.range_test.callback import LRRangeTest
from keras_lr.search.range_test.result import RangeTestResult

INTERRUPTED = "interrupted"  # why a sweep stopped


def lr_find(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    min_lr: float = 1e-6,
    max_lr: float = 100.0,
    steps: int = 100,
    spacing: Literal["exponential", "linear"] = "exponential",
    smoothing: float = 0.98,
    stop_factor: float | None = 4.0,
    repeats: int = 1,
    probe: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    validation_every_steps: int = 10,
    monitor: Monitor | None = None,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    shuffle: bool | str = True,
    steps_per_epoch: int | None = None,
    verbose: Verbosity = "auto",
) -> RangeTestResult:
    """Run a learning-rate range test on a compiled model and leave no trace of it.

    The sweep is that of `LRRangeTest`, which says how it works. Its cost is `steps * repeats`
    training steps at most. Model, optimizer, random states and compiled functions are as before,
    whether the call returns, raises or is interrupted; the next `fit` compiles nothing again. Your
    data is out of reach: a generator has moved on, and a shuffling `tf.data` pipeline that is used
    again goes on in its own order.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would.
        x: Training data, as `Model.fit` takes it: arrays, dicts or lists of them, `tf.data`,
            `PyDataset`, generator, torch `DataLoader`. Taken over as many epochs as the sweep
            needs.
        y: Targets, as `Model.fit` takes them.
        batch_size: Samples per step for arrays; None for Keras' 32. Use the one you will train
            with.
        min_lr: See `LRRangeTest`.
        max_lr: See `LRRangeTest`.
        steps: See `LRRangeTest`.
        spacing: See `LRRangeTest`.
        smoothing: See `LRRangeTest`.
        stop_factor: See `LRRangeTest`.
        repeats: See `LRRangeTest`.
        probe: See `LRRangeTest`.
        validation_data: See `LRRangeTest`.
        validation_split: As `Model.fit` takes it: the share of arrays that is held out at their
            end, where there is no `validation_data`.
        validation_batch_size: As `Model.fit` takes it; None for `batch_size`.
        validation_steps: As `Model.fit` takes it.
        validation_every_steps: See `LRRangeTest`.
        monitor: See `LRRangeTest`.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it.
        steps_per_epoch: As `Model.fit` takes it.
        verbose: `"auto"` or 1 shows a progress bar, 2 one line at the end, 0 nothing.

    Returns:
        A `RangeTestResult`; after Ctrl-C that of the curve so far, with `stop_reason`
        `"interrupted"`.

    Raises:
        ValueError: If the model is not compiled, the data is empty or ends before the sweep does,
            or for what `LRRangeTest` raises.
        TypeError: If `model` is no Keras model, or a number is not a number.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import lr_find
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 4))
        >>> result = lr_find(model, x, x.sum(axis=1, keepdims=True), verbose=0)
        >>> 1e-3 < result.suggest() < 1.0
        True

    Reference:
        Smith 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3
        (arXiv:1506.01186).
    """
    check_model("lr_find", model)
    check_feeding("lr_find", batch_size, steps_per_epoch, shuffle)
    (x, y, sample_weight), validation = with_validation(
        "lr_find",
        (x, y, sample_weight),
        validation_data,
        split=validation_split,
        batch_size=batch_size,
        validation_batch_size=validation_batch_size,
        steps=validation_steps,
        model=model,
    )
    given = FitData(
        x=x,
        y=y,
        sample_weight=sample_weight,
        class_weight=class_weight,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
    )
    check_data("lr_find", given, model)
    check_probe("lr_find", probe)
    drawn = is_drawn(probe)
    if not drawn:
        probe = drawn_probe("lr_find", probe, None, model)
    elif isinstance(x, GeneratorType):
        rule = "a probe cannot be taken from a generator without losing its data"
        fix = "Pass probe=(x, y), a batch of your own"
        raise ValueError(complaint("lr_find", rule, fix, probe=probe))
    if drawn or probe is not None:
        say_how_it_is_read(model, "lr_find", monitor)
    if validation is not None:
        say_if_there_is_no_validation(model, "lr_find")
        validation = prepared_by_own_fit(model, validation)
    settings: dict[str, Any] = {
        "min_lr": min_lr,
        "max_lr": max_lr,
        "steps": steps,
        "spacing": spacing,
        "smoothing": smoothing,
        "stop_factor": stop_factor,
        "repeats": repeats,
        "validation_every_steps": validation_every_steps,
        "monitor": monitor,
        "verbose": verbose,
    }
    with complaining_as("lr_find", "LRRangeTest"):
        finder = LRRangeTest(**settings, probe=probe, validation_data=validation)
    epochs = steps * repeats * accumulation_steps(model) + 1
    if isinstance(x, GeneratorType):
        # In every further epoch Keras would give its first two batches again.
        epochs, steps_per_epoch = 1, None
    renamed = complaining_as("lr_find", "LRRangeTest")
    named = NamedBatchFaults("lr_find", x)
    with (
        renamed,
        named,
        fit_effects_kept(model),
        data_peek_undone(),
        finder,
        warnings.catch_warnings(),
    ):
        # The sweep takes as many epochs as it needs; where that is too much for the data, an error
        # says so below.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        warnings.filterwarnings("ignore", message="LRRangeTest: the fit must be long enough")
        warnings.filterwarnings("ignore", message="LRRangeTest: the model ")  # said above
        try:
            model.fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=0,
                callbacks=[finder],
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                steps_per_epoch=steps_per_epoch,
            )
        except KeyboardInterrupt:
            finder.restore()
            if finder.result is None:
                raise
            return _interrupted(finder.result)
    result = finder.result
    if result is None or "interrupted" in result.stop_reason:
        losses = None if result is None else result.repeat_losses
        made: object = "fewer than 2" if losses is None else int(np.isfinite(losses).sum())
        rule = "the data must last for the whole sweep"
        fix = "Pass arrays or a dataset that can be iterated again, or lower steps"
        received = {"repeats": repeats, "steps": steps, "steps_made": made}
        raise ValueError(complaint("lr_find", rule, fix, **received))
    return result


def _interrupted(result: RangeTestResult) -> RangeTestResult:
    made = int(np.isfinite(result.losses).sum())
    say_interrupted("lr_find", f"{made} of {result.steps} steps")
    return replace(result, stop_reason=INTERRUPTED)
