"""The engine around a toy quadratic: a host of a few lines, and no Keras model.

The loss is w^2 / 2, so an update with rate r makes w (1 - r) of it: a closed form.
"""

import keras
import numpy as np
import pytest

from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.step import StepHook
from keras_lr._keras.backend import ON_JAX

START, STEPS = 8.0, 5


class Optimizer:
    """A learning rate and a count of updates, with the names by which the host finds them."""

    built = True

    def __init__(self):
        self._learning_rate = keras.Variable(0.5, trainable=False)
        self._iterations = keras.Variable(0, dtype="int32", trainable=False)
        self.variables = [self._iterations, self._learning_rate]


class Quadratic:
    """A host: it has what `fit` gives a model, and trains one number."""

    built, stop_training, steps_per_execution = True, False, 1
    train_function = history = None
    _compile_metrics = None  # the host looks for what TensorFlow has yet to build

    def __init__(self):
        self.weight = keras.Variable(START)
        self.trainable_variables = [self.weight]
        self.non_trainable_variables, self.metrics_variables = [], []
        self.optimizer = Optimizer()

    def _flatten_layers(self):
        return []

    def compile(self):
        self.train_function = None

    def jax_state_sync(self):
        pass

    def make_train_function(self, force=False):
        self.train_function = self._carried_step if ON_JAX else self._step

    def _step(self, batches):
        next(batches)
        rate, weight = self.optimizer._learning_rate, self.weight
        loss = keras.ops.convert_to_numpy(weight.value) ** 2 / 2
        weight.assign(weight.value * (1.0 - rate.value))
        self.optimizer._iterations.assign_add(1)
        return {"loss": float(loss)}

    def _carried_step(self, state, batches):
        next(batches)
        (weight,), frozen, (count, rate), metrics = state
        values = [weight * (1.0 - rate)], frozen, [count + 1, rate], metrics
        return {"loss": float(weight) ** 2 / 2}, values

    def train(self, batches):
        """Run the loop that `fit` runs: on JAX the values are carried from step to step."""
        logs, variables = [], [*self.trainable_variables, *self.optimizer.variables]
        if ON_JAX:
            state = [self.weight.value], [], [each.value for each in self.optimizer.variables], []
            for batch in batches:
                found, state = self.train_function(state, iter([batch]))
                logs.append(found)
            for variable, value in zip(variables, [*state[0], *state[2]], strict=True):
                variable.assign(value)
        else:
            logs = [self.train_function(iter([batch])) for batch in batches]
        return [found["loss"] for found in logs]


class Drive(StepHook):
    """A hook that writes a learning rate before each step, and reads the weight after it."""

    owner, drives_learning_rate = "Drive", True

    def __init__(self, model, rates):
        self.model, self.rates, self.weights = model, iter(rates), []

    def before_step(self, state):
        state.write(self.model.optimizer._learning_rate, next(self.rates))

    def after_step(self, state, logs):
        self.weights.append(float(state.read(self.model.weight)))


@pytest.fixture
def model():
    made = Quadratic()
    made.make_train_function()
    return made


RATES = [0.5, 0.25, 0.0, -1.0, 0.125]
EXPECTED = START * np.cumprod(1.0 - np.array(RATES))  # exact: powers of two


def test_a_hook_writes_what_the_next_step_uses(model):
    plain = model.train_function
    hook = Drive(model, RATES)
    attach(model, hook)
    losses = model.train(range(STEPS))
    assert hook.weights == EXPECTED.tolist()
    assert losses == (np.array([START, *EXPECTED[:-1]]) ** 2 / 2).tolist()
    detach(model, hook)
    assert model.train_function == plain
    assert int(keras.ops.convert_to_numpy(model.optimizer._iterations.value)) == STEPS


def test_two_hooks_cannot_both_drive(model):
    attach(model, Drive(model, RATES))
    with pytest.raises(ValueError, match="only one callback of a fit can drive the learning rate"):
        attach(model, Drive(model, RATES))


def test_a_model_compiled_in_between_is_followed(model):
    hook = Drive(model, RATES)
    attach(model, hook)
    model.train(range(2))
    model.compile()
    model.make_train_function()
    model.train(range(STEPS - 2))
    assert hook.weights == EXPECTED.tolist()
