"""Every search of the library in its shortest form, and searches cut short."""

from keras_lr import lr_find, lr_sweep, tune_adam, tune_lr
from keras_lr._engine.trials import Trials
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


def interrupted_after(steps, monkeypatch):
    """Let the trials of a search raise KeyboardInterrupt after so many steps in all."""
    step, made = Trials.step, []

    def interrupted(self, batch, learning_rate):
        made.append(learning_rate)
        if len(made) > steps:
            raise KeyboardInterrupt
        return step(self, batch, learning_rate)

    monkeypatch.setattr(Trials, "step", interrupted)
