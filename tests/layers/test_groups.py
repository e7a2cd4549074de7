"""Keys of `by_layer`: the weights each stands for, and refusals."""

import functools
import re

import keras
import numpy as np
import pytest

import keras_lr as klr


def conv_net():
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, name="block1_conv1"),
            keras.layers.Conv2D(2, 3, name="block1_conv2"),
            keras.layers.Conv2D(2, 3, name="block10_conv1"),
        ],
        name="backbone",
    )
    layers = [keras.layers.Flatten(), keras.layers.Dense(1, name="head")]
    return keras.Sequential([keras.Input((8, 8, 1)), backbone, *layers], name="model")


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(5, 4)
        self.blocks = [keras.layers.Dense(4) for _ in range(2)]
        self.parts = {"last": keras.layers.Dense(4, name="norm_free")}
        self.head = keras.layers.Dense(1)
        self.token = self.add_weight(shape=(4,), name="token")

    def call(self, inputs):
        hidden = self.embedding(inputs) + self.token
        for block in [*self.blocks, *self.parts.values()]:
            hidden = block(hidden)
        return self.head(hidden)


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 3), "int32"))
    return model


def in_group(model, keys, group):
    """Return the kernels of a group by the names of their layers."""
    optimizer = klr.by_layer("sgd", model, keys)
    members = optimizer.get_config()["groups"]["members"]
    chosen = [path for path, _, name, _ in members if name == group]
    kernels = [path for path in chosen if path.endswith(("kernel", "embeddings", "token"))]
    return {path.split("/")[-2] if "/" in path else path for path in kernels}


EVERY = {"block1_conv1", "block1_conv2", "block10_conv1", "head"}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("backbone", EVERY - {"head"}),
        ("head", {"head"}),
        ("backbone/block1_conv2", {"block1_conv2"}),
        ("block1", {"block1_conv1", "block1_conv2"}),
        ("backbone/block10", {"block10_conv1"}),
        ("back", EVERY - {"head"}),
        ("block*_conv1", {"block1_conv1", "block10_conv1"}),
        ("*kernel", EVERY),
        ("head/kernel", {"head"}),
        (("block10", "head"), {"block10_conv1", "head"}),
    ],
)
def test_texts(key, expected):
    name = key[0] if isinstance(key, tuple) else key
    assert in_group(conv_net(), {key: 0.5}, name) == expected


def test_an_exact_name_comes_before_a_prefix():
    layers = [keras.layers.Dense(2, name=name) for name in ("dense", "dense_1")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    assert in_group(model, {"dense": 0.1, "dense_1": 1.0}, "dense") == {"dense"}


def test_layers_and_functions():
    model = conv_net()
    assert in_group(model, {model.get_layer("backbone"): 0.1}, "backbone") == EVERY - {"head"}

    def large(variable):
        return variable.shape[0] > 3

    def within(variable, name):
        return name in variable.path

    assert in_group(model, {large: 0.1}, "large") == {"head"}
    assert in_group(model, {functools.partial(within, name="head"): 0.1}, "partial") == {"head"}
    optimizer = klr.by_layer("sgd", model, lambda v: 0.5 if "head" in v.path else 0.25)
    assert optimizer.factors == {"0.25": 0.25, "0.5": 0.5}


@pytest.mark.parametrize(
    ("key", "count"),
    [("embedding", 1), ("blocks", 2), ("head", 1), ("token", 1), ("parts", 1)],
)
def test_attributes_of_a_subclassed_model(key, count):
    assert len(in_group(subclassed(), {key: 0.1}, key)) == count


def test_what_no_key_matches_is_the_rest():
    model = conv_net()
    assert klr.by_layer("sgd", model, {"backbone": 0.1}).factors == {"backbone": 0.1, "rest": 1.0}
    given = {"head": 1.0, "rest": 0.25}
    assert klr.by_layer("sgd", model, given).factors == given
    assert in_group(model, given, "rest") == EVERY - {"head"}


def test_without_factors_there_is_one_group():
    optimizer = klr.by_layer("adamw", conv_net(), weight_decay="kernels")
    assert optimizer.factors == {"all": 1.0}


def test_a_layer_in_two_places_is_in_one_group():
    shared = keras.layers.Dense(3, name="shared")
    inputs = keras.Input((3,))
    one, two = (keras.Model(inputs, shared(inputs), name=name) for name in ("one", "two"))
    model = keras.Model(inputs, keras.layers.Dense(1)(one(inputs) + two(inputs)))
    assert in_group(model, {"shared": 0.5}, "shared") == {"shared"}
    with pytest.raises(ValueError, match="in two"):
        klr.by_layer("sgd", model, {"one": 0.5, "two": 1.0})


def test_frozen_layers_have_groups_too():
    model = conv_net()
    model.get_layer("backbone").trainable = False
    optimizer = klr.by_layer("sgd", model, {"backbone": 0.5})
    optimizer.build(model.trainable_variables)
    model.get_layer("backbone").trainable = True
    klr.by_layer(keras.optimizers.SGD(), model, {"backbone": 0.5}).build(model.trainable_variables)
    assert in_group(model, {"backbone": 0.5}, "backbone") == EVERY - {"head"}


REFUSED = {
    "no match": (lambda m: {"bakbone": 0.1}, ValueError, "must match.*backbone"),
    "pattern without a match": (lambda m: {"conv?": 0.1}, ValueError, "must match"),
    "no weights": (lambda m: {"flatten": 0.1}, ValueError, "must match"),
    "another model's layer": (lambda m: {conv_net().layers[0]: 0.1}, ValueError, "in the model"),
    "nothing by function": (lambda m: {lambda v: False: 0.1}, ValueError, "at least one weight"),
    "overlap": (lambda m: {"backbone": 0.1, "block1": 1.0}, ValueError, "is in two"),
    "overlap of patterns": (lambda m: {"*": 0.1, "head": 1.0}, ValueError, "is in two"),
    "negative": (lambda m: {"head": -1.0}, ValueError, "at least 0"),
    "infinite": (lambda m: {"head": float("inf")}, ValueError, "finite"),
    "not a number": (lambda m: {"head": float("nan")}, ValueError, "finite"),
    "text": (lambda m: {"head": "0.1"}, TypeError, "must be a number"),
    "negative by function": (lambda m: lambda v: -1.0, ValueError, "at least 0"),
    "nothing would train": (lambda m: {"*": 0.0}, ValueError, "above 0"),
    "empty": (lambda m: {}, ValueError, "must be a group"),
    "rest of nothing": (lambda m: {"*": 1.0, "rest": 0.5}, ValueError, "leave something"),
    "same name": (
        lambda m: {("head", "block10"): 1.0, m.get_layer("head"): 0.5},
        ValueError,
        "two|different",
    ),
    "an empty tuple": (lambda m: {(): 0.1, "head": 1.0}, ValueError, "must not be empty"),
    "a list": (lambda m: [0.1, 1.0], TypeError, "dict"),
    "a number as key": (lambda m: {3: 0.1}, TypeError, "names or patterns"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_factors_are_refused_at_once(case):
    make, kind, words = REFUSED[case]
    model = conv_net()
    with pytest.raises(kind, match=words) as caught:
        klr.by_layer(keras.optimizers.SGD(), model, make(model))
    assert str(caught.value).startswith("by_layer: ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("weight_decay", "kind", "words"),
    [
        ("biases", TypeError, "must be 'kernels'"),
        (0.1, TypeError, "must be 'kernels'"),
        ({"head": -1.0}, ValueError, "at least 0"),
        ({"hat": 0.1}, ValueError, "must match"),
        ({(): 0.1}, ValueError, "must not be empty"),
        ("kernels", ValueError, "needs an optimizer with weight decay"),
    ],
)
def test_bad_weight_decays_are_refused_at_once(weight_decay, kind, words):
    with pytest.raises(kind, match=words):
        klr.by_layer("sgd", conv_net(), weight_decay=weight_decay)


def test_an_optimizer_that_has_groups_already_is_refused():
    model = conv_net()
    optimizer = klr.by_layer("sgd", model, {"head": 0.5})
    with pytest.raises(ValueError, match="only once"):
        klr.by_layer(optimizer, model, {"head": 0.5})
    with pytest.raises(ValueError, match="only once"):
        klr.by_layer(keras.optimizers.LossScaleOptimizer(optimizer), model, {"head": 0.5})


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_a_multi_optimizer_is_refused():
    optimizer = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD())
    )
    with pytest.raises(ValueError, match="only once"):
        klr.by_layer(optimizer, conv_net(), {"head": 0.5})


def test_what_is_no_model_or_optimizer_is_refused():
    unbuilt = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="must have its weights"):
        klr.by_layer("sgd", unbuilt, {"dense": 0.5})
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        klr.by_layer("sgd", "model", {"dense": 0.5})
    with pytest.raises(TypeError, match="must be one of Keras'"):
        klr.by_layer(0.1, conv_net(), {"head": 0.5})


def test_layers_that_are_new_since_are_refused_before_training():
    model = conv_net()
    optimizer = klr.by_layer("sgd", model, {"head": 0.5})
    model.add(keras.layers.Dense(1, name="new"))
    model.compile(optimizer, "mse")
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in model.weights]
    x = np.zeros((4, 8, 8, 1))
    with pytest.raises(ValueError, match=re.escape("weights that it did not have")):
        model.fit(x, np.ones((4, 1)), verbose=0)
    for old, each in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(each))


@pytest.mark.parametrize("factor", [-1.0, float("nan"), "0.5"])
def test_a_bad_factor_is_refused_when_it_is_set(factor):
    optimizer = klr.by_layer("sgd", conv_net(), {"head": 0.5})
    with pytest.raises((TypeError, ValueError), match="factors"):
        optimizer.factors = {"head": factor}
    with pytest.raises(ValueError, match="'head', 'rest'"):
        optimizer.factors = {"hat": 1.0}
    with pytest.raises(TypeError, match="must be a dict"):
        optimizer.factors = 0.5
    assert optimizer.factors == {"head": 0.5, "rest": 1.0}
