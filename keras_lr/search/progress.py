"""Progress of a search, in the form that `fit` shows its own."""

from typing import Literal

import keras

from keras_lr.errors import check_choice

Verbosity = Literal["auto", 0, 1, 2]


def check_verbose(owner: str, verbose: object) -> None:
    """Raise unless `verbose` is one of Keras' values."""
    check_choice(owner, ("auto", 0, 1, 2), verbose=verbose)


class Progress:
    """Keras' progress bar over the steps of a search.

    Args:
        steps: Number of steps the search may take at most.
        verbose: 0 is silent, 1 a bar, 2 one line at the end, `"auto"` a bar: as in `fit`.
    """

    def __init__(self, steps: int, verbose: Verbosity) -> None:
        self._steps = steps
        self._bar = None
        if verbose:
            self._bar = keras.utils.Progbar(
                steps,
                verbose=1 if verbose == "auto" else verbose,
                stateful_metrics=["loss", "learning_rate"],
                unit_name="step",
            )
        self._done = 0

    def update(self, done: int, **values: float) -> None:
        """Show that `done` steps are done, and the present values."""
        self._done = done
        if self._bar:
            self._bar.update(done, list(values.items()), finalize=False)

    def finish(self) -> None:
        """End the line, wherever the search stopped."""
        if self._bar:
            self._bar.target = max(self._done, 1)
            self._bar.update(self._done, finalize=True)
