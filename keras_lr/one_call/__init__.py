"""Training in one call: a search, a schedule and averages, for the work of one `fit`."""

from keras_lr.one_call.fine_tune import FineTuneResult, fine_tune
from keras_lr.one_call.fit import fit
from keras_lr.one_call.result import FitResult

__all__ = ["FineTuneResult", "FitResult", "fine_tune", "fit"]
