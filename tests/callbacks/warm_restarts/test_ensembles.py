"""Ensembles and averages of every kind of model that `fit` trains: no configuration is needed.

The oracle: the model's own predictions with each set of weights put into it by hand.
"""

from copy import deepcopy

import keras
import numpy as np
import pytest
from support.drives import data
from support.tiny import JIT, identical, random_numbers, values

from keras_lr.callbacks import CosineWarmRestarts

X, Y = data()
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
Dense = keras.layers.Dense


def own_objects():
    """Return a loss, a metric and an optimizer that are not registered, nor found by a module."""

    class Loss(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    class Metric(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            return super().update_state(keras.ops.abs(y_true - y_pred))

    class Optimizer(keras.optimizers.SGD):
        pass

    return {"optimizer": Optimizer(0.05), "loss": Loss(), "metrics": [Metric()]}


def functional():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Dense(1)(Dense(8, "relu")(inputs)))
    model.compile(**own_objects(), jit_compile=JIT)
    return model


def subclassed():
    class Net(keras.Model):
        def __init__(self, width):
            super().__init__()
            self.blocks = [Dense(width, "relu"), keras.layers.Dropout(0.2)]
            self.head = Dense(1, kernel_regularizer="l2")

        def call(self, inputs, training=False):
            for block in self.blocks:
                inputs = block(inputs)
            return self.head(inputs)

    model = Net(8)
    model.compile("sgd", "mse", jit_compile=JIT)
    return model


def with_lora():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = Dense(8, "relu")

        def call(self, inputs):
            return self.dense(inputs)

    attention = keras.layers.MultiHeadAttention(2, 4)
    inputs = keras.Input((4,))
    tokens = keras.layers.Reshape((2, 2))(inputs)
    block = Block()
    hidden = block(keras.layers.Flatten()(attention(tokens, tokens)))
    model = keras.Model(inputs, Dense(1)(hidden))
    block.dense.enable_lora(2)
    attention.query_dense.enable_lora(2)
    model.compile("sgd", "mse", jit_compile=JIT)
    return model


def quantized():
    model = keras.Sequential([keras.Input((4,)), Dense(8, "relu"), Dense(1)])
    for layer in model.layers:
        layer.quantize("int8")
    for layer in model.layers:
        layer.enable_lora(2)
    model.compile("sgd", "mse", jit_compile=JIT)
    return model


def with_policies():
    policies = keras.dtype_policies.DTypePolicyMap()
    policies["net/first"] = keras.DTypePolicy("mixed_bfloat16")

    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net", dtype=policies)
            self.first = Dense(8, "relu", dtype=policies, name="first")
            self.second = Dense(1, dtype="float32")

        def call(self, inputs):
            return self.second(self.first(inputs))

    model = Net()
    model.compile("sgd", "mse", jit_compile=JIT)
    return model


def with_preprocessor():
    """Return a model like those of KerasHub, whose data pass a preprocessor on their way in."""

    class Task(keras.Model):
        def __init__(self):
            inputs = keras.Input((4,))
            super().__init__(inputs, Dense(1)(keras.layers.BatchNormalization()(inputs)))
            self.preprocessor = lambda x: 10.0 * np.asarray(x) + 1.0

        def preprocess_samples(self, x):
            return self.preprocessor(x)

        def fit(self, x, *arguments, **named):
            return super().fit(self.preprocessor(x), *arguments, **named)

        def predict(self, x, **named):
            return super().predict(self.preprocessor(x), **named)

        def predict_on_batch(self, x):
            return super().predict_on_batch(self.preprocessor(x))

        def evaluate(self, x, *arguments, **named):
            return super().evaluate(self.preprocessor(x), *arguments, **named)

    model = Task()
    model.compile(keras.optimizers.SGD(0.001), "mse", jit_compile=JIT)
    return model


def with_steps_of_its_own():
    """Return a model that has its own steps, no compiled loss, and predicts twice what it says."""

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(keras.ops.square(y - y_pred))

        def predict_step(self, *arguments, **named):
            result = super().predict_step(*arguments, **named)
            if isinstance(result, tuple):  # JAX
                return 2.0 * result[0], *result[1:]
            return 2.0 * result

    model = Net()
    model.compile("sgd", jit_compile=JIT)
    return model


def with_shared_layers():
    class Scaled(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def build(self, shape):
            self.bias = self.add_weight(shape=shape[1:])

        def call(self, inputs):
            return self.factor * inputs + self.bias

        def get_config(self):
            raise NotImplementedError

    inputs = keras.Input((4,))
    scaled = Scaled(3.0)
    model = keras.Model(inputs, Dense(1)(scaled(scaled(inputs))))
    model.compile(keras.optimizers.SGD(0.001), "mse", jit_compile=JIT)
    return model


def with_normalization():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.normalize = keras.layers.Normalization()
            self.norm = keras.layers.BatchNormalization()
            self.dropout = keras.layers.Dropout(0.3)
            self.dense = Dense(1)

        def call(self, inputs, training=None):
            hidden = self.norm(self.normalize(inputs), training=training)
            return self.dense(self.dropout(hidden, training=training))

    model = Net()
    model.normalize.adapt(3 * X + 1)
    model.compile("sgd", "mse", jit_compile=JIT)
    return model


def with_settings_that_no_configuration_has():
    class Scaled(keras.layers.Layer):
        def __init__(self, factor=1.0, **arguments):
            super().__init__(**arguments)
            self.factor = factor

        def call(self, inputs):
            return self.factor * inputs

        def get_config(self):
            return keras.layers.Layer.get_config(keras.layers.Layer(name=self.name))

    class Doubled(keras.Model):
        def call(self, inputs):
            return 2.0 * super().call(inputs)

    inputs = keras.Input((4,))
    model = Doubled(inputs, Scaled(3.0)(Dense(1)(inputs)), name="doubled")
    model.compile(keras.optimizers.SGD(0.001), "mse", jit_compile=JIT)
    return model


def of_keras_own_layers():
    model = keras.Sequential([keras.Input((4,)), Dense(8, "relu"), Dense(1)])
    model.compile("adam", "mse", jit_compile=JIT)
    return model


MODELS = [
    functional,
    subclassed,
    with_lora,
    quantized,
    with_policies,
    with_preprocessor,
    with_steps_of_its_own,
    with_shared_layers,
    with_normalization,
    with_settings_that_no_configuration_has,
    of_keras_own_layers,
]


MERGED = [with_lora, quantized]  # a file has the sum of a kernel and what is added to it


class Copy(keras.callbacks.Callback):
    """Copies the weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append([keras.ops.convert_to_numpy(v) for v in self.model.weights])


def trained(make, folder=None, x=X, y=Y):
    """Return a trained model, the callback with two snapshots, and the same weights noted apart."""
    keras.utils.set_random_seed(3)
    model, copy = make(), Copy()
    restarts = CosineWarmRestarts(0.01, cycle_mult=1, snapshots=2, snapshot_folder=folder)
    model.fit(x, y, epochs=3, batch_size=16, callbacks=[restarts, copy], verbose=0)
    return model, restarts, copy.weights[-2:]


def predicted(model, weights, x=X):
    """Return what a model predicts with given weights, and put its own back."""
    own = model.get_weights()
    model.set_weights(weights)
    result = model.predict(x, verbose=0)
    model.set_weights(own)
    return result


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("make", MODELS)
def test_an_ensemble_is_the_mean_of_predictions_with_each_set_of_weights(make, folder, tmp_path):
    model, restarts, sets = trained(make, tmp_path if folder else None)
    single = [predicted(model, weights) for weights in sets]
    before = values(model)
    keras.utils.set_random_seed(4)
    drawn = random_numbers()
    keras.utils.set_random_seed(4)
    copies, whole = restarts.snapshots, restarts.ensemble()
    assert random_numbers() == drawn
    rounded = folder and make is quantized  # Keras rounds such a sum to eight bits again
    tolerance = {"rtol": 1e-5, "atol": 0.05 if rounded else 1e-6}
    mean = np.mean(single, axis=0)
    np.testing.assert_allclose(whole.predict(X, verbose=0), mean, **tolerance)
    np.testing.assert_allclose(whole.predict(X, batch_size=7, verbose=0), mean, **tolerance)
    for copy, weights, expected in zip(copies, sets, single, strict=True):
        if folder is False or make not in MERGED:
            assert identical(copy.get_weights(), weights)
        np.testing.assert_allclose(copy.predict(X, verbose=0), expected, **tolerance)
    assert identical(values(model), before)


@pytest.mark.parametrize("make", MODELS)
def test_an_average_has_the_mean_of_the_weights(make):
    model, restarts, sets = trained(make)
    before = values(model)
    averaged = restarts.average(X)
    assert identical(values(model), before)
    weights = averaged.get_weights()
    for variable, found, *both in zip(model.weights, weights, *sets, strict=True):
        if "moving" not in variable.name and found.dtype != "int8":
            expected = np.mean([each.astype("float32") for each in both], axis=0)
            np.testing.assert_allclose(found.astype("float32"), expected, rtol=1e-5, atol=1e-6)
    expected = predicted(model, weights)
    np.testing.assert_allclose(averaged.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    if make is with_preprocessor:
        mean, variance = weights[2:4]
        np.testing.assert_allclose(mean, (10 * X + 1).mean(axis=0), rtol=1e-4, atol=1e-4)
        parts = [(10 * part).var(axis=0) for part in (X[:32], X[32:])]
        np.testing.assert_allclose(variance, np.average(parts, axis=0, weights=[2, 1]), rtol=1e-4)


@pytest.mark.parametrize("make", [subclassed, with_normalization, with_shared_layers])
def test_an_ensemble_is_compiled_evaluated_and_fed_a_dataset(make):
    model, restarts, sets = trained(make)
    mean = np.mean([predicted(model, weights) for weights in sets], axis=0)
    whole = restarts.ensemble()
    whole.compile("sgd", "mae", jit_compile=JIT)
    penalty = 0.0
    if make is subclassed:
        kernels = [weights[2] for weights in sets]
        penalty = sum(0.01 * float(np.sum(np.square(kernel))) for kernel in kernels)
    found = whole.evaluate(X, Y, verbose=0) - penalty
    assert found == pytest.approx(np.mean(np.abs(mean - Y)), rel=1e-4)


class Shuffled(keras.utils.PyDataset):
    """Gives its samples in another order each time."""

    def __init__(self):
        super().__init__()
        self.generator = np.random.default_rng(0)
        self.seen = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        order = self.generator.permutation(48)[:16]
        self.seen.append(order)
        return X[order], Y[order]


@pytest.mark.parametrize("make", [with_preprocessor, with_steps_of_its_own])
def test_each_batch_is_seen_by_all_members(make):
    model, restarts, sets = trained(make)
    expected = np.mean([predicted(model, weights) for weights in sets], axis=0)
    dataset = Shuffled()
    found = restarts.ensemble().predict(dataset, verbose=0)
    np.testing.assert_allclose(found, expected[np.concatenate(dataset.seen[-3:])], rtol=1e-4)

    def batches():
        yield from ((X[first : first + 16],) for first in (0, 16, 32))

    found = restarts.ensemble().predict(batches(), steps=2, verbose=0)
    np.testing.assert_allclose(found, expected[:32], rtol=1e-4)


@pytest.mark.parametrize("make", [subclassed, with_steps_of_its_own, with_lora])
def test_a_copy_is_evaluated_and_saved_as_the_model_is(make, tmp_path):
    model, restarts, _ = trained(make)
    averaged = restarts.average()
    own = model.get_weights()
    model.set_weights(averaged.get_weights())
    expected = model.evaluate(X, Y, verbose=0)
    model.set_weights(own)
    assert averaged.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-6)
    averaged.save_weights(tmp_path / "average.weights.h5")
    assert identical(model.get_weights(), own)
    model.load_weights(tmp_path / "average.weights.h5")
    found = model.predict(X, verbose=0)
    expected = predicted(model, averaged.get_weights())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_several_inputs_and_outputs():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = Dense(1), Dense(2)

        def call(self, inputs):
            both = keras.ops.concatenate([inputs["left"], inputs["right"]], axis=-1)
            return {"a": self.one(both), "b": self.two(both)}

    def make():
        model = Net()
        model.compile("sgd", {"a": "mse", "b": "mse"}, jit_compile=JIT)
        return model

    inputs = {"left": X, "right": -X}
    model, restarts, sets = trained(make, x=inputs, y={"a": Y, "b": np.hstack([Y, Y])})
    single = [predicted(model, weights, inputs) for weights in sets]
    found = restarts.ensemble().predict(inputs, verbose=0)
    for name in ("a", "b"):
        expected = (single[0][name] + single[1][name]) / 2
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


def test_fit_trains_a_copy_and_leaves_the_model_alone():
    model, restarts, _ = trained(with_normalization)
    before = values(model)
    copy = restarts.snapshots[0]
    start = copy.get_weights()
    copy.compile("sgd", "mse", jit_compile=JIT)
    copy.fit(X, Y, epochs=2, verbose=0)
    assert identical(values(model), before)
    names = [variable.name for variable in model.weights]
    moved = {n for n, a, b in zip(names, start, copy.get_weights(), strict=True) if (a != b).any()}
    assert {"kernel", "moving_mean", "gamma"} <= moved
    assert "mean" not in moved


@pytest.mark.skipif(not ON_TENSORFLOW, reason="Keras takes text within a model on TensorFlow only")
def test_text_vectorization_keeps_its_vocabulary(tmp_path):
    words = np.array([["a b"], ["b c"], ["c"], ["a a"]] * 12)
    layer = keras.layers.TextVectorization(output_sequence_length=3)
    layer.adapt(words)
    inputs = keras.Input((1,), dtype="string")
    hidden = keras.layers.Embedding(8, 4)(layer(inputs))
    model = keras.Model(inputs, Dense(1)(keras.layers.GlobalAveragePooling1D()(hidden)))
    model.compile("sgd", "mse", jit_compile=False)
    target = np.arange(48.0)[:, None]
    words = keras.ops.convert_to_tensor(words)
    model, restarts, sets = trained(lambda: model, x=words, y=target)
    mean = np.mean([predicted(model, weights, words) for weights in sets], axis=0)
    whole = restarts.ensemble()
    np.testing.assert_allclose(whole.predict(words, verbose=0), mean, rtol=1e-5)
    whole.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    np.testing.assert_allclose(loaded.predict(words, verbose=0), mean, rtol=1e-5)


def test_an_ensemble_of_copies_says_that_it_cannot_be_saved(tmp_path):
    model, restarts, _ = trained(subclassed)
    own = model.get_weights()
    whole = restarts.ensemble()
    for save in (keras.saving.save_model, type(whole).save):
        with pytest.raises(ValueError, match=r"^Ensemble: .* members"):
            save(whole, tmp_path / "whole.keras")
    for copied in (keras.models.clone_model, deepcopy, keras.Model.to_json):
        with pytest.raises(ValueError, match=r"^Ensemble: .* members"):
            copied(whole)
    with pytest.raises(ValueError, match=r"^ModelCopy: .* its own save"):
        keras.saving.save_model(whole.members[0], tmp_path / "one.keras")
    whole.save_weights(tmp_path / "whole.weights.h5")
    model.set_weights([0 * weight for weight in own])
    other = restarts.ensemble()
    other.load_weights(tmp_path / "whole.weights.h5")
    assert not any(weight.any() for weight in model.get_weights())


def test_copies_can_be_made_and_used_in_the_middle_of_a_fit():
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                look.append(restarts.ensemble().predict(X, verbose=0))
                look.append(np.mean([c.predict(X, verbose=0) for c in restarts.snapshots], axis=0))
                look.append(restarts.average(X).predict(X, verbose=0))

    for make in (with_preprocessor, with_shared_layers):
        look, twins = [], []
        for watched in (True, False):
            keras.utils.set_random_seed(3)
            model = make()
            restarts = CosineWarmRestarts(0.01, cycle_mult=1, snapshots=2)
            callbacks = [restarts, Look()] if watched else [restarts]
            model.fit(
                X, Y, epochs=3, batch_size=16, callbacks=callbacks, verbose=0, shuffle=False
            )  # Keras' own predict, on torch, moves the generator that shuffles
            twins.append(values(model))
        assert identical(*twins)
        np.testing.assert_allclose(look[0], look[1], rtol=1e-5, atol=1e-6)
