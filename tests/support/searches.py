"""Every search of the library in its shortest form, by name, for what holds of all of them."""

from keras_lr import lr_find, lr_sweep, tune_adam, tune_lr
from support.tiny import regression

X, Y = regression(samples=128)
SEARCHES = {
    "lr_find": lambda model, x=X, y=Y, verbose=0: lr_find(
        model, x, y, steps=6, max_lr=0.1, verbose=verbose
    ),
    "lr_sweep": lambda model, x=X, y=Y, verbose=0: lr_sweep(
        model, x, y, [1e-3, 1e-2], 3, verbose=verbose
    ),
    "tune_lr": lambda model, x=X, y=Y, verbose=0: tune_lr(
        model, x, y, steps=60, max_cost=80, verbose=verbose
    ),
    "tune_adam": lambda model, x=X, y=Y, verbose=0: tune_adam(
        model, x, y, steps=6, validation_data=(X, Y), n_trials=2, repeats=1, lr=(0.01, 0.1),
        verbose=verbose,
    ),
}  # fmt: skip
