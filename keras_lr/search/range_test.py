"""The learning-rate range test: `LRRangeTest` for a running `fit`, `lr_find` in one call."""

import operator
import warnings
from collections.abc import Sequence
from types import GeneratorType, TracebackType
from typing import Any, Literal

import keras

from keras_lr._checks import check_integer, complaint
from keras_lr._keras.data import is_arrays, numpy_batches, pick_samples
from keras_lr._keras.evaluation import Batch
from keras_lr._keras.learning_rate import accumulation_steps
from keras_lr._keras.state import fit_attributes_kept
from keras_lr.search.progress import Verbosity
from keras_lr.search.range_sweep import RangeSweep, RangeTestSettings
from keras_lr.search.result import RangeTestResult

PROBE_SEED = 0


class LRRangeTest(keras.callbacks.Callback):  # type: ignore[misc]
    r"""Learning-rate range test: raise the rate step by step, watch the loss, put all back.

    Update $t = 0 \dots n - 1$ of the sweep is made with

    $$\eta_t = \eta_{min} (\eta_{max} / \eta_{min})^{t / (n - 1)},$$

    or, with `spacing="linear"`, at equal distances. The loss recorded with it is the exact loss of
    that update's batch, before the update, not Keras' running mean. The sweep ends itself and the
    `fit` it runs in: after `steps` updates, or as soon as the smoothed loss exceeds `stop_factor`
    times its best or is not finite. It may span several epochs or a part of one. Under gradient
    accumulation a step is an update, its loss the mean over the update's batches.

    Weights, batch-norm statistics, optimizer (slots, iterations, learning rate, schedule), random
    states and compiled functions are then as they were: training goes on bit for bit as if there
    had been no sweep. That holds too when another callback stops the fit, and when an exception or
    Ctrl-C strikes during a training step. Keras tells callbacks nothing of exceptions elsewhere
    (in the data, in another callback). To be safe from those, run `fit` inside the callback's
    context, or call `restore()` afterwards:

        with LRRangeTest() as finder:
            model.fit(x, y, callbacks=[finder])

    An optimizer built with a schedule is swept as if it had a plain learning rate; this compiles
    the training step once for the sweep. Of a `MultiOptimizer` the largest learning rate is swept
    and the others keep their proportion to it.

    Args:
        min_lr: Learning rate of the first update; positive.
        max_lr: Learning rate of the last update; above `min_lr`. The default is far beyond where
            any optimizer diverges; the stop rule keeps the sweep from going there in vain.
        steps: Number of updates, at least 2. 100 are enough for a scale; rules read 300 better.
        spacing: `"exponential"` or `"linear"`.
        smoothing: Factor $\beta$ of the smoothed loss that the stop rule watches, in [0, 1).
        stop_factor: The sweep has diverged when the smoothed loss exceeds this multiple of its
            best; above 1, None to stop only where the loss is not finite.
        repeats: Run the sweep so many times, each from the same weights on the batches that come
            next; the result holds median and spread.
        probe: A batch `(x, y)` or `(x, y, sample_weight)` whose loss is taken after every update,
            in training mode but without side effects. It frees the record from the noise between
            batches for one more forward pass a step.
        validation_data: Data for the validation loss, as `Model.fit` takes it.
        validation_every_steps: Take the validation loss after every so many updates.
        verbose: 0, 1, 2 or `"auto"`: a progress bar of the sweep's own. Off by default, since
            `fit` shows one.

    Attributes:
        result: The `RangeTestResult`; None until the sweep has made two updates.

    Raises:
        ValueError: At construction if a value is out of range. In `fit` if the loss of the first
            step is not finite, if `train_step` reports no loss, or if another callback of this
            library drives the learning rate.
        TypeError: If a number is not a number.

    Example:
        >>> import keras, numpy as np
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
        probe: Sequence[Any] | None = None,
        validation_data: Any = None,
        validation_every_steps: int = 10,
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
            verbose=verbose,
        )
        self._probe = None if probe is None else _as_batch(probe)
        self._validation_data = validation_data
        self._sweep: RangeSweep | None = None
        self._updates_before_epoch = 0
        self.result: RangeTestResult | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin the sweep. Called by `fit`."""
        self.restore()
        self.result = None
        validation = None
        if self._validation_data is not None:
            validation = list(numpy_batches(*_unpacked(self._validation_data)))
        self._sweep = RangeSweep(self.model, self._settings, self._probe, validation)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note where the epoch starts. Called by `fit`."""
        self._updates_before_epoch = self._sweep.updates if self._sweep else 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop a fit whose data has run out. Called by `fit`."""
        if self._sweep and self._sweep.updates == self._updates_before_epoch:
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
            warnings.warn(message, stacklevel=2)

    def restore(self) -> None:
        """Put the model back as it was before the sweep.

        Does nothing where this has been done already, which is so after every `fit` that ended by
        itself.
        """
        if self._sweep is not None:
            self._sweep.restore()
            self.result = self._sweep.result()
            self._sweep = None

    def __enter__(self) -> "LRRangeTest":
        """Return the callback itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the model back, whatever happened."""
        self.restore()


def lr_find(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    min_lr: float = 1e-6,
    max_lr: float = 100.0,
    steps: int = 100,
    spacing: Literal["exponential", "linear"] = "exponential",
    smoothing: float = 0.98,
    stop_factor: float | None = 4.0,
    repeats: int = 1,
    probe: int | Sequence[Any] | None = None,
    validation_data: Any = None,
    validation_every_steps: int = 10,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    verbose: Verbosity = "auto",
) -> RangeTestResult:
    """Run a learning-rate range test on a compiled model and leave no trace of it.

    The sweep is that of `LRRangeTest`, which says how it works. Its cost is `steps * repeats`
    training steps at most. Model, optimizer, random states and compiled functions are as before,
    whether the call returns, raises or is interrupted; the next `fit` compiles nothing again.

    Args:
        model: A compiled model; an unbuilt one is built as `fit` would.
        x: Training data, as `Model.fit` takes it: arrays, dicts or lists of them, `tf.data`,
            `PyDataset`, generator, torch `DataLoader`. Taken over as many epochs as the sweep
            needs.
        y: Targets, as `Model.fit` takes them.
        batch_size: Samples per step for arrays; None for Keras' 32. Use the one you will train
            with.
        min_lr: See `LRRangeTest`.
        max_lr: See `LRRangeTest`.
        steps: See `LRRangeTest`.
        spacing: See `LRRangeTest`.
        smoothing: See `LRRangeTest`.
        stop_factor: See `LRRangeTest`.
        repeats: See `LRRangeTest`.
        probe: As in `LRRangeTest`, or a number of training samples to make the probe of: drawn at
            random from arrays, the first ones of other sources.
        validation_data: See `LRRangeTest`.
        validation_every_steps: See `LRRangeTest`.
        sample_weight: As `Model.fit` takes it.
        class_weight: As `Model.fit` takes it.
        shuffle: As `Model.fit` takes it.
        steps_per_epoch: As `Model.fit` takes it.
        verbose: `"auto"` or 1 shows a progress bar, 2 one line at the end, 0 nothing.

    Returns:
        A `RangeTestResult`.

    Raises:
        ValueError: If the model is not compiled, the data is empty or ends before the sweep does,
            or for what `LRRangeTest` raises.
        TypeError: If `model` is no Keras model, or a number is not a number.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(256, 4))
        >>> result = lr_find(model, x, x.sum(axis=1, keepdims=True), verbose=0)
        >>> 1e-3 < result.suggest() < 1.0
        True

    Reference:
        Smith 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3
        (arXiv:1506.01186).
    """
    _check_model(model)
    _check_data(x)
    if isinstance(probe, int):
        probe = _probe_batch(x, y, sample_weight, class_weight, probe)
    finder = LRRangeTest(
        min_lr,
        max_lr,
        steps,
        spacing=spacing,
        smoothing=smoothing,
        stop_factor=stop_factor,
        repeats=repeats,
        probe=probe,
        validation_data=validation_data,
        validation_every_steps=validation_every_steps,
        verbose=verbose,
    )
    epochs = steps * repeats * accumulation_steps(model) + 1
    if isinstance(x, GeneratorType):
        # In every further epoch Keras would give its first two batches again.
        epochs, steps_per_epoch = 1, None
    with fit_attributes_kept(model), finder, warnings.catch_warnings():
        # The sweep takes as many epochs as it needs; where that is too much for the data, an error
        # says so below.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        warnings.filterwarnings("ignore", message="LRRangeTest: the fit must be long enough")
        model.fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
            callbacks=[finder],
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            steps_per_epoch=steps_per_epoch,
        )
    result = finder.result
    if result is None or result.stop_reason.startswith("interrupted"):
        made = 0 if result is None else len(result.losses)
        rule = "the data must last for the whole sweep"
        fix = "Pass arrays or a dataset that can be gone through again, or lower steps"
        raise ValueError(complaint("lr_find", rule, fix, steps=steps, steps_made=made))
    return result


def _check_model(model: Any) -> None:
    fix = "Pass a keras.Model, and call model.compile(...) first"
    if not isinstance(model, keras.Model):
        raise TypeError(complaint("lr_find", "model must be a Keras model", fix, model=type(model)))
    if not model.compiled:
        raise ValueError(complaint("lr_find", "the model must be compiled", fix, model=model.name))


def _check_data(x: Any) -> None:
    leaves = keras.tree.flatten(x) if x is not None and is_arrays(x) else [x]
    if x is None or any(operator.length_hint(leaf, 1) == 0 for leaf in leaves):
        rule = "x must hold at least one batch"
        raise ValueError(complaint("lr_find", rule, "Pass the data to train on", x=_summary(x)))


def _summary(x: Any) -> object:
    if x is None or not is_arrays(x):
        return x
    return keras.tree.map_structure(lambda leaf: f"array of shape {leaf.shape}", x)


def _probe_batch(x: Any, y: Any, sample_weight: Any, class_weight: Any, size: int) -> Batch:
    fix = "Pass probe=(x, y), a batch of your own"
    check_integer("lr_find", fix, at_least=1, probe=size)
    if isinstance(x, GeneratorType):
        rule = "a probe cannot be taken from a generator without losing its data"
        raise ValueError(complaint("lr_find", rule, fix, probe=size))
    return pick_samples(x, y, sample_weight, size=size, seed=PROBE_SEED, class_weight=class_weight)


def _as_batch(probe: Any) -> Batch:
    if not isinstance(probe, tuple | list) or not 2 <= len(probe) <= 3:
        rule = "probe must be (x, y) or (x, y, sample_weight)"
        fix = "Pass one batch of training data"
        raise TypeError(complaint("LRRangeTest", rule, fix, probe=type(probe)))
    return (*probe, None)[:3]


def _unpacked(data: Any) -> tuple[Any, ...]:
    return tuple(data) if isinstance(data, tuple | list) else (data,)
