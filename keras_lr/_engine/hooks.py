"""Hooks around each training step of the running `fit`; tracing the step anew."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_lr._engine.step import StepHook
from keras_lr._engine.train_function import TrainFunction, plain_function
from keras_lr._keras.given_values import train_function_around
from keras_lr._keras.versions import record_shardings
from keras_lr.errors import complaint


def remove_stale_hooks(model: Any) -> None:
    """Take off what a fit that was cut off has left around a model's training step."""
    function = getattr(model, "train_function", None)
    if isinstance(function, TrainFunction) and function.is_stale:
        function.end()


def attach(model: Any, hook: StepHook) -> TrainFunction:
    """Put a hook around each training step of the running `fit`.

    Returns:
        What runs the hooks; the same for all hooks of a fit.

    Raises:
        ValueError: If two hooks would drive the learning rate.
    """
    remove_stale_hooks(model)
    function = model.train_function
    if not isinstance(function, TrainFunction) or not function.session.is_innermost:
        function = TrainFunction(model)
        function.install()
    drivers = [other.owner for other in function.hooks if other.drives_learning_rate]
    if hook.drives_learning_rate and drivers:
        rule = "only one callback of a fit can drive the learning rate"
        fix = "Keep one of them; ReduceOnPlateauPlus can be combined with any"
        raise ValueError(complaint(hook.owner, rule, fix, also=drivers[0]))
    function.hooks.append(hook)
    function.hooks.sort(key=lambda each: each.goes_last)
    hook.runner = function
    function.logged_rates.show()
    return function


def detach(model: Any, hook: StepHook) -> None:
    """Take a hook off again; with the last one the plain train function returns."""
    function = hook.runner
    if function is not None and hook in function.hooks:
        function.hooks.remove(hook)
        if not function.hooks:
            function.remove()


def compile_anew(model: Any) -> None:
    """Make the training step be traced again, also in the middle of `fit`; hooks stay around it."""
    record_shardings(model)
    function = train_function_around(model, _fresh)
    if isinstance(model.train_function, TrainFunction):
        model.train_function.plain = function
    else:
        model.train_function = function


def _fresh(step: Any) -> Any:
    def train_step(*arguments: Any, **named: Any) -> Any:
        return step(*arguments, **named)  # JAX would find the old method in its cache

    return train_step


@contextlib.contextmanager
def compiled_anew(model: Any) -> Iterator[None]:
    """Trace the training step anew for the length of a context; then the old one comes back."""
    before = plain_function(model)
    compile_anew(model)
    ours = plain_function(model)
    try:
        yield
    finally:
        present = plain_function(model)
        if present is not ours:
            if present is not None:  # something else has compiled it since
                compile_anew(model)
        elif isinstance(model.train_function, TrainFunction):
            model.train_function.plain = before
        else:
            model.train_function = before
