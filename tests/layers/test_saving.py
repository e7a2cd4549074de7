"""An optimizer with groups is saved and loaded with them, and without the model's code too."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from layers.networks import FACTORS, data, network
from support.tiny import JIT, identical, values

import keras_lr as klr


@keras.saving.register_keras_serializable(package="test_layers")
class Subclassed(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.parts = [keras.layers.Dense(4), keras.layers.Dense(4), keras.layers.Dense(2)]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def nested():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    parts = []
    for name in ("left", "right"):
        inside = keras.Input((6,))
        parts.append(keras.Model(inside, keras.layers.Dense(2, name="same")(inside), name=name))
    return keras.Model(inputs, keras.layers.Add()([part(inputs) for part in parts]))


def subclassed():
    keras.utils.set_random_seed(0)
    model = Subclassed()
    model(np.zeros((1, 6), "float32"))
    return model


def first(model):
    return {model.layers[0]: 0.25}


CASES = {
    "sequential": (network, lambda model: FACTORS),
    "subclassed": (subclassed, first),
    "in part frozen": (network, lambda model: FACTORS),
}
MAKERS = {
    "AdamW": lambda: keras.optimizers.AdamW(0.1),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
    "decayed": lambda: klr.Adam(0.1, decay=0.1),
    "schedule": lambda: keras.optimizers.SGD(klr.schedules.Linear(0.1, 0.0, steps=50)),
}


def trained(case, make):
    build, factors = CASES[case]
    model = build()
    if case == "in part frozen":
        model.get_layer("mid").trainable = False
    optimizer = klr.by_layer(make(), model, factors(model), weight_decay={"*bias": 0.0})
    model.compile(optimizer, "mse", jit_compile=JIT)
    model.fit(*data(), batch_size=8, verbose=0, shuffle=False)
    return model


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("case", CASES)
def test_a_loaded_model_goes_on_as_if_nothing_had_been(case, make, tmp_path):
    model = trained(case, MAKERS[make])
    leaf = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    leaf.factors = {next(iter(leaf.factors)): 0.5}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    assert identical(values(model), values(loaded))
    for each in (model, loaded):
        each.fit(*data(), batch_size=8, verbose=0, shuffle=False)
    assert identical(values(model), values(loaded))


def test_weights_with_the_same_path_are_told_apart(tmp_path):
    model = nested()
    assert model.weights[0].path == model.weights[2].path
    model.compile(klr.by_layer("sgd", model, {"left": 0.25, "right": 1.0}), "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):  # not by `fit`: on torch, Keras mixes up such weights' gradients
        grads = [keras.ops.ones(variable.shape) for variable in each.trainable_variables]
        each.optimizer.apply(grads, each.trainable_variables)
    assert identical(values(model), values(loaded))


def test_a_process_that_has_only_imported_the_library_loads_it(tmp_path):
    model = trained("sequential", MAKERS["AdamW"])
    model.save(tmp_path / "model.keras")
    script = f"""
        import keras, keras_lr, numpy as np
        model = keras.saving.load_model({str(tmp_path / "model.keras")!r})
        model.fit(np.ones((8, 6)), np.ones((8, 2)), verbose=0)
        print(type(model.optimizer).__name__, model.optimizer.factors)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"ByLayerAdamW {FACTORS}"


@pytest.mark.parametrize("make", ["AdamW", "decayed"])
def test_a_checkpoint_of_the_plain_optimizer_can_be_loaded(make, tmp_path):
    plain = network()
    plain.compile(MAKERS[make](), "mse", jit_compile=JIT)
    plain.fit(*data(), batch_size=8, verbose=0)
    plain.save_weights(tmp_path / "plain.weights.h5")
    model = trained("sequential", MAKERS[make])
    model.load_weights(tmp_path / "plain.weights.h5")
    assert model.optimizer.factors == FACTORS
    _, factors = model.optimizer.factor_variable
    own = [variable for variable in model.optimizer.variables if variable is not factors]
    for ours, theirs in zip(own, plain.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))


def test_an_optimizer_of_ones_own_is_loaded_when_it_is_registered(tmp_path):
    @keras.saving.register_keras_serializable(package="test_layers")
    class Sign(keras.optimizers.Optimizer):
        def __init__(self, learning_rate=0.1, power=1.0, **arguments):
            super().__init__(learning_rate, **arguments)
            self.power = power

        def update_step(self, gradient, variable, learning_rate):
            step = keras.ops.sign(gradient) * learning_rate * self.power
            variable.assign(variable - step)

        def get_config(self):
            return {**super().get_config(), "power": self.power}

    model = network()
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in model.weights]
    optimizer = klr.by_layer(Sign(0.5, power=2.0), model, FACTORS)
    grads = [keras.ops.ones(variable.shape) for variable in model.trainable_variables]
    optimizer.apply(grads, model.trainable_variables)
    steps = [0.125, 0.125, 0.5, 0.5, 1.0, 1.0]
    for old, step, new in zip(before, steps, model.weights, strict=True):
        np.testing.assert_allclose(old - step, keras.ops.convert_to_numpy(new), rtol=1e-6)
    config = keras.optimizers.serialize(optimizer)
    again = keras.optimizers.deserialize(config)
    assert (again.power, again.factors) == (2.0, FACTORS)


def test_its_configuration_is_plain(tmp_path):
    import json

    optimizer = klr.by_layer("adam", network(), FACTORS)
    config = json.loads(json.dumps(optimizer.get_config()))
    again = type(optimizer).from_config(config)
    assert again.get_config() == optimizer.get_config()
    changed = type(optimizer).from_config({**config, "learning_rate": 0.5})
    assert changed.learning_rates == {name: 0.5 * factor for name, factor in FACTORS.items()}


def test_a_checkpoint_of_before_the_first_step_is_skipped_as_by_keras(tmp_path):
    fresh = network()
    fresh.compile(klr.by_layer("adam", fresh, FACTORS), "mse", jit_compile=JIT)
    fresh.save_weights(tmp_path / "fresh.weights.h5")
    model = trained("sequential", MAKERS["AdamW"])
    state = [np.array(keras.ops.convert_to_numpy(each)) for each in model.optimizer.variables]
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        model.load_weights(tmp_path / "fresh.weights.h5")
    present = [keras.ops.convert_to_numpy(each) for each in model.optimizer.variables]
    assert identical(state, [np.array(each) for each in present])
