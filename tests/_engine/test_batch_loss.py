"""The loss of the single batch against `train_on_batch`."""

import functools

import keras
import numpy as np
import pytest
from support.tiny import JIT, loss_of_step, network, regression
from support.tiny import compiled as with_dropout

from keras_lr._engine.batch_loss import BatchLoss, as_float, has_custom_train_step
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.step import StepHook

X, Y = regression(samples=90)  # batches of 20, 20, 20, 20 and 10
WEIGHTS = np.linspace(0, 2, 90).astype("float32")
compiled = functools.partial(with_dropout, dropout=0.0)
BACKEND = keras.backend.backend()


class BatchLosses(keras.callbacks.Callback, StepHook):
    """Records the loss of each single batch."""

    owner, drives_learning_rate = "BatchLosses", False

    def on_train_begin(self, logs=None):
        self.losses, self.batch_loss = [], BatchLoss(self.model)
        attach(self.model, self)

    def on_train_end(self, logs=None):
        detach(self.model, self)

    def before_step(self, state):
        self.batch_loss.before_step(state)

    def after_step(self, state, logs):
        self.losses.append(as_float(logs["loss"]))


class MeanTracker(keras.Model):
    """A model whose own train step keeps its loss in a metric of its own."""

    def __init__(self):
        super().__init__()
        self.inner = network(dropout=0.0)
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.tracker]

    def call(self, x, training=False):
        return self.inner(x, training=training)

    def train_step(self, *arguments):
        *state, data = arguments
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        if BACKEND == "jax":
            return self.jax_step(state[0], x, y)
        if BACKEND == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
        else:
            self.zero_grad()
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            loss.backward()
            gradients = [variable.value.grad for variable in self.trainable_variables]
        self.optimizer.apply(gradients, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    def jax_step(self, state, x, y):
        import jax

        trainable, fixed, slots, metrics = state
        (loss, aux), gradients = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)(
            trainable, fixed, metrics, x, y, None, training=True, optimizer_variables=slots
        )
        trainable, slots = self.optimizer.stateless_apply(slots, gradients, trainable)
        tracked = self.tracker.stateless_update_state(metrics, loss)
        logs = {"loss": self.tracker.stateless_result(tracked)}
        return logs, (trainable, aux[2], slots, tracked)


def by_train_on_batch(model, sample_weight=None):
    """Return the same batches' losses from Keras, one call a batch."""
    losses = []
    for start in range(0, len(X), 20):
        part = slice(start, start + 20)
        weight = None if sample_weight is None else sample_weight[part]
        losses.append(loss_of_step(model, X[part], Y[part], weight))
    return np.array(losses, dtype=float)


def by_callback(model, **arguments):
    recorder = BatchLosses()
    model.fit(X, Y, 20, shuffle=False, verbose=0, callbacks=[recorder], **arguments)
    return recorder.losses


@pytest.fixture(scope="module")
def expected():
    return by_train_on_batch(compiled())


def test_exact_with_a_penalty_and_an_unequal_last_batch(expected):
    np.testing.assert_allclose(by_callback(compiled()), expected, rtol=1e-6)


def test_exact_with_sample_weights():
    ours = by_callback(compiled(), sample_weight=WEIGHTS)
    np.testing.assert_allclose(ours, by_train_on_batch(compiled(), WEIGHTS), rtol=1e-6)


def test_exact_with_a_train_step_of_the_users_own():
    ours, theirs = MeanTracker(), MeanTracker()
    for model in (ours, theirs):
        model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=JIT)
        model.build((None, 8))
    assert has_custom_train_step(ours)
    assert not has_custom_train_step(compiled())
    np.testing.assert_allclose(by_callback(ours), by_train_on_batch(theirs), rtol=1e-6)


@pytest.mark.parametrize("several", [1] if BACKEND == "torch" else [1, 3])
@pytest.mark.parametrize("eagerly", [False, True])
def test_exact_however_the_step_is_run(expected, several, eagerly):
    ours = by_callback(compiled(steps_per_execution=several, run_eagerly=eagerly))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_exact_with_the_default_compiler(expected):
    ours = by_callback(compiled(jit_compile="auto", metrics=["mae"]))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_other_metrics_keep_their_running_mean():
    recorder, model = BatchLosses(), compiled(metrics=["mae"])
    history = model.fit(X, Y, 20, shuffle=False, verbose=0, callbacks=[recorder])
    plain = compiled(metrics=["mae"]).fit(X, Y, 20, shuffle=False, verbose=0)
    assert history.history["mae"] == pytest.approx(plain.history["mae"], rel=1e-6)
