"""The learning-rate range test inside a running `fit`."""

from typing import Any, Literal

from keras_lr._engine.batch_loss import Monitor
from keras_lr._engine.restoring import RestoringCallback
from keras_lr._keras.random import random_state_kept
from keras_lr._keras.running_fit import running_fit
from keras_lr._warnings import warn
from keras_lr.errors import complaint
from keras_lr.search.feeding import validation_batches, with_validation
from keras_lr.search.probe import check_probe, drawn_probe
from keras_lr.search.progress import Verbosity
from keras_lr.search.range_test.result import RangeTestResult
from keras_lr.search.range_test.settings import RangeTestSettings
from keras_lr.search.range_test.sweep import RangeSweep

_OWNER = "LRRangeTest"


class LRRangeTest(RestoringCallback):
    r"""Learning-rate range test: raise the rate step by step, watch the loss, restore everything.

    Update $t = 0 \dots n - 1$ of the sweep is made with

    $$\eta_t = \eta_{min} (\eta_{max} / \eta_{min})^{t / (n - 1)},$$

    or, with `spacing="linear"`, at equal distances. The loss recorded with it is the exact loss of
    that update's batch, before the update, not Keras' running mean. The sweep ends itself and the
    `fit` it runs in: after `steps` updates, or as soon as the smoothed loss exceeds `stop_factor`
    times its best and the last losses stay above that too, or the loss is not finite. The losses of
    single batches vary, by far where some hold a rare class: those from which the loss has come
    back end nothing. With a probe it is the probe's loss that ends the sweep. It may span several
    epochs or a part of one. Under gradient accumulation a step is an update, its loss the mean over
    the update's batches.

    Weights, batch-norm statistics, optimizer (slots, iterations, learning rate, schedule), random
    states and compiled functions are then as they were: training goes on bit for bit as if there
    had been no sweep, on data that begins again with each `fit`. That holds too when another
    callback stops the fit, and when an exception or Ctrl-C ends it, in a training step, the data,
    the validation or another callback; `result` is then the curve so far. The model has been put
    back by the time the exception leaves `fit`: nothing that you do afterwards is undone. Only
    where nobody can see the end, in a loop of your own over `train_on_batch` that is left without
    `on_train_end`, is it put back later, when the next `fit` begins, except for what has been
    changed since, which a warning names. Run such a loop inside the callback's context:

        with LRRangeTest() as finder:
            ...

    A callback that puts weights of its own in at the end of a fit, as `EarlyStopping` does with
    `restore_best_weights`, would put in those of the sweep: leave it to the next `fit`.

    An optimizer built with a schedule is swept as if it had a plain learning rate; this compiles
    the training step once for the sweep. Of a `MultiOptimizer` the largest learning rate is swept
    and the others keep their proportion to it.

    Args:
        min_lr: Learning rate of the first update; positive.
        max_lr: Learning rate of the last update; above `min_lr`. The default is far beyond where
            any optimizer diverges; the stop rule ends the sweep long before.
        steps: Number of updates, at least 2. 100 give the order of magnitude; 300 make suggestions
            more reliable.
        spacing: `"exponential"` or `"linear"`.
        smoothing: Factor $\beta$ of the smoothed loss that the stop rule watches, in [0, 1).
        stop_factor: The sweep has diverged when the smoothed loss exceeds this multiple of its
            best, and so do the last three losses or more; above 1, None to stop only where the loss
            is not finite.
        repeats: Run the sweep so many times, each from the same weights on the batches that come
            next; the result holds median and spread.
        probe: Training data whose loss is taken after every update: a batch `(x, y)` or
            `(x, y, sample_weight)`, a list of batches, a number of samples to draw from the data of
            the fit in whole batches, or `"auto"` for about 256 in 8 batches at most. It is taken
            in training mode but without side effects: the loss given to `compile`, even if
            `train_step` has another. This removes batch-to-batch noise at the
            cost of one extra forward pass per step.
        validation_data: Data for the validation loss, as `Model.fit` takes it; finite, and held in
            memory while the sweep runs.
        validation_batch_size: As `Model.fit` takes it; None for the batch size of the fit.
        validation_steps: As `Model.fit` takes it.
        validation_every_steps: Take the validation loss after every so many updates.
        monitor: What to watch instead of the loss: a name in the logs of the training step, such as
            `"d_loss"`, or a function of these logs, a dict of floats. Smaller is better.
        verbose: 0, 1, 2 or `"auto"`: a progress bar of the sweep's own. Off by default, since
            `fit` shows one.

    Attributes:
        result: The `RangeTestResult`; None until the fit ends or `restore()` is called, and after a
            sweep of fewer than two updates.

    Raises:
        ValueError: At construction if a value is out of range. In `fit` if every weight is frozen,
            if `train_step` does not use the compiled optimizer or reports no loss, if the loss of
            the first step is not finite, or if another callback of this
            library drives the learning rate.
        TypeError: If a number is not a number, or `validation_data` is a generator.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import LRRangeTest
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 4))
        >>> finder = LRRangeTest(steps=50)
        >>> _ = model.fit(x, x.sum(axis=1, keepdims=True), epochs=10, callbacks=[finder], verbose=0)
        >>> finder.result.stop_reason.split(" (")[0]
        'diverged'

    Reference:
        Smith 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3
        (arXiv:1506.01186).
    """

    results = ("_result",)

    def __init__(
        self,
        min_lr: float = 1e-6,
        max_lr: float = 100.0,
        steps: int = 100,
        *,
        spacing: Literal["exponential", "linear"] = "exponential",
        smoothing: float = 0.98,
        stop_factor: float | None = 4.0,
        repeats: int = 1,
        probe: Any = None,
        validation_data: Any = None,
        validation_batch_size: int | None = None,
        validation_steps: int | None = None,
        validation_every_steps: int = 10,
        monitor: Monitor | None = None,
        verbose: Verbosity = 0,
    ) -> None:
        super().__init__()
        self._settings = RangeTestSettings(
            min_lr=min_lr,
            max_lr=max_lr,
            steps=steps,
            spacing=spacing,
            smoothing=smoothing,
            stop_factor=stop_factor,
            repeats=repeats,
            validation_every_steps=validation_every_steps,
            monitor=monitor,
            verbose=verbose,
        )
        check_probe(_OWNER, probe)
        self._probe = probe
        _, self._validation = with_validation(
            _OWNER,
            (None, None, None),
            validation_data,
            validation_batch_size=validation_batch_size,
            steps=validation_steps,
        )
        self._sweep: RangeSweep | None = None
        self._batches_before_epoch = 0
        self._result: RangeTestResult | None = None

    @property
    def result(self) -> RangeTestResult | None:
        """What was found; None until the fit ends, and after a sweep of fewer than two updates."""
        if self._sweep is not None and self._sweep.is_over:  # an exception has ended it
            self._result, self._sweep = self._sweep.result(), None
        return self._result

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin the sweep. Called by `fit`."""
        if self._sweep is not None:  # of a fit that was cut off
            self._sweep.on_fit_over()
        self._sweep = self._result = None
        # What the running fit has made of its data; there is none in a loop of the user's own.
        adapter = getattr(running_fit(self.model), "data_adapter", None)
        with random_state_kept():  # data may draw random numbers as it is read
            probe = drawn_probe(_OWNER, self._probe, adapter)
            validation = validation_batches(_OWNER, self._validation, adapter)
        self._sweep = RangeSweep(self.model, self._settings, probe, validation)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note where the epoch starts. Called by `fit`."""
        self._batches_before_epoch = self._sweep.batches if self._sweep else 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop a fit whose data has run out. Called by `fit`."""
        if self._sweep and self._sweep.batches == self._batches_before_epoch:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Put everything back and make the result. Called by `fit`."""
        sweep = self._sweep
        if sweep is None:
            return
        completed = sweep.done
        self.restore()
        sweep.finish()
        self.model.stop_training = False
        if not completed:
            rule = "the fit must be long enough for the sweep"
            fix = "Raise epochs, or lower steps"
            message = complaint("LRRangeTest", rule, fix, steps_made=sweep.updates)
            warn(message)

    def restore(self) -> None:
        """Put the model back as it was before the sweep.

        Does nothing where this has been done already, which is so after every `fit` that ended by
        itself or by an exception: what you have done since stays.
        """
        if self._sweep is not None:
            self._sweep.restore()
            self._result, self._sweep = self._sweep.result(), None
