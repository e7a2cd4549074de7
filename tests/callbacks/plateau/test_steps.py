"""Evaluations every so many steps."""

import keras
import numpy as np
import pytest
from support.plateau import X, Y, fit, learning_rate, make_model

from keras_lr import optimizers
from keras_lr.callbacks.plateau import ReduceOnPlateauPlus


@pytest.mark.parametrize("monitor", ["loss", "batch_loss"])
def test_evaluates_every_so_many_steps(monitor):
    model = make_model(keras.optimizers.SGD(0.0))
    model.optimizer.learning_rate = 1e-12
    losses = [float(model.evaluate(X[i : i + 8], Y[i : i + 8], verbose=0)) for i in range(0, 32, 8)]
    seen = []
    plateau = ReduceOnPlateauPlus(monitor, patience=1, min_delta=0.0, frequency=2, mode="min")
    judged = plateau.controller.update

    def spy(self, state, metric):
        seen.append(metric)
        return judged(state, metric)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(plateau.controller), "update", spy)
        history = fit(model, [plateau], epochs=2)
    exact = [np.mean(losses[:2]), np.mean(losses[2:])] * 2
    running = [np.mean(losses[:2]), np.mean(losses)] * 2
    np.testing.assert_allclose(seen, running if monitor == "loss" else exact, rtol=1e-5)
    np.testing.assert_allclose(history.history["loss"], [np.mean(losses)] * 2, rtol=1e-5)


@pytest.mark.parametrize("kind", [keras.optimizers.SGD, optimizers.SGD])
def test_a_step_can_reduce_a_schedule_at_once(kind):
    model = make_model(kind(keras.optimizers.schedules.CosineDecay(1e-9, 1000)))
    plateau = ReduceOnPlateauPlus("batch_loss", factor=0.5, patience=1, min_delta=9e9, frequency=3)
    fit(model, [plateau], epochs=3)
    assert [(event.epoch, event.step) for event in plateau.events] == [(1, 6), (2, 9), (2, 12)]
    assert learning_rate(model) == pytest.approx(1e-9 / 8, rel=1e-2)
