"""The picture of a sweep."""

import math

import numpy as np
import pytest
from matplotlib import pyplot as plt

from keras_lr import plot_sweep
from keras_lr.search.sweep.result import SweepResult

RATES = np.geomspace(1e-3, 10.0, 5)


def result(repeats=1):
    steps = np.arange(40)
    losses = np.exp(-np.outer(RATES, steps))
    losses[3] = 1.0 + steps
    losses[4, 1:] = math.nan
    final = losses[:, -10:].mean(axis=1)
    final[4] = math.inf
    return SweepResult(
        learning_rates=RATES,
        losses=losses,
        repeat_losses=np.stack([losses + shift for shift in 0.01 * np.arange(repeats)]),
        final={"loss": final, "val_loss": final + 0.1},
        diverged=np.array([False, False, False, True, True]),
        stopped_at=np.array([40, 40, 40, 40, 1]),
        cost_steps=161,
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_lanes_that_diverged_are_out_of_the_picture():
    drawn = result().picture()
    assert drawn.beyond.tolist() == [False, False, False, True, True]
    assert np.isnan(drawn.final["loss"]).tolist() == drawn.beyond.tolist()
    assert drawn.limits[0] < 0 < 1 < drawn.limits[1] < 2


@pytest.mark.parametrize("ends", [(2.5, 30.0), (30.0, math.inf), (math.inf, math.inf)])
def test_a_sweep_in_which_every_lane_rose_is_drawn_as_it_is(ends):
    losses = np.array([[1.0, 1.5, 2.5], [1.0, 9.0, 30.0]])
    risen = SweepResult(
        learning_rates=RATES[:2], losses=losses, repeat_losses=losses[None],
        final={"loss": np.array(ends)}, diverged=np.array([True, True]),
        stopped_at=np.array([3, 3]), cost_steps=6,
    )  # fmt: skip
    drawn = risen.picture()
    assert drawn.beyond.all()
    shown = [end for end in ends if end < math.inf] or losses.flatten()
    assert drawn.limits[0] < min(shown)
    assert max(shown) < drawn.limits[1] < math.inf
    plot_sweep(risen)
    lost = {"loss": np.full(2, math.inf)}
    with pytest.raises(ValueError, match="plot_sweep: a sweep needs a finite loss"):
        SweepResult(**{**risen.to_dict(), "losses": losses * math.nan, "final": lost}).picture()


def test_the_fan_is_a_running_mean():
    drawn = result().picture()
    losses = result().losses
    np.testing.assert_allclose(drawn.fan[1, 5], losses[1, 4:6].mean())
    assert drawn.fan[1, 0] == losses[1, 0]


def test_two_axes_with_units_and_the_best_marked():
    shown = result(repeats=3)
    curve, fan = plot_sweep(shown)
    assert curve.get_xscale() == "log"
    assert "Learning rate" in curve.get_xlabel()
    assert "Step" in fan.get_xlabel()
    labels = [text.get_text() for text in curve.get_legend().get_texts()]
    assert f"best {shown.best_lr:.1e}" in labels
    assert {"quartiles", "diverged", "validation"} <= set(labels)
    assert len(fan.get_lines()) == len(RATES)


def test_given_axes_are_used():
    _, axes = plt.subplots(1, 2)
    assert plot_sweep(result(), (axes[0], axes[1])) == (axes[0], axes[1])
    assert result().plot((axes[0], axes[1]))[0] is axes[0]


def test_a_result_says_what_it_found_and_refuses_what_does_not_fit():
    found = result()
    assert (found.measure, found.best_lr) == ("val_loss", RATES[2])
    assert repr(found) == (
        "SweepResult(5 learning rates, 0.001 to 10; 2 diverged; best 0.1 by val_loss)"
    )
    assert found.to_dict()["final"]["val_loss"][2] == found.final["val_loss"][2]
    unknown = {**found.final, "val_loss": np.where(RATES > 1, math.nan, found.final["val_loss"])}
    assert SweepResult(**{**found.to_dict(), "final": unknown}).best_lr == found.best_lr
    again = SweepResult(**found.to_dict())
    assert isinstance(again.losses, np.ndarray)
    assert repr(again) == repr(found)
    with pytest.raises(ValueError, match="read-only"):
        found.losses[0] = 0
    with pytest.raises(ValueError, match="one entry per learning rate"):
        SweepResult(**{**found.to_dict(), "losses": np.zeros((2, 40))})
