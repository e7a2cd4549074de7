"""`by_layer`: each weight is updated as by a plain Keras optimizer with its group's rate."""

import keras
import numpy as np
import pytest
from keras import ops
from layers.networks import FACTORS, data, network, weights
from support.tiny import JIT, identical, values

import keras_lr as klr

OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adam": {"amsgrad": True},
    "AdamW": {"weight_decay": 0.1},
    "Adagrad": {},
    "Adadelta": {},
    "Adamax": {},
    "Nadam": {"weight_decay": 0.1},
    "Lion": {},
    "Lamb": {},
    "Ftrl": {},
    "Adafactor": {},
    "Muon": {},
    "ScheduleFreeAdamW": {"warmup_steps": 3},
}
NEEDS = {"Muon": "optimizers.Muon.lr_adjust", "ScheduleFreeAdamW": "optimizers.ScheduleFreeAdamW"}


def named(*without):
    """Return the names of optimizers as parameters, marked where an older Keras lacks them."""
    return [
        pytest.param(name, marks=pytest.mark.needs(NEEDS[name])) if name in NEEDS else name
        for name in OPTIMIZERS
        if name not in without
    ]


ADDITIONS = {
    "nothing": {},
    "clipnorm": {"clipnorm": 0.1},
    "clipvalue": {"clipvalue": 0.05},
    "accumulation": {"gradient_accumulation_steps": 2},
    "average": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    "loss scale": {"loss_scale_factor": 8.0},
}


def gradients(model, seed):
    generator = np.random.default_rng(seed)
    shapes = [variable.shape for variable in model.trainable_variables]
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def applied(optimizer, model, steps=6, change=lambda grads: grads):
    """Apply the same gradients for some steps; return the weights after each."""
    trained = []
    for step in range(steps):
        grads = [ops.convert_to_tensor(each) for each in change(gradients(model, step))]
        optimizer.apply(grads, model.trainable_variables)
        trained.append(weights(model))
    return trained


def one_by_one(make, rate, steps=6, change=lambda grads: grads):
    """Do so with an optimizer for each weight, at its own rate."""
    model = network()
    factors = [factor for factor in FACTORS.values() for _ in range(2)]
    optimizers = [make(rate * factor) for factor in factors]
    trained = []
    for step in range(steps):
        every = zip(
            optimizers, change(gradients(model, step)), model.trainable_variables, strict=True
        )
        for optimizer, gradient, variable in every:
            optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        trained.append(weights(model))
    return trained


def without_gradients(optimizer, model):
    """Make an update whose gradients are 0: of weight decay alone."""
    grads = [ops.zeros(variable.shape) for variable in model.trainable_variables]
    optimizer.apply(grads, model.trainable_variables)


def assert_same(left, right, tolerance=1e-6):
    for ours, theirs in zip(left, right, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", named())
def test_each_weight_is_updated_as_by_a_plain_optimizer_of_its_rate(name):
    def make(rate):
        return getattr(keras.optimizers, name)(rate, **OPTIMIZERS[name])

    model = network()
    ours = applied(klr.by_layer(make(0.0625), model, FACTORS), model)
    for step, theirs in zip(ours, one_by_one(make, 0.0625), strict=True):
        assert identical(step, theirs)


@pytest.mark.parametrize("addition", ADDITIONS)
@pytest.mark.parametrize("name", ["SGD", "AdamW", "Nadam"])
def test_what_keras_does_around_the_update_is_done_as_without_groups(name, addition):
    def make(rate):
        return getattr(keras.optimizers, name)(rate, **OPTIMIZERS[name], **ADDITIONS[addition])

    model = network()
    ours = applied(klr.by_layer(make(0.0625), model, FACTORS), model)
    assert_same(ours, one_by_one(make, 0.0625))


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_global_norm_is_that_of_all_groups(name):
    def clipped(grads):
        norm = np.sqrt(sum(np.sum(np.square(each, dtype="float64")) for each in grads))
        return [(each * min(1.0, 0.5 / norm)).astype("float32") for each in grads]

    def make(rate, **clip):
        return getattr(keras.optimizers, name)(rate, **OPTIMIZERS[name], **clip)

    model = network()
    ours = applied(klr.by_layer(make(0.0625, global_clipnorm=0.5), model, FACTORS), model)
    assert_same(ours, one_by_one(make, 0.0625, change=clipped), 1e-5)


def test_the_optimizers_of_this_library_decay_beside_their_groups():
    def make(rate):
        return klr.Adam(rate, decay=0.5, weight_decay=0.1)

    model = network()
    optimizer = klr.by_layer(make(0.0625), model, FACTORS)
    assert_same(applied(optimizer, model), one_by_one(make, 0.0625))
    assert optimizer.decay == 0.5


def test_an_update_outside_of_keras_calls_gets_its_factor_once():
    def make(rate):
        return klr.optimizers.RMSprop(rate, epsilon_outside_root=True)

    model = network()
    assert_same(
        applied(klr.by_layer(make(0.0625), model, FACTORS), model), one_by_one(make, 0.0625)
    )


@pytest.mark.parametrize("jit", [False, "auto"])
def test_fit_is_gradient_descent_with_a_rate_for_each_layer(jit):
    keras.utils.set_random_seed(0)
    first = keras.layers.Dense(4, use_bias=False, name="first")
    last = keras.layers.Dense(1, use_bias=False, name="last")
    model = keras.Sequential([keras.Input((6,)), first, last])
    x, y = data()
    y = y[:, :1]
    a, b = (np.array(ops.convert_to_numpy(v.value), "float64") for v in model.weights)
    optimizer = klr.by_layer(keras.optimizers.SGD(0.1), model, {"first": 0.25})
    model.compile(optimizer, "mse", jit_compile=jit)
    model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for start in [*range(0, 32, 8)] * 3:
        inputs, wanted = x[start : start + 8], y[start : start + 8]
        slope = 2 * (inputs @ a @ b - wanted) / 8
        a, b = a - 0.025 * inputs.T @ slope @ b.T, b - 0.1 * (inputs @ a).T @ slope
    assert_same([weights(model)], [[a, b]])


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_rows_of_an_embedding_are_updated_at_its_rate(name):
    def trained(rate, factors):
        keras.utils.set_random_seed(2)
        embedding = keras.layers.Embedding(9, 4, name="embedding")
        head = keras.layers.Dense(1, name="head", trainable=False)
        model = keras.Sequential([keras.Input((3,), dtype="int32"), embedding, head])
        optimizer = getattr(keras.optimizers, name)(rate)
        if factors is not None:
            optimizer = klr.by_layer(optimizer, model, factors)
        model.compile(optimizer, "mse", jit_compile=JIT)
        x = np.random.default_rng(0).integers(0, 5, size=(16, 3))
        model.fit(x, np.ones((16, 3, 1)), batch_size=4, epochs=2, shuffle=False, verbose=0)
        return weights(model)

    assert identical(trained(0.5, {"embedding": 0.25, "head": 1.0}), trained(0.125, None))


def test_a_loss_that_is_scaled_is_one_more_wrapper():
    def trained(rate, factors):
        model = network()
        model.get_layer("mid").trainable = model.get_layer("head").trainable = False
        inner = keras.optimizers.AdamW(rate)
        optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
        if factors is not None:
            optimizer = klr.by_layer(optimizer, model, factors)
            assert optimizer.initial_scale == 4.0
        model.compile(optimizer, "mse", jit_compile=JIT)
        model.fit(*data(), batch_size=8, shuffle=False, verbose=0)
        return weights(model)

    assert identical(trained(0.5, FACTORS), trained(0.0625, None))


def test_mixed_precision_scales_the_loss_around_it():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(klr.by_layer("sgd", model, {"body": 0.0}), "mse", jit_compile=JIT)
    before = weights(model)
    model.fit(*data(), batch_size=8, verbose=0)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert identical(before[:2], weights(model)[:2])
    assert not identical(before[2:], weights(model)[2:])


def test_a_schedule_in_the_graph_moves_all_groups():
    def make(rate):
        return keras.optimizers.SGD(klr.schedules.Linear(rate, 0.0, steps=6))

    model = network()
    assert_same(applied(klr.by_layer(make(0.5), model, FACTORS), model), one_by_one(make, 0.5))


def test_the_users_optimizer_and_its_schedule_are_left_as_they_are():
    class Mine:  # neither a schedule of Keras nor serializable
        def __call__(self):
            return 0.25

    model, rate = network(), Mine()
    plain = keras.optimizers.SGD(rate)
    optimizer = klr.by_layer(plain, model, FACTORS)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert type(plain).__name__ == "SGD"
    assert plain._learning_rate is rate
    assert optimizer.learning_rates == {"body": 0.03125, "mid": 0.125, "head": 0.25}


def test_an_optimizer_in_training_goes_on_from_where_it_stands():
    def trained(factors):
        model = network()
        optimizer = keras.optimizers.Adam(0.01)
        applied(optimizer, model, 3)
        if factors:
            optimizer = klr.by_layer(optimizer, model, factors)
        return applied(optimizer, model, 3)

    assert_same(trained({"body": 1.0}), trained(None))


def test_what_was_excluded_from_weight_decay_stays_so():
    model = network()
    optimizer = keras.optimizers.AdamW(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer = klr.by_layer(optimizer, model, {"body": 0.5})
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    without_gradients(optimizer, model)
    assert [each.mean() for each in weights(model)] == [0.875, 1.0, 0.75, 1.0, 0.75, 1.0]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, [0.875, 0.875, 0.75, 0.75]),
        ("kernels", [0.875, 1.0, 0.75, 1.0]),
        ({"body": 0.25}, [0.9375, 0.9375, 0.75, 0.75]),
        ({"*/bias": 0.0, "head/kernel": 1.0}, [0.875, 1.0, 0.5, 1.0]),
    ],
)
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_weight_decay_by_group(name, given, left):
    model = keras.Sequential(
        [keras.Input((6,)), *(keras.layers.Dense(2, name=name) for name in ("body", "head"))]
    )
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer = getattr(keras.optimizers, name)(0.5, weight_decay=0.5)
    optimizer = klr.by_layer(optimizer, model, {"body": 0.5}, weight_decay=given)
    optimizer = type(optimizer).from_config(optimizer.get_config())
    without_gradients(optimizer, model)
    assert [each.mean() for each in weights(model)] == left


def test_weight_decay_for_one_group_of_an_optimizer_without():
    model = network()
    optimizer = klr.by_layer(keras.optimizers.SGD(0.5), model, weight_decay={"head": 0.25})
    before = weights(model)
    without_gradients(optimizer, model)
    assert optimizer.weight_decay == 0.25
    assert identical(before[:4], weights(model)[:4])
    assert_same([weights(model)[4:]], [[each * 0.875 for each in before[4:]]])


def test_kernels_are_all_but_biases_and_normalisations():
    inputs = keras.Input((4, 8))
    hidden = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    hidden = keras.layers.LayerNormalization(axis=(1, 2))(hidden)
    hidden = keras.layers.GRU(3)(hidden)
    model = keras.Model(inputs, keras.layers.BatchNormalization()(hidden))
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer = klr.by_layer(keras.optimizers.AdamW(0.5), model, weight_decay="kernels")
    without_gradients(optimizer, model)
    kept = {v.path for v in model.trainable_variables if np.all(ops.convert_to_numpy(v) == 1.0)}
    assert {path.rsplit("/", 1)[1] for path in kept} == {"bias", "gamma", "beta"}
    assert len(kept) == 9


def test_a_factor_is_changed_in_mid_fit_without_a_retrace():
    traces, seen = [], []

    class Traced(keras.layers.Dense):
        def call(self, inputs):
            traces.append(self.name)
            return super().call(inputs)

    class Freeze(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                traces.clear()
                self.model.optimizer.factors = {"body": 0.0}
            seen.append(weights(self.model))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(weights(self.model))

    keras.utils.set_random_seed(0)
    layers = [Traced(4, name="body"), keras.layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(klr.by_layer(optimizer, model, {"body": 0.5}), "mse", jit_compile=JIT)
    model.fit(*data(), batch_size=8, epochs=3, callbacks=[Freeze()], verbose=0)
    assert not identical(seen[2][:2], seen[3][:2])
    assert identical(seen[4][:2], seen[5][:2])
    assert not identical(seen[4][2:], seen[5][2:])
    assert keras.backend.backend() == "torch" or traces == []
    assert model.optimizer.factors == {"body": 0.0, "rest": 1.0}


@pytest.mark.parametrize("name", named("Ftrl", "ScheduleFreeAdamW"))
def test_a_factor_of_0_freezes(name):
    model = network()
    before = weights(model)
    optimizer = getattr(keras.optimizers, name)(0.1, **OPTIMIZERS[name])
    after = applied(klr.by_layer(optimizer, model, {"mid": 0.0}), model)[-1]
    assert identical(before[2:4], after[2:4])
    assert not identical(before[:2], after[:2])


def test_ftrl_divides_by_the_learning_rate():
    model = network()
    with pytest.raises(ValueError, match="must not be 0"):
        klr.by_layer(keras.optimizers.Ftrl(), model, {"mid": 0.0})
    optimizer = klr.by_layer(keras.optimizers.Ftrl(), model, {"mid": 0.5})
    with pytest.raises(ValueError, match="must not be 0"):
        optimizer.factors = {"mid": 0.0}
    assert optimizer.factors == {"mid": 0.5, "rest": 1.0}


def test_what_moves_the_learning_rate_moves_all_groups():
    model = network()
    model.compile(klr.by_layer(keras.optimizers.SGD(0.5), model, FACTORS), "mse", jit_compile=JIT)
    model.optimizer.learning_rate = 0.25
    assert model.optimizer.learning_rates == {"body": 0.03125, "mid": 0.125, "head": 0.25}
    keras_own = keras.callbacks.LearningRateScheduler(lambda epoch: 0.125)
    model.fit(*data(), callbacks=[keras_own], verbose=0)
    assert model.optimizer.learning_rates == {"body": 0.015625, "mid": 0.0625, "head": 0.125}


@pytest.mark.parametrize("make", [klr.lr_find, klr.tune_lr], ids=["lr_find", "tune_lr"])
def test_a_search_leaves_model_groups_and_state_as_they_were(make):
    model = network()
    model.compile(klr.by_layer(keras.optimizers.Adam(0.01), model, FACTORS), "mse", jit_compile=JIT)
    model.fit(*data(), verbose=0)
    before = values(model)
    arguments = {"steps": 20} if make is klr.lr_find else {"epochs": 25, "quick": True}
    make(model, *data(), batch_size=8, verbose=0, **arguments)
    assert identical(before, values(model))
    assert model.optimizer.factors == FACTORS


def later(model):
    """Return a model with a layer that the groups of its optimizer do not have."""
    return keras.Sequential([model, keras.layers.Dense(2, name="late")])


TRAINING = {
    "fit": lambda model: model.fit(*data(), verbose=0),
    "LRScheduler": lambda model: model.fit(*data(), verbose=0, callbacks=[klr.LRScheduler()]),
    "Unfreeze": lambda model: model.fit(*data(), verbose=0, callbacks=[klr.Unfreeze()]),
    "lr_find": lambda model: klr.lr_find(model, *data(), verbose=0),
    "klr.fit": lambda model: klr.fit(model, *data(), epochs=2, verbose=0),
    "fine_tune": lambda model: klr.fine_tune(model, *data(), epochs=2, verbose=0),
}


def with_new_layers(*, built):
    model = network()
    optimizer = klr.by_layer("adam", model, FACTORS)
    if built:
        optimizer.build(model.trainable_variables)
    model = later(model)
    model.compile(optimizer, "mse", jit_compile=JIT)
    return model


LATE = r"(late/kernel|shapes=).*Call by_layer again"


@pytest.mark.parametrize("train", TRAINING)
def test_a_model_with_new_layers_is_refused_and_not_trained(train):
    model = with_new_layers(built=False)
    before = weights(model)
    with pytest.raises(ValueError, match=LATE):
        TRAINING[train](model)
    assert identical(before, weights(model))


@pytest.mark.parametrize("train", TRAINING)
def test_so_it_is_where_the_optimizer_has_been_training(train):
    # The weights are not looked at: on JAX, a fit of Keras that raises in a step leaves none.
    model = with_new_layers(built=True)
    with pytest.raises(ValueError, match=LATE):
        TRAINING[train](model)
