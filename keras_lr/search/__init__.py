"""Option 1, the compromise: searches that look for a fixed learning rate and leave no trace."""

from keras_lr.search.adam_tune_result import AdamTuneResult
from keras_lr.search.curve import SuggestionError
from keras_lr.search.find import lr_find
from keras_lr.search.range_test import LRRangeTest
from keras_lr.search.result import RangeTestResult
from keras_lr.search.sweep import lr_sweep
from keras_lr.search.sweep_result import SweepResult
from keras_lr.search.tune import tune_lr
from keras_lr.search.tune_adam import tune_adam
from keras_lr.search.tune_result import TuneResult

__all__ = [
    "AdamTuneResult",
    "LRRangeTest",
    "RangeTestResult",
    "SuggestionError",
    "SweepResult",
    "TuneResult",
    "lr_find",
    "lr_sweep",
    "tune_adam",
    "tune_lr",
]
