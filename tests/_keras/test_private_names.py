"""Every private name of Keras that the library leans on is there, and is what it is taken for.

A Keras that renames one of them fails here by its name. KNOWN lists them all: a name that the code
uses and KNOWN lacks fails too.
"""

import ast
import inspect
import pathlib

import keras
import pytest
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.trainers import data_adapters
from support.tiny import compiled, regression

import keras_lr
from keras_lr._keras.peers import callbacks_of_caller
from keras_lr._keras.running_fit import running_fit
from keras_lr._keras.versions import GLOBAL_SEED_GENERATOR

X, Y = regression()
EMA = {"use_ema": True, "ema_momentum": 0.9}
BACKEND = keras.backend.backend()


def trained():
    model = compiled(lambda: keras.optimizers.Nadam(0.01))
    model.fit(X, Y, verbose=0)
    return model


MODEL = [
    "_compile_config",
    "_compile_loss",
    "_compile_metrics",
    "_compute_loss",
    "_eval_epoch_iterator",
    "_flatten_layers",
    "_initial_epoch",
    "_loss_tracker",
    "_should_eval",
    "_symbolic_build",
]
ON_JAX = ["_get_jax_state", "_jax_state", "_jax_state_synced"]
OPTIMIZER = [
    "_backend_update_step",
    "_get_current_learning_rate",
    "_get_variable_index",
    "_iterations",
    "_learning_rate",
    "_model_variables_moving_average",
    "_track_variable",
    "_trainable_variables",
    "_untrack_variable",
    "_use_weight_decay",
]
SLOTS = {
    "_accumulators": "Adagrad",
    "_momentums": "Nadam",
    "_u_product": "Nadam",
    "_velocities": "RMSprop",
}
ELSEWHERE = [  # each with a test below
    "_call_has_training_arg",
    "_collect_learning_rate",
    "_direction",
    "_ema_weights_in_model",
    "_exclude_from_weight_decay",
    "_finite_generator",
    "_infinite_generator",
    "_inputs",
    "_modules",
    "_num_samples",
    "_parallel_update_step",
    "_record_training_state_sharding_spec",
    "_trainable_variable_shardings",
    "_use_cached_eval_dataset",
    "_value",
]
KNOWN = {*MODEL, *ON_JAX, *OPTIMIZER, *SLOTS, *ELSEWHERE}
# Of Python, torch, W&B and JAX.
OF_OTHERS = {"_cache_size", "_current_frames", "_foreach_lerp_", "_get_lr", "_getframe"}


def names_of_others(tree, own):
    """Yield the private names that a file takes off objects that are not of this library."""
    texts = [
        part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    ]
    for node in ast.walk(tree):
        if node in texts:
            continue
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Constant) and str(node.value).isidentifier():
            name = str(node.value)  # as for getattr
        else:
            continue
        if name.startswith("_") and not name.endswith("_") and name not in own:
            yield name


def defined_names(tree):
    """Yield the names of a file's functions, classes, variables and objects' attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_no_private_name_is_used_that_is_not_known():
    package = pathlib.Path(keras_lr.__file__).parent
    trees = [ast.parse(path.read_text()) for path in package.rglob("*.py")]
    own = {name for tree in trees for name in defined_names(tree)} - KNOWN
    used = {name for tree in trees for name in names_of_others(tree, own)}
    marks = {
        name for name in used if name.startswith("_keras_lr")
    }  # the library's, on Keras' objects
    assert used - marks - OF_OTHERS <= KNOWN


@pytest.mark.parametrize("name", MODEL)
def test_names_of_a_model(name):
    assert hasattr(trained(), name)


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX carries the state outside of the variables")
@pytest.mark.parametrize("name", ON_JAX)
def test_names_of_a_model_on_jax(name):
    assert hasattr(trained(), name)


@pytest.mark.parametrize("name", OPTIMIZER)
def test_names_of_an_optimizer(name):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    optimizer.build(compiled().trainable_variables)
    assert hasattr(optimizer, name)


@pytest.mark.parametrize("name", SLOTS)
def test_names_of_slots(name):
    model = compiled(getattr(keras.optimizers, SLOTS[name]))
    assert hasattr(model.optimizer, name)


def test_the_direction_of_a_metric():
    assert keras.metrics.BinaryAccuracy()._direction == "up"
    assert keras.metrics.MeanSquaredError()._direction == "down"


def test_averages_that_are_swapped_in():
    assert keras.callbacks.SwapEMAWeights()._ema_weights_in_model is False


def test_what_is_excluded_from_weight_decay():
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    names = [name for name in vars(optimizer) if name.startswith("_exclude_from_weight_decay")]
    assert "_exclude_from_weight_decay" in names
    assert "_exclude_from_weight_decay_pattern" in names


@pytest.mark.skipif(BACKEND != "torch", reason="only torch updates all weights in one call")
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Nadam", "RMSprop", "Lion", "Adagrad"])
def test_optimizers_that_update_all_weights_in_one_call(name):
    assert callable(getattr(keras.optimizers, name)()._parallel_update_step)


@pytest.mark.skipif(BACKEND != "torch", reason="only torch keeps layers apart")
def test_where_torch_keeps_layers():
    model = compiled()
    model.head = keras.layers.Dense(1)
    assert model.head in vars(model)["_modules"].values()


def test_how_fit_calls_evaluate():
    assert "_use_cached_eval_dataset=True" in inspect.getsource(keras.Model.fit)
    assert "epoch_iterator" in keras.Model.fit.__wrapped__.__code__.co_varnames


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


def test_moving_averages_and_who_swaps_them():
    seen = []

    class Look(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            seen.append(swap._ema_weights_in_model)

        def on_epoch_end(self, epoch, logs=None):
            seen.append(swap._ema_weights_in_model)
            seen.append(set(callbacks_of_caller(self.model)) >= {self, swap})

    swap, model = keras.callbacks.SwapEMAWeights(), compiled(lambda: keras.optimizers.SGD(**EMA))
    model.fit(X, Y, validation_data=(X[:8], Y[:8]), callbacks=[Look(), swap], verbose=0)
    assert seen == [True, False, True]
    assert callbacks_of_caller(model) == []
    averages = model.optimizer._model_variables_moving_average
    shapes = [variable.shape for variable in model.optimizer._trainable_variables]
    assert [average.shape for average in averages] == shapes
    assert model._call_has_training_arg


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


def test_names_of_data_adapters():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X, Y

    adapters = data_adapters.array_data_adapter, data_adapters.py_dataset_adapter
    arrays = adapters[0].ArrayDataAdapter(X, Y, batch_size=50)
    batches = adapters[1].PyDatasetAdapter(Batches(), shuffle=False)
    assert arrays._num_samples == len(X)
    assert arrays._inputs[0] is X
    assert len(list(batches._finite_generator())) == 2
    assert next(batches._infinite_generator())[0] is X


@pytest.mark.needs("optimizers.ScheduleFreeAdamW")
def test_schedule_free_keeps_its_averages_where_they_are_read():
    model = compiled(lambda: keras.optimizers.ScheduleFreeAdamW(0.01))
    assert len(model.optimizer._momentums) == len(model.trainable_variables)


def test_tensorboard_asks_for_the_learning_rate_in_one_method(tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    board.set_model(trained())
    assert board._collect_learning_rate({"loss": 1.0}) == {
        "loss": 1.0,
        "learning_rate": pytest.approx(0.01),
    }
