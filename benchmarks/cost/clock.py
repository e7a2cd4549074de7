"""Time of a fit beside that of another one, turn about in one process."""

import statistics
import time

import keras


class Clock(keras.callbacks.Callback):
    """Takes the time when it is told that training begins and ends.

    What comes after is left out: tf.data now and then lets go of an iterator only when its
    autotuning wakes up, and a fit of half a second then takes 1.3 seconds.
    """

    def on_train_begin(self, logs=None):
        """Take the time."""
        self.began = time.perf_counter()

    def on_train_end(self, logs=None):
        """Take the time."""
        self.ended = time.perf_counter()


class NoOp(keras.callbacks.Callback):
    """Does nothing, after every batch."""

    def on_train_batch_end(self, batch, logs=None):
        """Do nothing."""


class AssignPerBatch(keras.callbacks.Callback):
    """What users write: set the optimizer's learning rate before every batch."""

    def __init__(self, schedule):
        super().__init__()
        self.values = schedule.values(range(schedule.steps)).tolist()

    def on_train_batch_begin(self, batch, logs=None):
        """Set it."""
        self.model.optimizer.learning_rate = self.values[batch]

    def on_train_batch_end(self, batch, logs=None):
        """Do nothing, as the no-op does."""


def fit_seconds(model, x, y, callback):
    """Return how long an epoch takes, with all that the callback does before and after it."""
    first, last = Clock(), Clock()
    model.fit(x, y, batch_size=32, shuffle=False, verbose=0, callbacks=[first, callback, last])
    return last.ended - first.began


def seconds(run):
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratios_beside(base, others, repeats):
    """Return the quartiles of each time over that of `base`, taken before and after it.

    Args:
        base: Returns the seconds of what to compare with.
        others: Functions that do so, by name.
        repeats: How often.

    Returns:
        The quartiles by name, and the median of the base's own times.
    """
    ratios, own = {name: [] for name in others}, []
    for _ in range(repeats):
        for name, timed in others.items():
            before, with_it, after = base(), timed(), base()
            ratios[name].append(2 * with_it / (before + after))
            own += [before, after]
    quartiles = {name: statistics.quantiles(values, n=4) for name, values in ratios.items()}
    return quartiles, statistics.median(own)


def one_thread():
    """Let torch use one thread: with two on a busy machine a step takes up to 60 times as long."""
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
