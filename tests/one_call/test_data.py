"""`fit` on every kind of data that Keras' own takes."""

import importlib.util

import keras
import numpy as np
import pytest
from one_call.support import VALIDATION, X, Y, by_hand, light
from support.tiny import identical, values

from keras_lr import fit

pytestmark = pytest.mark.usefixtures("short_trials")
WITHOUT_TENSORFLOW = importlib.util.find_spec("tensorflow") is None
WITHOUT_TORCH = importlib.util.find_spec("torch") is None


class Numbered(keras.utils.PyDataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return X[part], Y[part]


def dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


def endless():
    return dataset().repeat()


def of_unknown_length():
    import tensorflow as tf

    signature = (tf.TensorSpec((8, 8)), tf.TensorSpec((8, 1)))
    return tf.data.Dataset.from_generator(
        lambda: ((X[i : i + 8], Y[i : i + 8]) for i in range(0, 64, 8)),
        output_signature=signature,
    )


def loader():
    import torch

    tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(tensors, batch_size=8)


def generator():
    while True:
        for first in range(0, 64, 8):
            yield X[first : first + 8], Y[first : first + 8]


def arrays():
    return X


DATA = {
    "arrays": (arrays, {"y": Y, "batch_size": 8}),
    "PyDataset": (Numbered, {}),
    "tf.data": (dataset, {}),
    "endless tf.data": (endless, {"steps_per_epoch": 8}),
    "DataLoader": (loader, {}),
    "generator": (generator, {"steps_per_epoch": 8}),
}


def skipped(name):
    lacking = (WITHOUT_TENSORFLOW and "tf" in name) or (WITHOUT_TORCH and "Loader" in name)
    return pytest.param(name, marks=pytest.mark.skipif(lacking, reason="not installed"))


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("name", [skipped(name) for name in DATA])
def test_the_training_sees_the_data_as_keras_own_does(name):
    make, arguments = DATA[name]
    arguments = {"validation_data": VALIDATION, **arguments}
    model, twin = light(), light()
    keras.utils.set_random_seed(5)
    result = fit(model, make(), epochs=9, checkpoint=True, verbose=0, **arguments)
    assert result.tuning_steps + result.training_steps == result.total_steps == 72
    assert result.peak_source == "trials"
    keras.utils.set_random_seed(5)
    epochs = len(result.history.epoch)
    history = by_hand(twin, result, keep="best", x=make(), epochs=epochs, **arguments)
    twin.optimizer.learning_rate = result.peak
    assert identical(values(model), values(twin))
    assert result.history.history == history.history


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed", "ignore:Your input ran out of data")
@pytest.mark.parametrize("name", [skipped(n) for n in ("generator", "tf of unknown length")])
def test_a_number_of_updates_needs_no_length_of_an_epoch(name):
    make = generator if name == "generator" else of_unknown_length
    model = light()
    result = fit(model, make(), steps=60, validation_data=VALIDATION, verbose=0)
    assert result.tuning_steps + result.training_steps == 60
    # Keras on TensorFlow counts the end of data of unknown length as a batch.
    counted = int(model.optimizer.iterations) - result.training_steps
    assert 0 <= counted < len(result.history.epoch)
    assert sum(each > 0 for each in result.epoch_ends) == len(result.epoch_ends)
    with pytest.raises(ValueError, match="needs to know how many batches an epoch has"):
        fit(light(), make(), epochs=5, verbose=0)


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_a_generator_gives_each_batch_once():
    given = []

    def counted():
        for number, batch in enumerate(generator()):
            given.append(number)
            yield batch

    model = light()
    result = fit(model, counted(), steps=60, verbose=0)
    # What is held for the trials is trained on; the rest is read on, on TensorFlow some ahead.
    assert given == list(range(len(given)))
    assert 0 <= len(given) - result.training_steps < 5


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_a_generator_can_validate():
    arguments = {"validation_data": generator(), "validation_steps": 2}
    result = fit(light(), X, Y, steps=20, tune=0.01, verbose=0, **arguments)
    assert "val_loss" in result.history.history
    assert result.kept == "last"
    with pytest.raises(ValueError, match="several times, not a generator"):
        fit(light(), X, Y, steps=20, tune=0.01, averages=0.9, verbose=0, **arguments)


def test_weights_of_samples_and_classes_are_used_by_trials_and_training():
    labels = (Y[:, 0] > 0).astype("int64")

    def classifier():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy", jit_compile=False)
        return model

    plain = fit(classifier(), X, labels, batch_size=8, steps=60, verbose=0)
    by_class = fit(
        classifier(), X, labels, batch_size=8, steps=60, class_weight={0: 1.0, 1: 5.0}, verbose=0
    )
    weights = np.where(labels == 1, 5.0, 1.0)
    by_sample = fit(
        classifier(), X, labels, batch_size=8, steps=60, sample_weight=weights, verbose=0
    )
    assert by_class.tuning.untrained != plain.tuning.untrained
    assert by_class.tuning.untrained == pytest.approx(by_sample.tuning.untrained, rel=1e-5)
    losses = [result.history.history["loss"] for result in (by_class, by_sample)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("freq", [3, [1, 4]])
def test_validation_need_not_be_in_every_epoch(freq):
    result = fit(
        light(), X, Y, batch_size=8, steps=60, validation_split=0.25, validation_freq=freq,
        validation_batch_size=16, verbose=0,
    )  # fmt: skip
    assert 0 < len(result.history.history["val_loss"]) < len(result.history.epoch)
    assert result.kept_value is not None
    assert len(result.to_dataframe()) == len(result.history.epoch)


def test_a_model_that_is_not_built_is_built():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    result = fit(model, X, Y, batch_size=8, steps=60, validation_data=VALIDATION, verbose=0)
    assert result.peak_source == "trials"
    assert result.training_steps == int(model.optimizer.iterations)


def test_without_shuffling_batches_come_in_order():
    seen = []

    class Order(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    for _ in range(2):
        arguments = {"batch_size": 8, "steps": 20, "tune": 0.01, "shuffle": False, "verbose": 0}
        fit(light(), X, Y, callbacks=[Order()], **arguments)
    assert seen[:20] == seen[20:]
