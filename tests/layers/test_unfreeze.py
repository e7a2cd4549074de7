"""`Unfreeze`: groups that stand still until their epoch, in one fit."""

import keras
import numpy as np
import pytest
from keras import ops
from layers.networks import FACTORS, data, network, weights
from support.tiny import JIT, identical

import keras_lr as klr


class Watch(keras.callbacks.Callback):
    """Notes the weights, the factors and BatchNorm's statistics at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights, self.factors, self.statistics = [], [], []

    def look(self):
        self.weights.append(weights(self.model))
        leaf = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        self.factors.append(leaf.factors)
        self.statistics.append(
            [np.array(ops.convert_to_numpy(each)) for each in self.model.non_trainable_variables]
        )

    def on_train_begin(self, logs=None):
        self.look()

    def on_epoch_end(self, epoch, logs=None):
        self.look()

    def moved(self, epoch):
        """Return which of the three layers have moved in an epoch."""
        before, after = self.weights[epoch : epoch + 2]
        return [not identical(before[i : i + 2], after[i : i + 2]) for i in (0, 2, 4)]


def compiled(optimizer="adam", factors=FACTORS, make=network, **arguments):
    model = make()
    arguments = {"jit_compile": JIT, **arguments}
    model.compile(klr.by_layer(optimizer, model, factors), "mse", **arguments)
    return model


def fit(model, *callbacks, epochs=3, **arguments):
    watch = Watch()
    given = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    model.fit(*data(), epochs=epochs, callbacks=[*callbacks, watch], **given)
    return watch


def test_groups_thaw_from_the_outputs_to_the_inputs():
    watch = fit(compiled(), klr.Unfreeze())
    assert [watch.moved(epoch) for epoch in range(3)] == [
        [False, False, True],
        [False, True, True],
        [True, True, True],
    ]


def test_groups_thaw_at_their_epochs():
    watch = fit(compiled(), klr.Unfreeze({"mid": 2, "body": 1}))
    assert [watch.moved(epoch) for epoch in range(3)] == [
        [False, False, True],
        [True, False, True],
        [True, True, True],
    ]
    assert watch.factors[1] == {"body": 0.0, "mid": 0.0, "head": 1.0}
    assert watch.factors[3] == FACTORS


def test_the_order_is_that_of_the_model_and_not_of_the_dict():
    watch = fit(compiled(factors={"head": 1.0, "body": 0.5}), klr.Unfreeze(every=2), epochs=1)
    assert watch.moved(0) == [False, False, True]


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_a_frozen_group_stands_still_whatever_momentum_it_had(name):
    given = {} if name == "Adam" else {"momentum": 0.9}
    model = compiled(getattr(keras.optimizers, name)(0.01, **given))
    fit(model, epochs=2)
    watch = fit(model, klr.Unfreeze({"body": 9}))
    assert [watch.moved(epoch)[0] for epoch in range(3)] == [False] * 3
    assert model.optimizer.factors == FACTORS


def test_it_is_training_without_a_layer_and_then_with_it():
    # Of plain descent, which keeps nothing: what a frozen layer would have learned has no effect.
    model = compiled(keras.optimizers.SGD(0.0625), {"body": 0.5})
    fit(model, klr.Unfreeze({"body": 1}), epochs=2)
    twin = network()
    for trainable in (False, True):
        twin.get_layer("body").trainable = trainable
        optimizer = klr.by_layer(keras.optimizers.SGD(0.0625), twin, {"body": 0.5})
        twin.compile(optimizer, "mse", jit_compile=JIT)
        twin.fit(*data(), batch_size=8, shuffle=False, verbose=0)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def with_batch_norm():
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Dense(8, name="body"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.BatchNormalization(name="bare", scale=False, center=False),
        keras.layers.Dense(2, name="head"),
    ]
    return keras.Sequential([keras.Input((6,)), *layers])


BATCH_NORM = {("body", "norm"): 0.5, "head": 1.0}


def test_batch_norm_of_a_frozen_group_is_in_inference_mode():
    model = compiled(keras.optimizers.SGD(0.0625), BATCH_NORM, with_batch_norm)
    watch = fit(model, klr.Unfreeze({"body": 1}), epochs=2)
    assert identical(watch.statistics[0], watch.statistics[1])
    assert not identical(watch.statistics[1], watch.statistics[2])
    twin = with_batch_norm()
    for name in ("body", "norm", "bare"):
        twin.get_layer(name).trainable = False
    twin.compile(keras.optimizers.SGD(0.0625), "mse", jit_compile=JIT)
    twin.fit(*data(), batch_size=8, shuffle=False, verbose=0)
    for ours, theirs in zip(watch.weights[1][-2:], weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_after_a_fit_that_ends_frozen_batch_norm_trains_again():
    model = compiled("sgd", BATCH_NORM, with_batch_norm)
    watch = fit(model, klr.Unfreeze({"body": 9}), epochs=1)
    assert identical(watch.statistics[0], watch.statistics[1])
    watch = fit(model, epochs=1)
    assert watch.moved(0)[0]
    assert not identical(watch.statistics[0], watch.statistics[1])


def test_nothing_is_compiled_anew_without_batch_norm():
    traces = []

    class Traced(keras.layers.Dense):
        def call(self, inputs):
            traces.append(self.name)
            return super().call(inputs)

    class Clear(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                traces.clear()

    def make():
        keras.utils.set_random_seed(0)
        layers = [Traced(4, name="body"), Traced(2, name="head")]
        return keras.Sequential([keras.Input((6,)), *layers])

    fit(compiled("sgd", {"body": 0.5}, make), klr.Unfreeze({"body": 1}), Clear(), epochs=2)
    assert keras.backend.backend() == "torch" or traces == []


@pytest.mark.parametrize("scheduler_first", [True, False])
def test_with_schedules_by_group(scheduler_first):
    model = compiled(keras.optimizers.SGD(0.5))
    schedules = {name: klr.schedules.Constant(0.0625) for name in FACTORS}
    callbacks = [klr.LRScheduler(schedules), klr.Unfreeze({"body": 1})]
    watch = fit(model, *(callbacks if scheduler_first else callbacks[::-1]), epochs=2)
    assert [watch.moved(epoch)[0] for epoch in range(2)] == [False, True]
    assert model.optimizer.factors == FACTORS


def test_a_fit_that_goes_on_does_so_where_it_stands():
    whole = compiled(keras.optimizers.SGD(0.0625, momentum=0.9))
    fit(whole, klr.Unfreeze())
    parts = compiled(keras.optimizers.SGD(0.0625, momentum=0.9))
    fit(parts, klr.Unfreeze(), epochs=2)
    fit(parts, klr.Unfreeze(), initial_epoch=2)
    assert identical(weights(whole), weights(parts))


def test_what_is_saved_has_the_optimizers_own_factors(tmp_path):
    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / "model.keras")

    watch = fit(compiled(), Save(), klr.Unfreeze({"body": 5}), epochs=2)
    assert watch.factors[2]["body"] == 0.0
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.factors == FACTORS
    watch = fit(loaded, klr.Unfreeze({"body": 1}), epochs=2)
    assert [watch.moved(epoch)[0] for epoch in range(2)] == [False, True]


def test_after_an_exception_the_factors_are_the_optimizers_own():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stop")

    model = compiled("sgd", BATCH_NORM, with_batch_norm)
    own = model.optimizer.factors
    with pytest.raises(RuntimeError, match="stop"):
        fit(model, klr.Unfreeze({"body": 5}), Stop())
    watch = fit(model, epochs=1)
    assert watch.factors[0] == own
    assert watch.moved(0)[0]
    assert not identical(watch.statistics[0], watch.statistics[1])


def test_a_model_that_is_compiled_in_mid_fit_stays_frozen():
    class Compile(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                optimizer = klr.by_layer("sgd", self.model, FACTORS)
                self.model.compile(optimizer, "mse", jit_compile=JIT)

    watch = fit(compiled(), klr.Unfreeze({"body": 2}), Compile())
    assert [watch.moved(epoch)[0] for epoch in range(3)] == [False, False, True]


def test_loss_scaling_is_seen_through():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))
    watch = fit(compiled(optimizer), klr.Unfreeze({"body": 1}), epochs=2)
    assert [watch.moved(epoch)[0] for epoch in range(2)] == [False, True]


REFUSED = {
    "unknown name": (compiled, lambda: [klr.Unfreeze({"bodi": 1})], "must be some of 'body'"),
    "nothing trains": (
        compiled,
        lambda: [klr.Unfreeze(dict.fromkeys(FACTORS, 1))],
        "some group must train",
    ),
    "two of them": (compiled, lambda: [klr.Unfreeze(), klr.Unfreeze()], "one of them is enough"),
    "nothing to thaw to": (
        lambda: compiled(factors={"body": 0.0}),
        lambda: [klr.Unfreeze({"body": 1})],
        "a factor above 0",
    ),
    "Ftrl": (lambda: compiled("ftrl"), lambda: [klr.Unfreeze()], "must not be 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_before_training(case):
    make, callbacks, words = REFUSED[case]
    model = make()
    before, factors = weights(model), model.optimizer.factors
    with pytest.raises(ValueError, match=words):
        fit(model, *callbacks())
    assert identical(before, weights(model))
    assert model.optimizer.factors == factors


def test_an_optimizer_without_groups_is_refused():
    model = network()
    model.compile("sgd", "mse", jit_compile=JIT)
    with pytest.raises(ValueError, match="by_layer"):
        fit(model, klr.Unfreeze())


def test_arguments_are_checked_at_once():
    with pytest.raises(ValueError, match="at least 0"):
        klr.Unfreeze({"body": -1})
    with pytest.raises(TypeError, match="integer"):
        klr.Unfreeze({"body": 0.5})
    with pytest.raises(TypeError, match="must be a dict"):
        klr.Unfreeze(["body"])
    with pytest.raises(ValueError, match="at least 1"):
        klr.Unfreeze(every=0)


def test_factors_that_are_changed_in_mid_fit_stay_so():
    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.optimizer.factors = {"mid": 0.25}

    model = compiled()
    watch = fit(model, klr.Unfreeze({"body": 2}), Change())
    assert [watch.moved(epoch)[0] for epoch in range(3)] == [False, False, True]
    assert model.optimizer.factors == {**FACTORS, "mid": 0.25}


def test_weights_that_are_loaded_in_mid_fit_bring_their_factors(tmp_path):
    other = compiled(factors={"body": 0.5, "mid": 0.25, "head": 1.0})
    fit(other, epochs=1)
    other.save_weights(tmp_path / "other.weights.h5")

    class Load(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.load_weights(tmp_path / "other.weights.h5")

    model = compiled()
    watch = fit(model, klr.Unfreeze({"body": 2}), Load())
    assert [factors["body"] for factors in watch.factors[1:]] == [0.0, 0.0, 0.5]
    assert model.optimizer.factors == other.optimizer.factors


@pytest.mark.parametrize("name", ["SGD", "RMSprop"])
def test_beside_a_cycle_that_drives_the_momentum(name):
    optimizer = getattr(keras.optimizers, name)(0.01, momentum=0.9)
    watch = fit(compiled(optimizer), klr.Unfreeze({"body": 1}), klr.OneCycle(0.01), epochs=2)
    assert [watch.moved(epoch)[0] for epoch in range(2)] == [False, True]
