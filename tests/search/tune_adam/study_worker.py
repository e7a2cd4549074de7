"""One of several processes that tune the same model: `python study_worker.py STORAGE TRIALS`."""

import sys
import time

import numpy as np
import optuna
from support.tiny import JIT, regression

if __name__ == "__main__":
    import keras

    from keras_lr._engine.trials import Trials
    from keras_lr.search.tune_adam import study as study
    from keras_lr.search.tune_adam.tune import tune_adam

    storage, count = sys.argv[1], int(sys.argv[2])
    if storage.endswith(".log"):
        backend = optuna.storages.journal.JournalFileBackend(storage)
        storage = optuna.storages.JournalStorage(backend)
    study.HEARTBEAT_SECONDS, study.GRACE_SECONDS, study.LOOK_SECONDS = 0.3, 6.0, 0.2
    make_step = Trials.step

    def slow_step(self, batch, learning_rate):
        time.sleep(0.03)
        return make_step(self, batch, learning_rate)

    Trials.step = slow_step
    x, y = regression(samples=64)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=JIT)
    options = {"lr": (1e-3, 1e-1), "pruner": None, "repeats": 2, "verbose": 0}
    best = tune_adam(
        model, x, y, 3, (x, y), batch_size=8, n_trials=count, storage=storage, **options
    )
    print(best.lr, np.isfinite(best.loss))
