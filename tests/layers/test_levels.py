"""Factors by depth: which levels a model has, and what they get."""

import keras
import numpy as np
import pytest

import keras_lr as klr

layers = keras.layers


class Block(layers.Layer):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.attention = layers.MultiHeadAttention(2, 4)
        self.scale = layers.LayerNormalization()
        self.parts = [layers.Dense(4), layers.Dense(4)]

    def call(self, inputs):
        hidden = self.scale(self.attention(inputs, inputs))
        for part in self.parts:
            hidden = part(hidden)
        return hidden


class Encoder(layers.Layer):
    def __init__(self, blocks, **arguments):
        super().__init__(**arguments)
        self.blocks = [Block(name=f"block_{i}") for i in range(blocks)]

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return inputs


class Transformer(keras.Model):
    def __init__(self, blocks):
        super().__init__()
        self.tokens = layers.Embedding(10, 4, name="tokens")
        self.positions = layers.Embedding(10, 4, name="positions")
        self.encoder = Encoder(blocks, name="encoder")
        self.norm = layers.LayerNormalization(name="norm")
        self.head = layers.Dense(1, name="head")
        self.token = self.add_weight(shape=(4,), name="token")

    def call(self, inputs):
        hidden = self.tokens(inputs) + self.positions(inputs) + self.token
        return self.head(self.norm(self.encoder(hidden)))


def transformer(blocks=3):
    model = Transformer(blocks)
    model(np.zeros((1, 3), "int32"))
    return model


def sequential(*parts, shape=(4,)):
    return keras.Sequential([keras.Input(shape), *parts])


def dense(name):
    return layers.Dense(4, name=name)


def functional_transformer():
    inputs = keras.Input((None,))
    hidden = layers.Embedding(10, 4, name="tokens")(inputs)
    for index in range(3):
        hidden = Block(name=f"part_{index}")(hidden)
    backbone = keras.Model(inputs, layers.LayerNormalization(name="norm")(hidden), name="backbone")
    return keras.Model(inputs, layers.Dense(1, name="head")(backbone.output))


def named_blocks():
    parts = [layers.Conv2D(2, 1, name="stem"), layers.BatchNormalization(name="stem_bn")]
    for block in ("conv2_block1", "conv2_block10"):
        parts += [
            layers.Conv2D(2, 1, name=f"{block}_1_conv"),
            layers.BatchNormalization(name=f"{block}_1_bn"),
            layers.Conv2D(2, 1, name=f"{block}_2_conv"),
        ]
    backbone = sequential(*parts, shape=(4, 4, 1))
    return sequential(backbone, layers.Flatten(), dense("head"), shape=(4, 4, 1))


def inner(*names):
    return keras.Sequential([layer for n in names for layer in (dense(n), layers.ReLU())])


LEVELS = {
    "layers": (
        lambda: sequential(dense("a"), layers.Dropout(0.5), dense("b"), dense("c")),
        ["a", "b", "c"],
    ),
    "normalisation": (
        lambda: sequential(dense("a"), layers.BatchNormalization(name="n"), dense("b")),
        [("a", "n"), "b"],
    ),
    "normalisation first": (
        lambda: sequential(layers.LayerNormalization(name="n"), dense("b"), dense("c")),
        [("n", "b"), "c"],
    ),
    "backbone and head": (
        lambda: sequential(inner("a", "b"), inner("c", "d")),
        ["a", "b", "c", "d"],
    ),
    "blocks that are models": (
        lambda: sequential(
            *(keras.Sequential([dense(n), dense(n * 2)], name=f"b{n}") for n in "xyz"), dense("h")
        ),
        ["bx", "by", "bz", "h"],
    ),
    "subclassed transformer": (
        transformer,
        [("token", "tokens", "positions"), "block_0", "block_1", "block_2", ("norm", "head")],
    ),
    "transformer of two blocks": (
        lambda: transformer(2),
        [("token", "tokens", "positions"), "block_0", "block_1", ("norm", "head")],
    ),
    "functional transformer": (
        functional_transformer,
        ["tokens", "part_0", "part_1", "part_2", ("norm", "head")],
    ),
    "blocks by name": (
        named_blocks,
        [("stem", "stem_bn"), "conv2_block1", "conv2_block10", "head"],
    ),
}


@pytest.mark.parametrize("case", LEVELS)
def test_levels_from_the_inputs_to_the_outputs(case):
    make, expected = LEVELS[case]
    model = make()
    factors = klr.layer_decay(model, 0.5)
    assert list(factors) == expected
    assert list(factors.values()) == [0.5**level for level in reversed(range(len(expected)))]
    optimizer = klr.by_layer("sgd", model, factors)
    assert "rest" not in optimizer.factors
    assert list(optimizer.factors.values()) == pytest.approx(list(factors.values()))


def test_geometric_rises_evenly_to_the_head():
    model = sequential(*map(dense, "abcde"))
    factors = klr.geometric(model, 1e-4)
    np.testing.assert_allclose(list(factors.values()), [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    grouped = klr.geometric(model, groups=3)
    assert list(grouped) == [("a", "b"), "c", ("d", "e")]
    np.testing.assert_allclose(list(grouped.values()), [0.01, 0.1, 1.0])
    assert klr.geometric(model, groups=1) == {tuple("abcde"): 1.0}


def test_layers_that_cannot_be_told_by_name_are_keys_themselves():
    inputs = keras.Input((4,))
    towers = []
    for name in ("left", "right"):
        inside = keras.Input((4,))
        towers.append(keras.Model(inside, dense("same")(inside), name=name))
    model = keras.Model(inputs, towers[1](towers[0](inputs)))
    assert list(klr.layer_decay(model, 0.5)) == ["left/same", "right/same"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: klr.layer_decay(m, 0.0), "above 0"),
        (lambda m: klr.layer_decay(m, 1.5), "at most 1"),
        (lambda m: klr.geometric(m, -0.1), "above 0"),
        (lambda m: klr.geometric(m, groups=0), "at least 1"),
        (lambda m: klr.geometric(m, groups=9), "no more groups than levels"),
        (lambda m: klr.layer_decay(keras.Sequential([dense("a")])), "must have its weights"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(sequential(dense("a"), dense("b")))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        klr.geometric("model")
