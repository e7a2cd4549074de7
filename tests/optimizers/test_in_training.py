"""The decaying optimizers inside `fit`: wrappers, callbacks, saving, and no retrace."""

import keras
import numpy as np
import pytest

from keras_lr import optimizers

ON_TORCH = keras.backend.backend() == "torch"
ONES = np.ones((16, 1), "float32")
FITTING = {"batch_size": 1, "shuffle": False, "verbose": 0}

# torch runs one step per execution only, and takes jit_compile to mean torch.compile.
execution = pytest.mark.parametrize(
    "compiling",
    [{"run_eagerly": True}]
    if ON_TORCH
    else [{"jit_compile": True}, {"jit_compile": False}, {"steps_per_execution": 8}],
    ids=str,
)


def hyperbolic(lr, decay, updates):
    return lr / (1 + decay * np.arange(updates))


def moved(model):
    """How far the weights are below 0: with gradient 1 and SGD, the sum of the rates applied."""
    return -model.get_weights()[0].sum()


class At(keras.callbacks.Callback):
    """Act on the model's own optimizer when a batch or an epoch begins."""

    def __init__(self, act, batch=None, epoch=None):
        super().__init__()
        self.act, self.batch, self.epoch = act, batch, epoch

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.batch:
            self.act(self.model.optimizer)

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.act(self.model.optimizer)


def set_both(optimizer):
    optimizer.lr, optimizer.decay = 0.5, 1.0


@execution
def test_every_update_of_a_fit_is_decayed(given_gradients, compiling):
    model = given_gradients(optimizers.SGD(lr=1.0, decay=0.25), [0.0], **compiling)

    model.fit(ONES, ONES, epochs=2, **FITTING)

    assert moved(model) == pytest.approx(hyperbolic(1.0, 0.25, 32).sum(), rel=1e-6)


def test_accumulated_gradients_count_as_one_update(given_gradients):
    optimizer = optimizers.SGD(lr=1.0, decay=0.5, gradient_accumulation_steps=4)
    model = given_gradients(optimizer, [0.0])

    model.fit(ONES, ONES, **FITTING)

    assert moved(model) == pytest.approx(hyperbolic(1.0, 0.5, 4).sum(), rel=1e-6)
    assert model.optimizer.effective_learning_rate == pytest.approx(1 / 3)


def test_under_loss_scaling(given_gradients):
    wrapped = keras.optimizers.LossScaleOptimizer(optimizers.SGD(lr=1.0, decay=0.5))
    model = given_gradients(wrapped, [0.0])

    model.fit(ONES, ONES, **FITTING)

    assert moved(model) == pytest.approx(hyperbolic(1.0, 0.5, 16).sum(), rel=1e-6)
    assert float(wrapped.learning_rate) == wrapped.inner_optimizer.lr == 1.0


def test_under_mixed_precision(given_gradients):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = given_gradients(optimizers.SGD(lr=1.0, decay=0.5), [0.0])
        model.fit(ONES, ONES, **FITTING)
    finally:
        keras.config.set_dtype_policy(policy)

    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert moved(model) == pytest.approx(hyperbolic(1.0, 0.5, 16).sum(), rel=1e-6)


@pytest.mark.needs("optimizers.MultiOptimizer")
def test_each_part_of_a_multi_optimizer_decays_by_itself(backend):
    x = keras.Input((1,))
    layers = [keras.layers.Dense(1, use_bias=False, name=name) for name in "ab"]
    model = keras.Model(x, keras.layers.Add()([layer(x) for layer in layers]))
    model.set_weights([np.zeros((1, 1)), np.zeros((1, 1))])
    parts = optimizers.SGD(lr=1.0, decay=0.5), optimizers.SGD(lr=2.0, decay=0.1)
    by_layer = keras.optimizers.OptimizerMap(parts[0], {"b/.*": parts[1]})
    model.compile(
        keras.optimizers.MultiOptimizer(by_layer),
        loss=lambda _, rows: keras.ops.mean(rows),
        jit_compile=backend == "jax",
    )

    model.fit(ONES, ONES, **FITTING)

    a, b = (-weight.item() for weight in model.get_weights())
    assert a == pytest.approx(hyperbolic(1.0, 0.5, 16).sum(), rel=1e-6)
    assert b == pytest.approx(hyperbolic(2.0, 0.1, 16).sum(), rel=1e-6)


@pytest.mark.parametrize("compiling", [{}, {"run_eagerly": True}], ids=str)
def test_a_callback_sets_lr_and_decay_between_two_batches(given_gradients, compiling):
    model = given_gradients(optimizers.SGD(lr=1.0), [0.0], **compiling)

    model.fit(ONES, ONES, callbacks=[At(set_both, batch=6)], **FITTING)

    expected = 6 + hyperbolic(0.5, 1.0, 16)[6:].sum()
    assert moved(model) == pytest.approx(expected, rel=1e-6)


def test_setting_them_traces_nothing_anew(given_gradients):
    model = given_gradients(optimizers.Adam(lr=1.0, decay=0.1), [0.0])
    traces, train_step = [], model.train_step
    model.train_step = lambda *data: traces.append(1) or train_step(*data)
    callbacks = [At(set_both, batch=batch) for batch in (3, 9)]
    callbacks += [At(lambda optimizer: setattr(optimizer, "decay", 0), epoch=1)]

    model.fit(ONES, ONES, epochs=1, **FITTING)
    before = len(traces)
    model.fit(ONES, ONES, epochs=2, callbacks=callbacks, **FITTING)

    assert before > 0
    assert len(traces) - before == (32 if ON_TORCH else 0)  # torch runs the Python code each time


def test_a_kept_reference_works_or_is_refused_with_the_way_out(given_gradients, backend):
    optimizer = optimizers.SGD(lr=1.0)
    model = given_gradients(optimizer, [0.0])
    at = At(lambda _: None)
    at.on_train_batch_begin = lambda batch, logs=None: batch == 6 and set_both(optimizer)

    if backend == "jax":  # whose fit holds the only copy of the variables
        with pytest.raises(RuntimeError, match=r"Use self\.model\.optimizer\.lr in a callback"):
            model.fit(ONES, ONES, callbacks=[at], **FITTING)
    else:
        model.fit(ONES, ONES, callbacks=[at], **FITTING)
        expected = 6 + hyperbolic(0.5, 1.0, 16)[6:].sum()
        assert moved(model) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["lr", "decay", "learning_rate"])
def test_a_kept_reference_works_everywhere_between_epochs(given_gradients, name):
    optimizer = optimizers.SGD(lr=1.0)
    model = given_gradients(optimizer, [0.0])

    model.fit(
        ONES,
        ONES,
        epochs=2,
        callbacks=[At(lambda _: setattr(optimizer, name, 0.5), epoch=1)],
        **FITTING,
    )

    second = hyperbolic(1.0, 0.5, 32)[16:].sum() if name == "decay" else 8
    assert moved(model) == pytest.approx(16 + second, rel=1e-6)


@pytest.mark.parametrize("name", ["lr", "decay", "effective_learning_rate"])
def test_reading_through_the_model_in_a_running_fit(given_gradients, name):
    model = given_gradients(optimizers.SGD(lr=1.0, decay=0.5), [0.0])
    seen = []

    model.fit(
        ONES, ONES, callbacks=[At(lambda now: seen.append(getattr(now, name)), batch=4)], **FITTING
    )

    assert seen == [pytest.approx({"lr": 1, "decay": 0.5, "effective_learning_rate": 1 / 3}[name])]


def test_keras_callbacks_read_and_write_the_base(given_gradients):
    model = given_gradients(optimizers.SGD(lr=1.0, decay=0.25), [0.0])
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2)
    reduce = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, mode="max", patience=1)

    history = model.fit(ONES, ONES, epochs=2, callbacks=[halve, reduce], **FITTING).history

    rates = hyperbolic(1.0, 0.25, 32)
    expected = rates[:16].sum() / 2 + rates[16:].sum() / 4
    assert moved(model) == pytest.approx(expected, rel=1e-6)
    assert history["learning_rate"] == [0.5, 0.25]
    assert model.optimizer.lr == pytest.approx(0.025)


def test_stopping_saving_and_loading_leave_no_trace(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 3)), rng.normal(size=(16, 1))

    def fresh():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(optimizers.Adam(lr=0.1, decay=0.05, amsgrad=True), loss="mse")
        return model

    change = At(lambda optimizer: setattr(optimizer, "decay", 0.2), batch=5)
    straight, stopped = fresh(), fresh()
    straight.fit(x, y, callbacks=[change], **FITTING)
    straight.fit(x, y, **FITTING)
    stopped.fit(x, y, callbacks=[change], **FITTING)
    stopped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    assert isinstance(loaded.optimizer, optimizers.Adam)
    assert (loaded.optimizer.lr, loaded.optimizer.decay) == (0.1, 0.2)
    assert int(loaded.optimizer.iterations) == 16
    loaded.fit(x, y, **FITTING)
    for now, expected in zip(loaded.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(now, expected)
