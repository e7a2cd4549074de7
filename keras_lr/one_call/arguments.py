"""Checks of what `fit` is given, before anything is trained."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_lr._engine.averages.schedule_free import is_schedule_free
from keras_lr._keras.optimizers import accumulation_steps, leaf_optimizers
from keras_lr.callbacks import Cooldown, LRScheduler, SwapScheduleFreeWeights, WeightAverage
from keras_lr.callbacks.saved.judge import Judge
from keras_lr.callbacks.schedule.driver import ScheduleCallback
from keras_lr.callbacks.weight_average.averaging import decays_of
from keras_lr.errors import (
    check_choice,
    check_integer,
    check_number,
    complaining_as,
    complaint,
)
from keras_lr.one_call.data import Feed
from keras_lr.one_call.recipe import OWNER, check_shape
from keras_lr.search.given import check_most
from keras_lr.search.progress import check_verbose
from keras_lr.search.range_test.callback import LRRangeTest

DECAYS = (0.98, 0.995)
_USUAL_METRIC = "val_loss"  # the default of fit: not a wish of its own
_AVERAGING = (WeightAverage, SwapScheduleFreeWeights, keras.callbacks.SwapEMAWeights)
_DRIVING = (
    ScheduleCallback,
    LRRangeTest,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)


def listed(callbacks: Any) -> list[Any]:
    """Return the callbacks of a fit, in whatever form Keras takes them, as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    found = keras.tree.flatten(callbacks) if callbacks is not None else []
    for each in found:
        if not isinstance(each, keras.callbacks.Callback):
            rule, fix = "callbacks must be Keras callbacks", "Pass a list of instances"
            raise TypeError(complaint(OWNER, rule, fix, callback=each))
    return found


def check_callbacks(callbacks: list[Any]) -> None:
    """Raise if one of them would drive the learning rate too.

    Raises:
        ValueError: If so.
    """
    for each in callbacks:
        only_logs = isinstance(each, LRScheduler) and each.get_params()["schedule"] is None
        if isinstance(each, _DRIVING) and not only_logs:
            rule = "it drives the learning rate itself, so no callback may"
            fix = "Leave it out, or pass a shape as schedule=; ReduceOnPlateauPlus can be combined"
            raise ValueError(complaint(OWNER, rule, fix, callback=type(each).__name__))


def check_options(
    tune: Any,
    schedule: Any,
    cooldown_steps: Any,
    validation_freq: Any,
    seed: Any,
    verbose: Any,
    callbacks: list[Any],
) -> None:
    """Raise unless the plain arguments of `fit` are of their kind and in their range."""
    if not isinstance(tune, bool):
        fix = "Pass True, False, or a learning rate as the peak"
        check_number(OWNER, fix, above=0.0, tune=tune)
    if schedule is not None:
        check_shape(schedule)
    check_integer(OWNER, "Any seed will do", at_least=0, seed=seed)
    check_verbose(OWNER, verbose)
    fix = "Pass in which epochs to validate: every 2, say, or [1, 5, 10]"
    listed_epochs = isinstance(validation_freq, Sequence) and not isinstance(validation_freq, str)
    for each in validation_freq if listed_epochs else [validation_freq]:
        check_integer(OWNER, fix, at_least=1, validation_freq=each)
    if cooldown_steps is None:
        return
    fix = "Pass a number of updates, or None to stop at once"
    check_integer(OWNER, fix, at_least=1, cooldown_steps=cooldown_steps)
    check_most(OWNER, cooldown_steps=cooldown_steps)
    if any(isinstance(each, Cooldown) for each in callbacks):
        rule, fix = "one cooldown is enough in a fit", "Leave the callback or cooldown_steps out"
        raise ValueError(complaint(OWNER, rule, fix, callback="Cooldown"))


def choices(
    model: Any,
    averages: Any,
    checkpoint: Any,
    monitor: Any,
    mode: Any,
    callbacks: list[Any],
    feed: Feed,
) -> tuple[float | None, ...]:
    """Return the decays of the averages to choose among by validation; none for no choice.

    The training weights are the average with decay 0.

    Args:
        model: A compiled model.
        averages: The argument of `fit`; so are the next three.
        checkpoint: See above.
        monitor: See above.
        mode: See above.
        callbacks: The other callbacks of the fit.
        feed: The data.

    Raises:
        TypeError: If an argument is not of the kind asked for.
        ValueError: If it is out of its range, or something is asked for that cannot be chosen.
    """
    check_choice(OWNER, ("auto", True, False), checkpoint=checkpoint)
    usual = isinstance(averages, str)
    if usual:
        check_choice(OWNER, ("auto",), averages=averages)
    with complaining_as(OWNER, "WeightAverage"):
        judge = Judge("WeightAverage", monitor, mode)
        none = averages is None or averages is False or averages == ()
        decays = DECAYS if usual else () if none else decays_of(averages)
    asked = (bool(decays) and not usual) or checkpoint is True
    asked = asked or (monitor != _USUAL_METRIC and not feed.validates)
    hindrance = _hindrance(model, callbacks, feed)
    if hindrance is not None and asked:
        fix = "Pass averages=() and checkpoint=False, or validation arrays"
        received = {"averages": averages, "checkpoint": checkpoint}
        if monitor != _USUAL_METRIC:
            fix, received = "Leave monitor out, or pass validation data", {"monitor": monitor}
        raise ValueError(complaint(OWNER, hindrance, fix, **received))
    if hindrance is not None or not (decays or checkpoint):
        return ()
    if not judge.on_validation:
        rule, fix = "monitor must be a metric of validation", 'Pass "val_loss", say'
        raise ValueError(complaint(OWNER, rule, fix, monitor=monitor))
    check_metric(model, monitor, mode)
    return (0.0, *(each for each in decays if each != 0.0))


def check_metric(model: Any, monitor: str, mode: Any) -> None:
    """Raise if validation is known not to report the metric that weights are chosen by.

    It is known at once for a model that has been trained, and else after the trials.

    Raises:
        ValueError: If so, or if it is not known which value of it is better.
    """
    Judge(OWNER, monitor, mode).check(model)


def _hindrance(model: Any, callbacks: list[Any], feed: Feed) -> str | None:
    """Return why there is nothing to choose weights by."""
    if not feed.validates:
        return "weights can be chosen only by validation data"
    if not feed.validates_again:
        return "a choice among weights evaluates the same data several times, not a generator"
    own = [type(each).__name__ for each in callbacks if isinstance(each, _AVERAGING)]
    leaves = leaf_optimizers(model.optimizer)
    own += [leaf.name for leaf in leaves if leaf.use_ema or is_schedule_free(leaf)]
    return f"the weights are averaged by {own[0]} already" if own else None


def run_length(model: Any, batches: int | None, epochs: Any, steps: Any, initial_epoch: Any) -> int:
    """Return how many updates there may be in all.

    Args:
        model: A compiled model.
        batches: How many batches an epoch has, if that is known.
        epochs: The argument of `fit`; so are the next two.
        steps: See above.
        initial_epoch: See above.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If not one of the two lengths is given, or there is not a single update.
    """
    fix = "Pass epochs=10, say, or steps=2000 as the number of updates"
    if (epochs is None) == (steps is None):
        rule = "one of epochs and steps must be given"
        raise ValueError(complaint(OWNER, rule, fix, epochs=epochs, steps=steps))
    check_integer(
        OWNER, "Pass 0 to begin at the beginning", at_least=0, initial_epoch=initial_epoch
    )
    check_most(OWNER, epochs=epochs, steps=steps, initial_epoch=initial_epoch)
    if steps is not None:
        check_integer(OWNER, fix, at_least=1, steps=steps)
        return int(steps)
    check_integer(OWNER, fix, at_least=initial_epoch + 1, epochs=epochs)
    if batches is None:
        rule = "a length in epochs needs to know how many batches an epoch has"
        raise ValueError(
            complaint(OWNER, rule, "Pass steps_per_epoch too, or steps", epochs=epochs)
        )
    accumulation = accumulation_steps(model)
    updates = epochs * batches // accumulation - initial_epoch * batches // accumulation
    if updates < 1:
        rule = f"{(epochs - initial_epoch) * batches} batches make no update of {accumulation}"
        raise ValueError(complaint(OWNER, rule, "Pass more epochs", epochs=epochs))
    return int(updates)
