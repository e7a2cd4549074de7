"""Every logger shows the learning rates that were applied, wherever it stands in the list."""

import contextlib
import csv

import keras
import numpy as np
import pytest
from support.drives import displacement

import keras_lr as klr
from keras_lr import schedules

BATCHES, EPOCHS = 4, 3
STEPS = BATCHES * EPOCHS
SEVERAL = 1 if keras.backend.backend() == "torch" else 2  # steps per execution; torch has one
FALL = schedules.Linear(0.1, 0.0, STEPS)


def sgd(rate=0.1, **arguments):
    return keras.optimizers.SGD(rate, **arguments)


def plateau(**arguments):
    """Return a plateau that halves the rate after each epoch but the first."""
    return klr.ReduceOnPlateauPlus("loss", factor=0.5, patience=1, min_delta=1e9, **arguments)


# What makes the optimizer, what makes the callback, and the rates of all updates.
HALVED = np.repeat([0.1, 0.1, 0.05], BATCHES)
CASES = {
    "scheduler": (sgd, lambda: klr.LRScheduler(FALL), FALL.values(range(STEPS))),
    "restarts": (
        sgd,
        lambda: klr.CosineWarmRestarts(0.1, first_cycle_epochs=1),
        schedules.CosineRestarts(0.1, BATCHES).values(range(STEPS)),
    ),
    "one-cycle": (
        sgd,
        lambda: klr.OneCycle(0.1, momentum=None),
        schedules.OneCycle(0.1, STEPS).values(range(STEPS)),
    ),
    "triangles": (
        sgd,
        lambda: klr.CyclicLR(0.01, 0.1, step_size_steps=3),
        schedules.Triangular(0.01, 0.1, 3).values(range(STEPS)),
    ),
    "plateau": (sgd, plateau, HALVED),
    "plateau by steps": (sgd, lambda: plateau(frequency=BATCHES), HALVED),
    "decay": (
        lambda: klr.optimizers.SGD(lr=0.1, decay=0.1),
        klr.LRScheduler,
        0.1 / (1 + 0.1 * np.arange(STEPS)),
    ),
    "decay and plateau": (
        lambda: klr.optimizers.SGD(lr=0.1, decay=0.1),
        plateau,
        HALVED / (1 + 0.1 * np.arange(STEPS)),
    ),
    "in the graph": (lambda: sgd(FALL), klr.LRScheduler, FALL.values(range(STEPS))),
    "Keras' schedule": (
        lambda: sgd(keras.optimizers.schedules.CosineDecay(0.1, STEPS)),
        klr.LRScheduler,
        schedules.Cosine(0.1, 0.0, STEPS).values(range(STEPS)),
    ),
    "in the graph and plateau": (
        lambda: sgd(FALL),
        plateau,
        FALL.values(range(STEPS)) * HALVED / 0.1,
    ),
    "loss scaling": (
        lambda: keras.optimizers.LossScaleOptimizer(klr.optimizers.SGD(lr=0.1, decay=0.1)),
        klr.LRScheduler,
        0.1 / (1 + 0.1 * np.arange(STEPS)),
    ),
}
EVERY = pytest.mark.parametrize("case", CASES)
PLACES = pytest.mark.parametrize("first", [True, False], ids=["logger first", "logger last"])


def fit(case, first, logger, spe=1):
    """Fit a weight whose gradient is 1; return it with the rates of updates and history."""
    make, callback, rates = CASES[case]
    model = displacement(make(), spe)
    x = np.ones((8 * BATCHES, 1), "float32")
    callbacks = [logger, callback()] if first else [callback(), logger]
    with np.errstate(all="ignore"):
        history = model.fit(x, x, 8, EPOCHS, callbacks=callbacks, verbose=0, shuffle=False).history
    return model, rates, history["learning_rate"]


class Everything(keras.callbacks.Callback):
    """Keeps the logs of batches and epochs, as MLflow's callback hands them on."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(dict(logs))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))


@EVERY
@PLACES
def test_logs_hold_what_was_applied(case, first):
    logger = Everything()
    model, rates, history = fit(case, first, logger)
    np.testing.assert_allclose([logs["learning_rate"] for logs in logger.batches], rates, rtol=2e-6)
    last = rates[BATCHES - 1 :: BATCHES]
    np.testing.assert_allclose([logs["learning_rate"] for logs in logger.epochs], last, rtol=2e-6)
    np.testing.assert_allclose(history, last, rtol=2e-6)
    np.testing.assert_allclose(-model.get_weights()[0].item(), np.sum(rates), rtol=1e-5)


@EVERY
@PLACES
def test_csv_logger(case, first, tmp_path):
    path = tmp_path / "log.csv"
    _, rates, _ = fit(case, first, keras.callbacks.CSVLogger(path))
    with path.open() as file:
        shown = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(shown, rates[BATCHES - 1 :: BATCHES], rtol=2e-6)


@EVERY
@PLACES
def test_checkpoints_named_by_the_rate(case, first, tmp_path):
    name = str(tmp_path / "{learning_rate:.4f}.weights.h5")
    options = {"save_weights_only": True, "save_freq": "epoch"}
    _, rates, _ = fit(case, first, keras.callbacks.ModelCheckpoint(name, **options))
    expected = {f"{rate:.4f}" for rate in rates[BATCHES - 1 :: BATCHES]}
    assert {path.name.removesuffix(".weights.h5") for path in tmp_path.iterdir()} == expected


class Scalars:
    """Stands in for `tensorflow.summary`: keeps scalars by their tags, if they are to be recorded.

    TensorFlow needs the package tensorboard for it, which it does not install itself.
    """

    def __init__(self):
        self.shown, self._asked = {}, []

    def scalar(self, tag, value, step):
        if all(asked() for asked in self._asked):
            self.shown.setdefault(tag, []).append(float(value))

    def create_file_writer(self, folder):
        return self

    def as_default(self, step=None):
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def record_if(self, asked):
        self._asked.append(asked)
        yield
        self._asked.pop()

    def close(self):
        """Do nothing."""


@EVERY
@PLACES
@pytest.mark.parametrize("update_freq", ["batch", 2])
def test_tensorboard(case, first, update_freq, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, update_freq=update_freq, write_graph=False)
    board._summary_module = summary = Scalars()
    _, rates, _ = fit(case, first, board)
    last = rates[BATCHES - 1 :: BATCHES]
    np.testing.assert_allclose(summary.shown["epoch_learning_rate"], last, rtol=2e-6)
    # Keras 3.10 shows every batch, whatever the frequency.
    shown = rates if len(summary.shown["batch_loss"]) == len(rates) else rates[1::2]
    np.testing.assert_allclose(summary.shown["batch_learning_rate"], shown, rtol=2e-6)
    assert "_collect_learning_rate" not in vars(board)


class Asking(keras.callbacks.Callback):
    """Asks the optimizer for its rate as `wandb.integration.keras.WandbMetricsLogger` does."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs = [], []

    def _get_lr(self):
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append({**logs, "learning_rate": self._get_lr()}["learning_rate"])

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append({**logs, "learning_rate": self._get_lr()}["learning_rate"])


@EVERY
@PLACES
def test_wandb(case, first):
    logger = Asking()
    _, rates, _ = fit(case, first, logger)
    np.testing.assert_allclose(logger.batches, rates, rtol=2e-6)
    np.testing.assert_allclose(logger.epochs, rates[BATCHES - 1 :: BATCHES], rtol=2e-6)
    assert "_get_lr" not in vars(logger)


@pytest.mark.parametrize("make", [plateau, klr.LRScheduler], ids=["plateau", "scheduler"])
def test_several_steps_at_once(make):
    logger = Everything()
    model = displacement(klr.optimizers.SGD(lr=0.1, decay=0.1), spe=SEVERAL)
    x = np.ones((8 * BATCHES, 1), "float32")
    model.fit(x, x, 8, 2, callbacks=[logger, make()], verbose=0)
    rates = 0.1 / (1 + 0.1 * np.arange(2 * BATCHES))
    np.testing.assert_allclose(
        [one["learning_rate"] for one in logger.batches], rates[SEVERAL - 1 :: SEVERAL]
    )
    np.testing.assert_allclose(-model.get_weights()[0].item(), np.sum(rates), rtol=1e-5)


@pytest.mark.needs("optimizers.MultiOptimizer")
@PLACES
@pytest.mark.parametrize("make", [plateau, klr.LRScheduler], ids=["plateau", "scheduler"])
def test_several_optimizers(make, first, tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    optimizers = [sgd(0.01, name="slow"), klr.optimizers.SGD(lr=0.1, decay=1.0, name="fast")]
    last = model.layers[-1].variables
    model.compile(
        keras.optimizers.MultiOptimizer(
            lambda weight: optimizers[any(weight is one for one in last)]
        ),
        "mse",
    )
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    board._summary_module = summary = Scalars()
    callbacks = [board, make()] if first else [make(), board]
    history = model.fit(np.ones((8, 1)), np.ones((8, 1)), 4, callbacks=callbacks, verbose=0).history
    expected = {"learning_rate_slow": 0.01, "learning_rate_fast": 0.05, "learning_rate": 0.05}
    for name, rate in expected.items():
        np.testing.assert_allclose(history[name], [rate], rtol=1e-6)
        np.testing.assert_allclose(summary.shown[f"epoch_{name}"], [rate], rtol=1e-6)
