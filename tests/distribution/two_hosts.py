"""The script of `test_two_hosts`: one of two processes that train one model together (JAX).

`python two_hosts.py PROCESS PORT` prints a JSON object: by case, what came out alone, where the
process has all rows, and together, where each has every second one.
"""

import json
import sys

import keras
import numpy as np

SAME_ROWS = [  # those that do not shuffle
    "lr_find",
    "LRRangeTest",
    "plateau by the epoch",
    "plateau by the step",
    "rescue",
    "schedule",
    "restarts",
    "average",
    "own metric",
]
OTHERS = ["lr_find with a probe", "lr_sweep", "tune_lr", "fit"]


def main(process):
    """Return what one process finds."""
    from distribution import cases

    import keras_lr as klr

    def numbers(names):
        return {each: np.ravel(cases.CASES[each]()).astype(float).tolist() for each in names}

    alone = numbers(SAME_ROWS)
    cases.SPLIT.update(own=slice(process, None, 2), batch=cases.BATCH // 2, rank=process)
    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        together = numbers([*SAME_ROWS, *OTHERS])
        try:
            klr.tune_adam(cases.made(), **cases.feeding(), epochs=1, n_trials=1)
            refused = ""
        except ValueError as error:
            refused = str(error)
    return {"alone": alone, "together": together, "tune_adam": refused}


if __name__ == "__main__":
    keras.distribution.initialize(f"127.0.0.1:{sys.argv[2]}", 2, int(sys.argv[1]))
    print(json.dumps(main(int(sys.argv[1]))))
