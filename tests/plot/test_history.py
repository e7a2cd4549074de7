from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from keras_lr.plot.history import history_marks, history_panels, plot_history


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def run(epochs=4, **logs):
    return SimpleNamespace(epoch=list(range(epochs)), history=logs)


FULL = run(
    accuracy=[0.5, 0.6, 0.7, 0.8],
    loss=[1.0, 0.8, float("nan"), 0.6],
    val_loss=[1.1, 0.9, 0.8, 0.7],
    learning_rate=[0.1, 0.1, 0.1, 0.01],
)
PLATEAU = SimpleNamespace(
    events=[SimpleNamespace(epoch=2, action="rescue"), SimpleNamespace(epoch=3, action="stop")]
)


def test_only_what_fit_returned_can_be_drawn():
    with pytest.raises(TypeError, match="plot_history: history must be what fit returned"):
        plot_history(FULL.history)


def test_the_first_rate_is_drawn_from_the_beginning():
    line = plot_history(FULL)[-1].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(line.get_ydata(), [0.1, 0.1, 0.1, 0.1, 0.01])


def test_panels_are_the_loss_the_metrics_and_the_rate():
    loss, accuracy, rate = history_panels(FULL)
    assert (loss.title, accuracy.title, rate.title) == ("loss", "accuracy", "learning rate")
    assert list(loss.lines) == ["training", "validation"]
    np.testing.assert_array_equal(loss.epochs, [1, 2, 3, 4])
    np.testing.assert_array_equal(loss.lines["training"], [1.0, 0.8, np.nan, 0.6])
    np.testing.assert_array_equal(rate.lines["applied"], [0.1, 0.1, 0.1, 0.01])
    assert rate.stairs
    assert not loss.stairs


def test_a_resumed_run_begins_where_it_began():
    history = SimpleNamespace(epoch=[5, 6], history={"loss": [1.0, 0.5]})
    np.testing.assert_array_equal(history_panels(history)[0].epochs, [6, 7])


def test_values_of_every_other_epoch_stand_where_they_were_taken():
    (loss,) = history_panels(run(loss=[4.0, 3.0, 2.0, 1.0], val_loss=[3.5, 1.5]))
    np.testing.assert_array_equal(loss.lines["validation"], [np.nan, 3.5, np.nan, 1.5])


def test_several_optimizers_have_a_line_each():
    *_, rate = history_panels(run(2, loss=[1, 1], learning_rate_a=[1, 1], learning_rate_b=[2, 2]))
    assert sorted(rate.lines) == ["a", "b"]


def test_marks_come_from_events():
    marks = history_marks([PLATEAU, object()])
    assert [(mark.epochs, mark.action) for mark in marks] == [(3, "rescue"), (4, "stop")]


def test_draws_what_was_computed():
    axes = plot_history(FULL, callbacks=PLATEAU)
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy", "learning rate"]
    loss = axes[0].get_lines()
    np.testing.assert_array_equal(loss[1].get_ydata(), [1.1, 0.9, 0.8, 0.7])
    assert [line.get_xdata()[0] for line in loss[2:]] == [3, 4]
    assert axes[2].get_yscale() == "log"
    assert axes[0].get_yscale() == "linear"


def test_draws_into_given_axes():
    _, axes = plt.subplots(2)
    drawn = plot_history(FULL, metrics=["loss"], axes=axes)
    assert list(drawn) == list(axes)


@pytest.mark.parametrize(
    ("history", "arguments", "message"),
    [
        (run(0), {}, "there must be an epoch to draw"),
        (FULL, {"metrics": ["val_loss"]}, "metrics must be in the history.*'accuracy'"),
        (FULL, {"axes": []}, "one of axes for each of the 3 panels"),
    ],
)
def test_refuses(history, arguments, message):
    with pytest.raises(ValueError, match=rf"plot_history: .*{message}"):
        plot_history(history, **arguments)
