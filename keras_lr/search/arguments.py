"""Checks of the arguments that all searches share: a compiled model and the length of a run."""

from typing import Any

import keras

from keras_lr._engine.optimizer_use import check_trainable
from keras_lr._keras.optimizers import known_leaves
from keras_lr._keras.workers import are_apart
from keras_lr.errors import check_integer, complaint
from keras_lr.search.data import TrainingData
from keras_lr.search.given import check_most


def check_model(owner: str, model: Any) -> None:
    """Raise unless `model` is a compiled Keras model that can train, its optimizers known.

    A `MultiOptimizer` made of a function knows its own only once it is built, and is built here.
    """
    fix = "Pass a keras.Model, and call model.compile(...) first"
    if not isinstance(model, keras.Model):
        raise TypeError(complaint(owner, "model must be a Keras model", fix, model=type(model)))
    if not model.compiled or model.optimizer is None:
        rule = "the model must be compiled with an optimizer"
        raise ValueError(complaint(owner, rule, fix, model=model.name))
    if are_apart(model):
        rule = "Keras' fit does not train over several processes on TensorFlow"
        fix = "Use MirroredStrategy on one machine, or keras.distribution on JAX"
        strategy = type(model.distribute_strategy).__name__
        raise ValueError(complaint(owner, rule, fix, strategy=strategy))
    known_leaves(model, owner)
    check_trainable(model, owner)


def length_in_steps(owner: str, data: TrainingData, steps: int | None, epochs: int | None) -> int:
    """Return the length of a run in updates, from whichever of the two was given."""
    if (steps is None) == (epochs is None):
        rule = "one of steps and epochs must be given"
        fix = "Pass steps=100, say, or epochs=1"
        raise ValueError(complaint(owner, rule, fix, steps=steps, epochs=epochs))
    if steps is not None:
        check_integer(owner, "Pass a number of updates", at_least=1, steps=steps)
        check_most(owner, steps=steps)
        return steps
    check_integer(owner, "Pass a number of epochs", at_least=1, epochs=epochs)
    check_most(owner, epochs=epochs)
    return (epochs or 0) * data.steps_per_epoch


def say_interrupted(owner: str, known: str) -> None:
    """Say in a line that Ctrl-C has ended a search, and what its result is made of."""
    print(f"{owner}: interrupted. The result holds {known}; the model is as before.")
