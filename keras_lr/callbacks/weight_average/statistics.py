"""The data from which the statistics of BatchNorm layers are taken at the end of a fit."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from keras_lr._engine.averages.batch_norm import batch_norm_layers, recompute_batch_norm_alone
from keras_lr._keras.data import numpy_batches
from keras_lr._keras.fit_data import fit_batches
from keras_lr.callbacks.weight_average.averaging import OWNER
from keras_lr.errors import check_integer, complaint


def check_batch_norm(batch_norm: Any) -> None:
    """Raise if it is neither data nor a number of batches; `True` is none."""
    if isinstance(batch_norm, str | bytes | complex | float | np.floating):
        rule = "batch_norm must be data, a number of batches, None or False"
        fix = "Pass one of these"
        raise TypeError(complaint(OWNER, rule, fix, batch_norm=batch_norm))
    if isinstance(batch_norm, int | np.integer) and batch_norm is not False:
        fix = "Pass how many of the fit's batches to use, or data, or False"
        check_integer(OWNER, fix, at_least=1, batch_norm=batch_norm)


class StatisticsData:
    """What statistics are to be taken from.

    Args:
        batch_norm: Data as `fit` takes it, or how many of the fit's own batches; None for one epoch
            of these.
        model: The model in `fit`.

    Raises:
        ValueError: If the model has BatchNorm layers and the fit's own data can be read only once.
    """

    def __init__(self, batch_norm: Any, model: Any) -> None:
        self._given = batch_norm
        self._model = model
        if not self._is_given and batch_norm_layers(model) and self._own_batches() is None:
            rule = "BatchNorm statistics need data that can be read once more after the training"
            fix = "Pass batch_norm=x, or batch_norm=False to average the statistics too"
            raise ValueError(complaint(OWNER, rule, fix, batch_norm=batch_norm))

    def recompute(self) -> None:
        """Take the statistics of the model's present weights, if it has any."""
        if not batch_norm_layers(self._model):
            return
        own = self._own_batches()
        if self._is_given:
            batches = numpy_batches(self._given)
        elif own is not None:
            batches = islice(own(), self._given)
        else:
            return  # layers that have been unfrozen since
        recompute_batch_norm_alone(self._model, batches)

    @property
    def _is_given(self) -> bool:
        return self._given is not None and not isinstance(self._given, int | np.integer)

    def _own_batches(self) -> Callable[[], Iterator[Any]] | None:
        return fit_batches(self._model)
