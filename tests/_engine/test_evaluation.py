"""The loss on other data, in mid-fit, against Keras' own figures."""

import keras
import numpy as np
import pytest
from support.tiny import compiled, identical, regression, values

from keras_lr._engine.evaluation import LossFunction
from keras_lr._engine.hooks import attach, detach
from keras_lr._engine.step import StepHook
from keras_lr._keras.data import numpy_batches

X, Y = regression()
WEIGHTS = np.linspace(0, 2, len(X)).astype("float32")


class Probe(keras.callbacks.Callback, StepHook):
    """Takes a loss after every step, and Keras' own at the end of the epoch."""

    owner, drives_learning_rate = "Probe", False

    def __init__(self, training, weights=None):
        super().__init__()
        self.training, self.weights, self.losses = training, weights, []

    def on_train_begin(self, logs=None):
        self.loss = LossFunction(self.model, "test", training=self.training)
        attach(self.model, self)

    def on_train_end(self, logs=None):
        detach(self.model, self)

    def before_step(self, state):
        pass

    def after_step(self, state, logs):
        batches = numpy_batches(X, Y, self.weights, batch_size=64)
        self.losses.append(self.loss(state, batches))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_is_what_evaluate_says(weights):
    probe, model = Probe(training=False, weights=weights), compiled()
    model.fit(X, Y, verbose=0, callbacks=[probe])
    theirs = model.evaluate(X, Y, 64, 0, weights, return_dict=True)["loss"]
    assert probe.losses[-1] == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_leaves_no_trace(training):
    probed = compiled()
    probed.fit(X, Y, verbose=0, shuffle=False, callbacks=[Probe(training=training)])
    plain = compiled()
    plain.fit(X, Y, verbose=0, shuffle=False)
    assert identical(values(probed), values(plain))


def test_training_mode_drops_units():
    trained, evaluated = Probe(training=True), Probe(training=False)
    compiled().fit(X, Y, verbose=0, shuffle=False, callbacks=[trained])
    compiled().fit(X, Y, verbose=0, shuffle=False, callbacks=[evaluated])
    assert trained.losses != evaluated.losses
