"""`SwapScheduleFreeWeights`: use a Schedule-Free model at its averaged weights."""

from typing import Any

from keras_lr._engine.averages.schedule_free import ScheduleFreeWeights, schedule_free
from keras_lr._engine.averages.view import AveragedView, view_of
from keras_lr._engine.callback import FitCallback
from keras_lr.errors import check_bool, complaint


class SwapScheduleFreeWeights(FitCallback):
    r"""Put the averaged weights of `ScheduleFreeAdamW` in wherever a model is looked at.

    Schedule-Free training takes gradients at $y = (1 - \beta) z + \beta x$, and the model it yields
    is the average $x$. Keras leaves $y$ in the model. With this callback, in `fit`,

    - validation, `evaluate` and `predict` in other callbacks, also of a single batch,
    - whatever is saved or copied: `ModelCheckpoint`, `BackupAndRestore`, `EarlyStopping`,
    - and the model that `fit` leaves behind

    have $x$, also with `use_ema=True`; the training steps have $y$, to the bit the same as without
    the callback, and so have a direct call of the model and a look at its variables. Its place
    in the list of callbacks does not matter, except that an `LRRangeTest` goes before it. After an
    exception the model has $y$, as without the callback.

    A model trained with this callback therefore holds $x$ outside of training. To go on training
    it, also after loading it, pass the callback again: it puts $y$ back in first. $\beta$ is
    `beta_1` of the last step, also where another callback drives it; but no file holds that value,
    and a model loaded from one gets $y$ by its optimizer's own `beta_1`. (Driving it, as `OneCycle`
    does, itself moves the average a little: with each new value Keras reads $x$ from a $y$ that was
    made with the value before.) Statistics of BatchNorm layers stay those gathered at $y$.

    Args:
        averaged_at_start: Whether a model that has been trained and then loaded holds $x$. False
            is for one that was trained without this callback. In the process in which it was
            trained this is known.

    Raises:
        TypeError: If `averaged_at_start` is not a bool.
        ValueError: In `fit` if the optimizer is not `ScheduleFreeAdamW`, or there are two of these
            callbacks.

    Example:
        >>> import keras, numpy as np
        >>> from keras_lr import SwapScheduleFreeWeights
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.ScheduleFreeAdamW(0.1), "mse")
        >>> x = np.ones((32, 4))
        >>> swap = SwapScheduleFreeWeights()
        >>> history = model.fit(
        ...     x, x[:, :1], validation_data=(x, x[:, :1]), callbacks=[swap], verbose=0
        ... )
        >>> after = model.evaluate(x, x[:, :1], verbose=0)
        >>> bool(np.isclose(history.history["val_loss"][-1], after))
        True

    Reference:
        Defazio et al. 2024, arXiv 2405.15682.
    """

    def __init__(self, *, averaged_at_start: bool = True) -> None:
        super().__init__()
        check_bool("SwapScheduleFreeWeights", averaged_at_start=averaged_at_start)
        self._averaged_at_start = averaged_at_start
        self._weights: ScheduleFreeWeights | None = None
        self._view: AveragedView | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Put the training weights in. Called by `fit`."""
        model = self.model
        self._weights = schedule_free(model)
        if self._weights is None:
            rule = "the optimizer must be Schedule-Free"
            fix = "Compile with keras.optimizers.ScheduleFreeAdamW, or leave the callback out"
            name = type(model.optimizer).__name__
            raise ValueError(complaint("SwapScheduleFreeWeights", rule, fix, optimizer=name))
        present = view_of(model)
        if present is not None and present.is_current:
            rule = "one of them is enough in a fit: two would swap the weights twice"
            received = {"callbacks": "two SwapScheduleFreeWeights"}
            fix = "Leave one of them out"
            raise ValueError(complaint("SwapScheduleFreeWeights", rule, fix, **received))
        averaged = self._weights.averaged
        if averaged is None:
            averaged = self._averaged_at_start
        if averaged and self._weights.updates > 0:
            self._weights.to_training()
        self._weights.averaged = False
        spared = self._weights.spared(model.optimizer)
        self._view = AveragedView(model, self._weights, lambda: self.model, [spared])

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """See whether another callback drives `beta_1`. Called by `fit`."""
        if self._weights is not None:
            self._weights.look_at_betas()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the averaged weights in the model. Called by `fit`."""
        if self._view is None or self._weights is None:
            return
        self._view.remove()
        self._view = None
        self._weights.to_average()
        self._weights.averaged = True
