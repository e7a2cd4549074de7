"""Cycle-end weights, the ensemble of their predictions, and their average."""

import keras
import numpy as np
import pytest
from support.drives import data, fit, network, restarts
from support.tiny import JIT, identical

from keras_lr.callbacks import CosineWarmRestarts, SwapScheduleFreeWeights

X, Y = data()
ON_TORCH = keras.backend.backend() == "torch"
pytestmark = pytest.mark.filterwarnings("ignore:.*(ends|stopped) inside a cycle")


class Copy(keras.callbacks.Callback):
    """Copies the weights after given batches of a run with six in each epoch."""

    def __init__(self, *ends):
        super().__init__()
        self.ends, self.weights = ends, []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if 6 * self.epoch + batch + 1 in self.ends:
            self.weights.append(self.model.get_weights())


@pytest.mark.parametrize(("folder", "spe"), [(True, 1), (False, 1 if ON_TORCH else 4)])
def test_snapshots_are_the_weights_at_the_ends(tmp_path, folder, spe):
    copy = Copy(8, 24)
    twin = network(keras.optimizers.Adam(0.01))
    fit(twin, (X, Y), restarts(), copy, epochs=5)
    model = network(keras.optimizers.Adam(0.01), spe)
    callback = restarts(snapshots=3, snapshot_folder=tmp_path / "cycles" if folder else None)
    fit(model, (X, Y), callback, epochs=5)
    assert len(callback.snapshots) == 2
    for snapshot, expected in zip(callback.snapshots, copy.weights, strict=True):
        for left, right in zip(snapshot.get_weights(), expected, strict=True):
            np.testing.assert_allclose(left, right, atol=0 if spe == 1 else 1e-6)
    for left, right in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=0 if spe == 1 else 1e-6)


def test_the_folder_keeps_the_last_and_holds_keras_files(tmp_path):
    model = network(keras.optimizers.SGD())
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=2, snapshot_folder=tmp_path)
    fit(model, (X, Y), callback)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["cycle_0001_step_12.weights.h5", "cycle_0002_step_18.weights.h5"]
    fresh = network(keras.optimizers.SGD())
    fresh.load_weights(tmp_path / names[1])
    assert identical(fresh.get_weights(), model.get_weights())


def test_a_fit_that_goes_on_finds_its_snapshots_and_a_new_one_forgets_them(tmp_path):
    def callback():
        return CosineWarmRestarts(0.1, cycle_mult=1, snapshots=5, snapshot_folder=tmp_path)

    model = network(keras.optimizers.SGD())
    fit(model, (X, Y), callback(), epochs=2)
    second = callback()
    fit(model, (X, Y), second, initial_epoch=2, epochs=3)
    assert len(second.snapshots) == 3
    fit(model, (X, Y), second, epochs=1)
    assert len(second.snapshots) == 1


def test_a_fit_that_goes_on_leaves_the_snapshots_of_another_run_alone(tmp_path):
    def callback(steps):
        length = {"first_cycle_steps": steps, "cycle_mult": 1}
        return CosineWarmRestarts(0.1, **length, snapshots=5, snapshot_folder=tmp_path)

    fit(network(keras.optimizers.SGD()), (X, Y), callback(4), epochs=2)  # ends at 4, 8, 12
    model = network(keras.optimizers.SGD())
    fit(model, (X, Y), callback(6), epochs=2)  # at 6, 12
    expected = model.get_weights()
    resumed = callback(6)
    fit(model, (X, Y), resumed, initial_epoch=2, epochs=3)
    assert len(resumed.snapshots) == 3
    assert identical(resumed.snapshots[1].get_weights(), expected)


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("keep", [1, 3, 10])
def test_going_back_over_cycles_replaces_their_snapshots(tmp_path, folder, keep):
    model, where = network(keras.optimizers.SGD()), tmp_path if folder else None
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=keep, snapshot_folder=where)
    fit(model, (X, Y), callback, epochs=4)
    earlier = [each.get_weights() for each in callback.snapshots]
    fit(model, (X, Y), callback, initial_epoch=3, epochs=4)
    later = [each.get_weights() for each in callback.snapshots]
    assert len(later) == min(keep, 4)
    for left, right in zip(earlier[:-1], later[:-1], strict=True):
        assert identical(left, right)
    assert identical(later[-1], model.get_weights())
    assert not np.array_equal(earlier[-1][0], later[-1][0])
    fit(model, (X, Y), callback, initial_epoch=1, epochs=2)
    # Only that of the first cycle is of the past, and with less room it is no longer there.
    assert len(callback.snapshots) == (2 if keep == 10 else 1)
    assert identical(callback.snapshots[-1].get_weights(), model.get_weights())
    assert callback.ensemble().predict(X, verbose=0).shape == (48, 1)


class Raise(keras.callbacks.Callback):
    """Raises after a batch, counted over all epochs of six batches."""

    def __init__(self, last):
        super().__init__()
        self.last = last

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if 6 * self.epoch + batch + 1 == self.last:
            raise KeyboardInterrupt


@pytest.mark.parametrize("process", ["same", "new"])
def test_snapshots_survive_a_kill_in_mid_epoch_and_a_backup(tmp_path, process):
    def callback():
        length = {"first_cycle_steps": 4, "cycle_mult": 1}
        return CosineWarmRestarts(0.1, **length, snapshots=2, snapshot_folder=tmp_path / "cycles")

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model, restarts = network(keras.optimizers.SGD()), callback()
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), restarts, backup(), Raise(10), epochs=2)  # after the end at 8
    restarts = restarts if process == "same" else callback()
    fit(model, (X, Y), restarts, backup(), epochs=2)
    names = sorted(path.name for path in (tmp_path / "cycles").iterdir())
    assert names == ["cycle_0001_step_8.weights.h5", "cycle_0002_step_12.weights.h5"]
    assert len(restarts.snapshots) == 2
    assert identical(restarts.snapshots[-1].get_weights(), model.get_weights())


@pytest.mark.filterwarnings("ignore:.*longer than the whole fit")
def test_what_a_cut_off_fit_had_yet_to_write_is_written_only_by_one_that_goes_on(tmp_path):
    model = network(keras.optimizers.SGD())
    length = {"first_cycle_steps": 6, "cycle_mult": 1}
    callback = CosineWarmRestarts(0.1, **length, snapshots=5, snapshot_folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), Raise(6), callback, epochs=2)
    fit(model, (X, Y), callback, epochs=1, steps_per_epoch=5)
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        fit(model, (X, Y), Raise(6), callback, epochs=2)
    expected = model.get_weights()
    fit(model, (X, Y), callback, initial_epoch=1, epochs=2)
    assert len(callback.snapshots) == 2
    assert identical(callback.snapshots[0].get_weights(), expected)


def test_ensemble_is_the_mean_prediction_and_can_be_saved(tmp_path):
    model = network(keras.optimizers.SGD())
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=3)
    fit(model, (X, Y), callback)
    whole = callback.ensemble()
    expected = np.mean([each.predict(X, verbose=0) for each in callback.snapshots], axis=0)
    np.testing.assert_allclose(whole.predict(X, verbose=0), expected, atol=1e-6)
    whole.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), whole.predict(X, verbose=0))
    whole.compile("sgd", "mse", jit_compile=JIT)
    np.testing.assert_allclose(whole.evaluate(X, Y, verbose=0), np.mean((expected - Y) ** 2), 1e-4)


def test_ensemble_of_one_and_average_of_one_are_the_model():
    model = network(keras.optimizers.SGD())
    callback = CosineWarmRestarts(0.1, snapshots=1)
    fit(model, (X, Y), callback)
    expected = model.predict(X, verbose=0)
    np.testing.assert_array_equal(callback.ensemble().predict(X, verbose=0), expected)
    averaged = callback.average(X, batch_size=16)
    # All but the BatchNorm statistics.
    assert identical(averaged.get_weights()[:4], model.get_weights()[:4])


def test_ensemble_of_models_with_several_inputs_and_outputs():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = keras.layers.Concatenate()([left, right])
    outputs = {"a": keras.layers.Dense(1)(both), "b": keras.layers.Dense(2)(both)}
    model = keras.Model({"left": left, "right": right}, outputs)
    model.compile("sgd", {"a": "mse", "b": "mse"}, jit_compile=JIT)
    inputs, targets = {"left": X, "right": X}, {"a": Y, "b": np.hstack([Y, Y])}
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=2)
    fit(model, (inputs, targets), callback, epochs=2)
    predicted = callback.ensemble().predict(inputs, verbose=0)
    members = [each.predict(inputs, verbose=0) for each in callback.snapshots]
    for name in outputs:
        expected = (members[0][name] + members[1][name]) / 2
        np.testing.assert_allclose(predicted[name], expected, atol=1e-6)


@keras.saving.register_keras_serializable(package="keras_lr_tests")
class Subclassed(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


def test_ensemble_of_a_subclassed_model():
    model = Subclassed()
    model.compile("sgd", "mse", jit_compile=JIT)
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=2)
    fit(model, (X, Y), callback, epochs=2)
    predicted = callback.ensemble().predict(X, verbose=0)
    expected = np.mean([each.predict(X, verbose=0) for each in callback.snapshots], axis=0)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


@keras.saving.register_keras_serializable(package="keras_lr_tests")
class Scaling(keras.layers.Layer):
    """A layer of a user's own that works, like Keras' Normalization, with a copy of its weight."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(), trainable=False)
        self.finalize_state()

    def finalize_state(self):
        self.copy = float(keras.ops.convert_to_numpy(self.factor.value))

    def call(self, inputs):
        return inputs * self.copy


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("folder", [True, False])
def test_adapted_layers_of_copies_have_what_the_model_has(tmp_path, folder, nested):
    normalization, scaling = keras.layers.Normalization(), Scaling()
    normalization.adapt(3 * X + 1)
    layers = [normalization, scaling]
    if nested:
        layers = [keras.Sequential([keras.Input((4,)), *layers])]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
    scaling.factor.assign(2.0)
    scaling.finalize_state()
    model.compile("sgd", "mse", jit_compile=JIT)
    where = tmp_path if folder else None
    callback = CosineWarmRestarts(0.1, snapshots=1, snapshot_folder=where)
    fit(model, (X, Y), callback, epochs=1)
    expected = model.predict(X, verbose=0)
    for copy in (callback.snapshots[0], callback.ensemble(), callback.average()):
        np.testing.assert_allclose(copy.predict(X, verbose=0), expected, atol=1e-6)


def test_layers_that_adapt_to_what_is_no_weight_are_copied_too():
    bins = keras.layers.Discretization(num_bins=4)
    bins.adapt(X)
    layers = [bins, keras.layers.Rescaling(0.1), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("sgd", "mse", jit_compile=JIT)
    callback = CosineWarmRestarts(0.1, snapshots=1)
    fit(model, (X, Y), callback, epochs=1)
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(callback.average().predict(X, verbose=0), expected, atol=1e-6)


@pytest.mark.needs("optimizers.ScheduleFreeAdamW")
@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("swap_first", [True, False])
def test_snapshots_beside_swapped_weights_are_the_average(tmp_path, folder, swap_first):
    def trained(*callbacks):
        model = network(keras.optimizers.ScheduleFreeAdamW(0.01))
        fit(model, (X, Y), *callbacks, epochs=2)
        return model

    where = tmp_path if folder else None
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=2, snapshot_folder=where)
    pair = [SwapScheduleFreeWeights(), callback]
    copy = Copy(6)
    model = trained(*(pair if swap_first else reversed(pair)), copy)
    first, last = [each.get_weights() for each in callback.snapshots]
    assert identical(last, model.get_weights())
    assert identical(first, copy.weights[0])
    twin = trained(
        SwapScheduleFreeWeights(), CosineWarmRestarts(0.1, cycle_mult=1)
    )  # training itself goes on as if nothing had been copied
    assert identical(model.get_weights(), twin.get_weights())


@pytest.mark.needs("optimizers.ScheduleFreeAdamW")
def test_snapshots_without_swapped_weights_are_what_is_in_the_model():
    model = network(keras.optimizers.ScheduleFreeAdamW(0.01))
    callback = CosineWarmRestarts(0.1, snapshots=1)
    fit(model, (X, Y), callback, epochs=1)
    assert identical(callback.snapshots[0].get_weights(), model.get_weights())


def test_average_is_the_mean_of_weights_with_statistics_of_the_data():
    model = network(keras.optimizers.SGD())
    callback = CosineWarmRestarts(0.1, cycle_mult=1, snapshots=3)
    fit(model, (X, Y), callback)
    averaged = callback.average(X[:40], batch_size=16)  # batches of 16, 16 and 8
    sets = [each.get_weights() for each in callback.snapshots]
    kernel, bias, _, _, mean, variance, *_ = (weight for weight in _by_kind(averaged))
    np.testing.assert_allclose(kernel, np.mean([each[0] for each in sets], axis=0), atol=1e-7)
    hidden = np.maximum(X[:40] @ kernel + bias, 0)
    parts = [hidden[:16], hidden[16:32], hidden[32:]]
    sizes = [16, 16, 8]
    expected = np.average([part.mean(0) for part in parts], axis=0, weights=sizes)
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    expected = np.average([part.var(0) for part in parts], axis=0, weights=sizes)
    np.testing.assert_allclose(variance, expected, atol=1e-5)
    assert all(layer.momentum == 0.99 for layer in averaged.layers if hasattr(layer, "momentum"))


def _by_kind(model):
    dense, norm, _ = model.layers
    variables = [dense.kernel, dense.bias, norm.gamma, norm.beta]
    variables += [norm.moving_mean, norm.moving_variance]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_what_is_missing_is_said():
    callback = CosineWarmRestarts(0.1, snapshots=1)
    with pytest.raises(RuntimeError, match="there is no snapshot"):
        callback.ensemble()
    fit(network(keras.optimizers.SGD()), (X, Y), callback, epochs=1)
    with pytest.raises(ValueError, match="Pass the training data"):
        callback.average()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for folder in (file, str(file), file / "below"):
        with pytest.raises(ValueError, match=r"^CosineWarmRestarts: snapshot_folder must .* file"):
            CosineWarmRestarts(0.1, snapshots=1, snapshot_folder=folder)
    for folder in (3, b"here", True):
        with pytest.raises(TypeError, match=r"^CosineWarmRestarts: snapshot_folder must be a path"):
            CosineWarmRestarts(0.1, snapshots=1, snapshot_folder=folder)
    CosineWarmRestarts(0.1, snapshots=1, snapshot_folder=tmp_path / "new" / "below")
    assert not (tmp_path / "new").exists()
