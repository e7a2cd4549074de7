"""Option 1, the compromise: searches that look for a fixed learning rate and leave no trace."""

from keras_lr.search.range_test.callback import LRRangeTest
from keras_lr.search.range_test.curve import SuggestionError
from keras_lr.search.range_test.find import lr_find
from keras_lr.search.range_test.result import RangeTestResult
from keras_lr.search.sweep.result import SweepResult
from keras_lr.search.sweep.sweep import lr_sweep
from keras_lr.search.tune.result import TuneResult
from keras_lr.search.tune.tune import tune_lr
from keras_lr.search.tune_adam.result import AdamTuneResult
from keras_lr.search.tune_adam.tune import tune_adam

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
