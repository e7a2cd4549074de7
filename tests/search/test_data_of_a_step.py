"""Data that searches hand to a training step, compared with the data that `fit` hands to it."""

import importlib.util

import keras
import numpy as np
import pytest
import scipy.sparse
from support.tiny import regression

from keras_lr import lr_find, lr_sweep, tune_adam, tune_lr
from keras_lr.search.data import TrainingData

BACKEND = keras.backend.backend()
WITHOUT_TENSORFLOW = importlib.util.find_spec("tensorflow") is None
WITHOUT_TORCH = importlib.util.find_spec("torch") is None
X, Y = regression(samples=50)
LABELS = (Y[:, 0] > 0).astype("int64")
WEIGHTS = np.linspace(0.5, 2, 50)


class Numbered(keras.utils.PyDataset):
    """Batches of 20, 20 and 10 rows, made by a function of x and y."""

    def __init__(self, form=lambda x, y: (x, y)):
        super().__init__()
        self.form = form

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(20 * index, 20 * index + 20)
        return self.form(X[part], Y[part])


def dataset(*arrays, size=20):
    import tensorflow as tf

    source = arrays[0] if len(arrays) == 1 else arrays
    return tf.data.Dataset.from_tensor_slices(source).batch(size)


def padded():
    import tensorflow as tf

    lengths = [3, 5, 2, 7, 4, 6]
    rows = tf.data.Dataset.from_generator(
        lambda: ((np.ones((length, 2), "float32"), np.float32(length)) for length in lengths),
        output_signature=(tf.TensorSpec((None, 2)), tf.TensorSpec(())),
    )
    return rows.padded_batch(2, padded_shapes=((None, 2), ()))


def loader():
    import torch

    tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(tensors, batch_size=20)


def frame():
    import pandas

    return pandas.DataFrame(X), pandas.Series(Y[:, 0])


# By name: what is passed to `fit`, as a function, since not every backend has every kind.
SOURCES = {
    "x and y": lambda: {"x": X, "y": Y, "batch_size": 20},
    "Keras' batch size": lambda: {"x": X, "y": Y},
    "by steps per epoch": lambda: {"x": X, "y": Y, "steps_per_epoch": 4},
    "x alone": lambda: {"x": X, "batch_size": 20},
    "a dict alone": lambda: {"x": {"b": X, "a": Y}, "batch_size": 20},
    "a list alone": lambda: {"x": [X, Y], "batch_size": 20},
    "a tuple and a dict": lambda: {"x": (X, X), "y": {"one": Y, "two": LABELS}, "batch_size": 20},
    "float64 and bool": lambda: {"x": X.astype("float64"), "y": Y > 0, "batch_size": 20},
    "uint8": lambda: {"x": (X * 9).astype("uint8"), "y": LABELS, "batch_size": 20},
    "sample weights": lambda: {"x": X, "y": Y, "sample_weight": WEIGHTS, "batch_size": 20},
    "class weights": lambda: {"x": X, "y": LABELS, "class_weight": {1: 3.0}, "batch_size": 20},
    "pandas": lambda: dict(zip("xy", frame(), strict=True)) | {"batch_size": 20},
    "tensors": lambda: {"x": keras.ops.convert_to_tensor(X), "y": Y, "batch_size": 20},
    "PyDataset": lambda: {"x": Numbered()},
    "PyDataset, x alone": lambda: {"x": Numbered(lambda x, y: (x,))},
    "PyDataset, a dict": lambda: {"x": Numbered(lambda x, y: {"x": x, "y": y})},
    "PyDataset, nested": lambda: {"x": Numbered(lambda x, y: ((x, x), y, y[:, 0]))},
    "PyDataset, class weights": lambda: {
        "x": Numbered(lambda x, y: (x, y > 0)),
        "class_weight": {0: 1.0, 1: 2.0},
    },
    "DataLoader": lambda: {"x": loader()},
    "tf.data": lambda: {"x": dataset(X, Y)},
    "tf.data, x alone": lambda: {"x": dataset(X)},
    "tf.data, nested": lambda: {"x": dataset({"a": X, "b": X}, (Y, LABELS))},
    "tf.data, class weights": lambda: {"x": dataset(X, LABELS), "class_weight": {0: 1.0, 1: 2.0}},
    "tf.data, padded": lambda: {"x": padded()},
    "sparse": lambda: {"x": scipy.sparse.csr_matrix(X), "y": Y, "batch_size": 20},
}
if BACKEND == "tensorflow":  # elsewhere `fit` itself does not take them
    import tensorflow as tf

    TEXTS = [f"the {word} of {number}" for number in range(5) for word in "abcdefghij"]
    RAGGED = tf.ragged.constant([[float(i)] * (i % 5) for i in range(50)])
    SOURCES |= {
        "objects that are strings": lambda: {"x": np.array(TEXTS, object), "y": Y},
        "a tensor of strings": lambda: {"x": tf.constant(TEXTS), "y": Y, "batch_size": 20},
        "tf.data of strings": lambda: {"x": dataset(TEXTS, Y)},
        "ragged": lambda: {"x": RAGGED, "y": Y, "batch_size": 20},
        "tf.data of ragged": lambda: {"x": dataset(RAGGED, Y)},
        "sparse tensors": lambda: {"x": tf.sparse.from_dense(X), "y": Y, "batch_size": 20},
    }
AVAILABLE = [
    name
    for name in SOURCES
    if not (WITHOUT_TENSORFLOW and ("tf.data" in name))
    and not (WITHOUT_TORCH and name == "DataLoader")
    # torch's loaders take sparse matrices for batches of one sample
    and not (BACKEND == "torch" and name == "sparse")
]


class Recorder(keras.Model):
    """Trains one number, whatever the data, and keeps each batch its step is given.

    It runs outside of any graph, so that what it keeps can be looked at.
    """

    def __init__(self):
        super().__init__()
        self.level = self.add_weight(shape=(), initializer="ones")
        self.built = True
        self.seen = []

    def call(self, x):
        return self.level * keras.ops.ones((1,))

    def train_step(self, *arguments):
        self.seen.append(arguments[-1])
        if BACKEND == "jax":
            state, gradient = arguments[0], [keras.ops.ones(())]
            trainable, optimizer = self.optimizer.stateless_apply(state[2], gradient, state[0])
            return {"loss": keras.ops.abs(state[0][0])}, (trainable, state[1], optimizer, state[3])
        loss = keras.ops.abs(self.level.value)
        self.optimizer.apply([keras.ops.ones(())], [self.level])
        return {"loss": loss + 0.0}


def recorder():
    model = Recorder()
    model.compile("sgd", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def described(batch):
    """Return the structure of a batch, and each tensor's type, dtype and shape."""

    def form(leaf):
        kind, dtype = type(leaf), str(leaf.dtype)
        if BACKEND == "jax":
            # Before Keras 3.12, fit moves arrays to the device ahead of the step, in 32 bits.
            kind = np.ndarray if kind.__module__.startswith("jaxlib") else kind
            dtype = dtype.replace("64", "32")
        return kind, dtype, tuple(leaf.shape)

    leaves = [leaf if leaf is None else form(leaf) for leaf in keras.tree.flatten(batch)]
    places = keras.tree.pack_sequence_as(batch, list(range(len(leaves))))
    return repr(places), leaves


def dense(leaf):
    if hasattr(leaf, "todense"):
        return np.asarray(leaf.todense())
    if hasattr(leaf, "to_list"):
        return np.array(leaf.to_list(), object)
    if BACKEND == "tensorflow" and isinstance(leaf, tf.SparseTensor):
        return tf.sparse.to_dense(leaf).numpy()
    return np.asarray(leaf)


def handed(search, given):
    """Return the batches that a search hands to a step, those of undone steps included."""
    model = recorder()
    search(model, **given, shuffle=False, verbose=0)
    return model.seen


SEARCHES = {
    "lr_find": lambda model, **given: lr_find(model, **given, steps=4, max_lr=1e-5),
    "lr_sweep": lambda model, **given: lr_sweep(
        model, **given, learning_rates=[0.1], steps=4, method="sequential"
    ),
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # of unknown length
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", AVAILABLE)
def test_a_step_is_given_what_fit_gives_it(name, search):
    model, given = recorder(), SOURCES[name]()
    model.fit(**given, shuffle=False, epochs=2, verbose=0)
    expected, seen = model.seen[:4], handed(SEARCHES[search], SOURCES[name]())
    assert len(seen) >= 4
    for ours, theirs in zip(seen[-4:], expected, strict=True):
        assert described(ours) == described(theirs)
        for left, right in zip(*map(keras.tree.flatten, (ours, theirs)), strict=True):
            np.testing.assert_array_equal(dense(left), dense(right))


@pytest.mark.parametrize("kind", ["x and y", "tf.data", "PyDataset"])
def test_shuffled_batches_are_those_of_the_data(kind):
    if kind == "tf.data" and WITHOUT_TENSORFLOW:
        kind = "PyDataset"
    batches = TrainingData("test", **SOURCES[kind]()).batches(6, 0)
    for epoch in (batches[:3], batches[3:]):
        assert sorted(len(batch[0]) for batch in epoch) == [10, 20, 20]
        rows = np.concatenate([dense(batch[0]) for batch in epoch])
        np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(X, axis=0))


def test_shuffling_within_batches_keeps_them_together():
    batches = TrainingData("test", X, Y, batch_size=20, shuffle="batch").batches(3, 0)
    for first, batch in zip((0, 20, 40), batches, strict=True):
        rows = dense(batch[0])
        assert not np.array_equal(rows, X[first : first + 20])
        np.testing.assert_array_equal(np.sort(rows, 0), np.sort(X[first : first + 20], 0))


@pytest.mark.parametrize("search", [lr_find, lr_sweep, tune_lr, tune_adam])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shuffle": "no"}, "shuffle must be one of True, False, 'batch'"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be at least 1"),
        ({"steps_per_epoch": "a"}, "steps_per_epoch must be an integer"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"validation_split": 1.0}, "validation_split must be .* below 1"),
        ({"validation_split": "a"}, "validation_split must be a number"),
        ({"validation_steps": 0}, "validation_steps must be at least 1"),
        ({"validation_batch_size": 0}, "validation_batch_size must be at least 1"),
        ({"validation_data": iter([(X, Y)])}, "validation_data is iterated several times"),
    ],
)
def test_arguments_of_fit_are_checked_early(search, arguments, message):
    if search is tune_lr and any("validation" in name for name in arguments):
        return
    model = recorder()
    given = {} if search is lr_find else {"steps": 20}
    with pytest.raises((TypeError, ValueError), match=f"^{search.__name__}: {message}"):
        search(model, X, Y, **given, **arguments, verbose=0)
    assert not model.seen
