"""Logs of a training step, read by a search as `fit` reads them, or refused in words."""

import keras
import numpy as np
import pytest
from support.models_of_users import BACKEND, MODELS, Pairs, X, Y, made, network

from keras_lr import lr_find, lr_sweep, tune_adam, tune_lr


class Reports(Pairs):
    """A training step that reports more than its loss, in the form that a test gives."""

    def call(self, x):
        return self.inner(x)

    def train_step(self, *arguments):
        result = super().train_step(*arguments)
        if BACKEND == "jax":
            return self.form(result[0]), result[1]
        return self.form(result)


FORMS = {
    # Keras' guide: {metric.name: metric.result() for metric in self.metrics}, of which one is
    # the container of the compiled metrics, whose result is a dict.
    "nested": lambda logs: {**logs, "compile_metrics": {"mae": 2.0 * logs["loss"]}},
    "nested loss": lambda logs: {"inner": {"losses": logs}},
    "a vector too": lambda logs: {**logs, "per_class": keras.ops.ones(3) * logs["loss"]},
}


def reporting(form, **options):
    keras.utils.set_random_seed(0)
    model = Reports(inner=network(6, 8, 1))
    model.form = FORMS[form]
    model.compile("adam", jit_compile=BACKEND == "jax", **options)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_logs_are_read_as_fit_reads_them(form):
    assert np.isfinite(lr_find(reporting(form), X, Y, steps=20, verbose=0).losses).all()
    rates = [1e-4, 1e-2]
    sweep = lr_sweep(reporting(form), X, Y, rates, steps=8, verbose=0)
    assert np.isfinite(sweep.final["loss"]).all()
    assert "per_class" not in sweep.final
    assert tune_lr(reporting(form), X, Y, steps=200, probe=None, quick=True, verbose=0).finished


def test_what_a_dict_within_the_logs_holds_can_be_watched():
    by_name = lr_find(reporting("nested"), X, Y, steps=20, monitor="mae", verbose=0)
    plain = lr_find(reporting("nested"), X, Y, steps=20, verbose=0)
    np.testing.assert_allclose(by_name.losses, 2 * plain.losses, rtol=1e-5)
    doubled = lr_find(
        reporting("nested"), X, Y, steps=20, monitor=lambda logs: logs["mae"] / 2, verbose=0
    )
    np.testing.assert_allclose(doubled.losses, plain.losses, rtol=1e-5)
    sweep = lr_sweep(reporting("nested"), X, Y, [1e-4, 1e-2], steps=8, verbose=0)
    np.testing.assert_allclose(sweep.losses[:, 0], sweep.losses[0, 0])
    assert sweep.final["mae"].shape == (2,)


def test_a_monitor_that_asks_for_what_is_not_there_is_told_so():
    for search in (lr_find, lambda *data, **options: lr_sweep(*data, [1e-3], **options)):
        with pytest.raises(ValueError, match=r"the monitor must look for what .* missing='acc'"):
            search(reporting("nested"), X, Y, steps=10, monitor=lambda logs: logs["acc"], verbose=0)


def test_runs_that_cannot_be_validated_are_refused_before_the_first():
    steps = []
    for kind in ("x and y", "x alone", "GAN"):
        model, data, monitor = MODELS[kind]()
        held = (X, Y) if "y" in data else X
        model.losses_of = counted(model.losses_of, steps)
        with pytest.raises(ValueError, match=r"^tune_adam: runs are judged by validation"):
            tune_adam(
                model, **data, validation_data=held, monitor=monitor, steps=20, lr=(1e-4, 1e-2),
                n_trials=1, verbose=0,
            )  # fmt: skip
    assert len(steps) <= 3  # while the model is built


def counted(function, calls):
    def count(*arguments):
        calls.append(1)
        return function(*arguments)

    return count


def test_a_sweep_of_a_model_without_a_loss_goes_by_the_training_loss():
    with pytest.warns(UserWarning, match="lr_sweep: .* only the training loss is watched"):
        result = lr_sweep(
            reporting("nested"), X, Y, [1e-4, 1e-2], steps=8, validation_data=(X, Y), verbose=0
        )
    assert result.measure == "loss"


class Scored(Reports):
    """With a test step of its own, which reports a name of its own."""

    def test_step(self, *arguments):
        x, y = arguments[-1]
        if BACKEND != "jax":
            return self.scores(x, y)
        trainable, other, _ = arguments[0]
        mapping = [
            *zip(self.trainable_variables, trainable, strict=True),
            *zip(self.non_trainable_variables, other, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            return self.scores(x, y), arguments[0]

    def scores(self, x, y):
        score = keras.ops.mean(keras.ops.abs(self(x) - y))
        return {"score": score, "more": {"double": 2 * score}}


def scored():
    keras.utils.set_random_seed(0)
    model = Scored(inner=network(6, 8, 1))
    model.form = lambda logs: {**logs, "score": logs["loss"]}
    return made(model)


@pytest.mark.parametrize("monitor", ["score", "val_score", lambda logs: logs["score"]])
def test_tune_adam_goes_by_the_monitor_on_validation_data(monitor):
    options = {"batch_size": 20, "validation_steps": 2, "steps": 12, "lr": (1e-3, 1e-1)}
    tuned = tune_adam(
        scored(), X, Y, validation_data=(X, Y), monitor=monitor, n_trials=3, repeats=1,
        sampler="tpe", pruner=None, verbose=0, **options,
    )  # fmt: skip
    assert tuned.loss == min(trial.loss for trial in tuned.trials)
    twin = scored()
    twin(X[:1])
    start = twin.evaluate(X, Y, batch_size=20, steps=2, verbose=0, return_dict=True)["score"]
    assert 0 < tuned.loss < start


def test_tune_adam_holds_back_what_it_is_told_to():
    seen = []
    model = scored()
    given = {"monitor": lambda logs: seen.append(sorted(logs)) or logs["score"]}
    given |= {"validation_split": 0.25, "validation_batch_size": 10, "steps": 10}
    tuned = tune_adam(model, X, Y, **given, lr=(1e-3, 1e-2), n_trials=1, repeats=1, verbose=0)
    assert ["double", "score"] in seen
    held = model.evaluate(X[-30:], Y[-30:], batch_size=10, verbose=0, return_dict=True)
    assert tuned.loss < held["score"]


def test_a_name_that_validation_does_not_report_is_refused_before_a_run():
    model = scored()
    model.form = lambda logs: {**logs, "train_only": logs["loss"]}
    with pytest.raises(ValueError, match="tune_adam: the model's test_step must report"):
        tune_adam(
            model, X, Y, validation_data=(X, Y), monitor="train_only", steps=10, n_trials=1,
            lr=(1e-3, 1e-2), verbose=0,
        )  # fmt: skip


class OwnFit(keras.Model):
    """Prepares its data in `fit`, as a KerasHub task does."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def fit(self, x=None, y=None, **options):
        return super().fit(2 * x, y, **options)


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("metrics", [["mae"], [keras.metrics.MeanAbsoluteError(name="error")]])
def test_metrics_that_no_step_has_built_are_not_asked_for(built, metrics):
    keras.utils.set_random_seed(0)
    model = OwnFit()
    model.compile("sgd", "mse", metrics=metrics, jit_compile=BACKEND == "jax")
    if built:
        model(X[:1])
    result = lr_sweep(model, X, Y, [1e-4, 1e-2], steps=6, verbose=0)
    assert np.isfinite(result.final["loss"]).all()
    assert tune_lr(model, X, Y, steps=200, quick=True, verbose=0).finished
    assert "get_metrics_result" not in vars(model)
    assert set(model.fit(X, Y, verbose=0).history) == {
        "loss",
        *(["mae"] if metrics == ["mae"] else ["error"]),
    }
