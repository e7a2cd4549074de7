"""Every private name of Keras that the host leans on is there, and is what it is taken for.

A Keras that renames one of them fails here, by its name, before it fails elsewhere as a riddle.
"""

import keras
import pytest
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.trainers import data_adapters
from tiny import compiled, regression

from keras_lr._keras.running_fit import running_fit
from keras_lr._keras.versions import GLOBAL_SEED_GENERATOR

X, Y = regression()
BACKEND = keras.backend.backend()


def trained():
    model = compiled(lambda: keras.optimizers.Nadam(0.01))
    model.fit(X, Y, verbose=0)
    return model


MODEL_METHODS = [
    "_compute_loss",
    "_flatten_layers",
    "compile",
    "_symbolic_build",
    "make_train_function",
    "reset_metrics",
]
OPTIMIZER_METHODS = [
    "_backend_update_step",
    "_get_current_learning_rate",
    "_track_variable",
    "_untrack_variable",
]


@pytest.mark.parametrize("name", MODEL_METHODS)
def test_methods_of_a_model(name):
    assert callable(getattr(keras.Model, name))


@pytest.mark.parametrize("name", OPTIMIZER_METHODS)
def test_methods_of_an_optimizer(name):
    assert callable(getattr(keras.optimizers.Optimizer, name))


def test_attributes_of_a_trained_model_and_its_optimizer():
    model = trained()
    optimizer = model.optimizer
    assert model._loss_tracker.name == "loss"
    assert callable(model.train_function)
    assert model.steps_per_execution == 1
    assert isinstance(optimizer._learning_rate, keras.Variable)
    assert int(keras.ops.convert_to_numpy(optimizer._iterations.value)) == 7
    held = [id(variable) for variable in optimizer.variables]
    assert id(optimizer._learning_rate) in held
    assert id(optimizer._iterations) in held
    trainable = [id(variable) for variable in model.trainable_variables]
    assert [id(variable) for variable in optimizer._trainable_variables] == trainable
    assert len(optimizer._u_product.shape) == 0
    assert optimizer._learning_rate._value is not None


def test_a_running_fit_is_known_by_its_iterator():
    class Look(keras.callbacks.Callback):
        def set_model(self, model):
            super().set_model(model)
            seen.append(running_fit(model))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(running_fit(self.model))

    seen = []
    look, model = Look(), compiled()
    assert running_fit(model) is None
    for _ in range(2):
        model.fit(X, Y, len(X) // 2, verbose=0, callbacks=[look])
    assert running_fit(model) is None
    first, second = seen[:3], seen[3:]
    assert None not in seen
    assert first == [first[0]] * 3
    assert second == [second[0]] * 3
    assert first[0] is not second[0]


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX carries the state outside of the variables")
def test_what_fit_on_jax_carries():
    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            model = vars(self)["_model"]  # past the property, which would fetch the state
            self.keys = list(model._jax_state)
            self.synced = model._jax_state_synced

    look, model = Look(), compiled()
    model.fit(X, Y, verbose=0, callbacks=[look])
    groups = ("trainable", "non_trainable", "optimizer", "metrics")
    assert look.keys == [f"{name}_variables" for name in groups]
    assert look.synced is False
    assert callable(model.jax_state_sync)


def test_the_global_seed_generator():
    keras.random.normal((1,))
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    assert tuple(generator.state.shape) == (2,)
    assert isinstance(seed_generator.make_default_seed(), int)


def test_data_adapters():
    adapter = data_adapters.get_data_adapter(X, Y, batch_size=50, shuffle=False)
    assert [len(batch[0]) for batch in adapter.get_numpy_iterator()] == [50] * 4
    assert data_adapters.array_data_adapter.can_convert_arrays((X, Y, None))


@pytest.mark.needs("optimizers.ScheduleFreeAdamW")
def test_schedule_free_keeps_its_averages_where_they_are_read():
    model = compiled(lambda: keras.optimizers.ScheduleFreeAdamW(0.01))
    assert len(model.optimizer._momentums) == len(model.trainable_variables)
