"""What ReduceOnPlateauPlus does not take, and what it says."""

import numpy as np
import pytest
from support.plateau import Scripted, fit, make_model, scripted

from keras_lr.callbacks.plateau import ReduceOnPlateauPlus


def test_what_is_of_the_wrong_kind_is_named():
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: min_delta must be a number"):
        ReduceOnPlateauPlus(min_delta="x")
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: monitor must be a name"):
        ReduceOnPlateauPlus(5)
    for names in (5, ["a", 5]):
        with pytest.raises(TypeError, match="ReduceOnPlateauPlus: optimizers must be names"):
            ReduceOnPlateauPlus(optimizers=names)
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: a state must be what get_state"):
        ReduceOnPlateauPlus().set_state(5)
    with pytest.raises(ValueError, match=r"what get_state returned\. Received: missing="):
        ReduceOnPlateauPlus().set_state({})
    for path in (3, b"folder", ["folder"]):
        with pytest.raises(TypeError, match="ReduceOnPlateauPlus: backup_dir must be a path"):
            ReduceOnPlateauPlus(backup_dir=path)
    for name in ("restart", "restore_best_weights", "restore_optimizer", "reset", "strict"):
        for value in ("no", 1, None):
            with pytest.raises(TypeError, match=f"Plus: {name} must be True or False"):
                ReduceOnPlateauPlus(**{name: value})
    with pytest.raises(TypeError, match="ReduceOnPlateauPlus: verbose must be an integer"):
        ReduceOnPlateauPlus(verbose="no")


@pytest.mark.parametrize("value", ["0.5", np.str_("0.5"), [], {"a": 1}, 1j])
@pytest.mark.parametrize("name", ["metric", "loss"])
def test_a_metric_that_is_no_number_is_named(name, value):
    plateau = ReduceOnPlateauPlus("metric", mode="min", max_rescues=1)
    with pytest.raises(TypeError, match=rf"^ReduceOnPlateauPlus: a metric .* monitor='{name}'"):
        fit(make_model(), [Scripted([1.0]), Scripted([value], name), plateau], epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be"),
        ({"factor": 0}, "factor must be"),
        ({"patience": -1}, "patience must be"),
        ({"cooldown": -1}, "cooldown must be"),
        ({"mode": "best"}, "mode must be one of"),
        ({"max_lr": 0.1}, "max_lr needs increase_factor"),
        ({"frequency": 0}, "frequency must be"),
        ({"monitor": "batch_loss"}, "batch_loss needs a frequency"),
        ({"optimizers": []}, "optimizers must name at least one"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=f"ReduceOnPlateauPlus: {message}"):
        ReduceOnPlateauPlus(**arguments)


def test_a_metric_must_be_a_scalar():
    with pytest.raises(ValueError, match=r"must be a scalar. Received: .*shape=\(2,\)"):
        scripted([np.ones(2)])


def test_an_unknown_direction_is_an_error():
    with pytest.raises(ValueError, match="direction of this metric is not known"):
        fit(make_model(), [Scripted([1.0] * 2), ReduceOnPlateauPlus("metric")], epochs=2)
