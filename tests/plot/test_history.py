from types import SimpleNamespace

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from support.tiny import JIT

import keras_lr
from keras_lr.plot.history import plot_history
from keras_lr.plot.history_data import history_marks, history_panels


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


def test_groups_of_layers_have_a_line_each_in_the_panel_of_the_learning_rate():
    layers = [keras.layers.Dense(2, name="body"), keras.layers.Dense(1, name="head")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    optimizer = keras_lr.by_layer("sgd", model, {"body": 0.1, "head": 1.0})
    model.compile(optimizer, "mse", jit_compile=JIT)
    callbacks = [keras_lr.Unfreeze({"body": 1}), keras_lr.LRScheduler()]
    x = np.ones((8, 2), "float32")
    history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=callbacks)
    loss, rate = history_panels(history)
    assert (loss.title, rate.title) == ("loss", "learning rate")
    assert sorted(rate.lines) == ["base", "body", "head"]
    np.testing.assert_allclose(rate.lines["body"], [0.0, 0.001], rtol=1e-6)


def test_marks_come_from_events():
    marks = history_marks([PLATEAU, object()])
    assert [(mark.epochs, mark.action) for mark in marks] == [(3, "rescue"), (4, "stop")]


def test_a_mark_inside_an_epoch_stands_there():
    events = [
        SimpleNamespace(epoch=epoch, step=step, action="restart")
        for epoch, step in [(0, 10), (2, 26), (4, 7), (4, 500)]  # two from other counts of steps
    ]
    marks = history_marks([SimpleNamespace(events=events)], 10)
    assert [mark.epochs for mark in marks] == [1, 2.6, 5, 5]
    history = SimpleNamespace(**vars(FULL), params={"steps": 10})
    axes = plot_history(history, callbacks=SimpleNamespace(events=events[:2]))
    assert [line.get_xdata()[0] for line in axes[0].get_lines()[2:]] == [1, 2.6]


def test_too_many_marks_of_a_kind_are_not_drawn():
    events = [SimpleNamespace(epoch=epoch, action="restart") for epoch in range(100)]
    events.append(SimpleNamespace(epoch=99, action="stop"))
    history = run(100, loss=[1.0] * 100)
    (loss,) = plot_history(history, callbacks=SimpleNamespace(events=events))
    assert [line.get_label() for line in loss.get_lines()] == ["training", "stop"]


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


class Validated(keras.callbacks.Callback):
    """Notes after which epochs the model was validated."""

    def on_train_begin(self, logs=None):
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        if "val_loss" in logs:
            self.epochs.append(epoch + 1)


@pytest.mark.parametrize(
    ("every", "first", "epochs"), [(1, 0, 3), (2, 1, 6), (3, 0, 5), (3, 2, 12), (4, 0, 7)]
)
def test_validation_values_stand_where_keras_validated(every, first, epochs):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=JIT)
    x, seen = np.ones((4, 1)), Validated()
    arguments = {"validation_freq": every, "initial_epoch": first, "epochs": epochs, "verbose": 0}
    history = model.fit(x, x, validation_data=(x, x), callbacks=[seen], **arguments)
    (panel,) = history_panels(history)
    drawn = panel.epochs[np.isfinite(panel.lines["validation"])]
    assert drawn.tolist() == seen.epochs


def test_a_history_of_two_fits_shows_the_last():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=JIT)
    x, history = np.ones((4, 1)), keras.callbacks.History()
    for epochs in (2, 3):
        model.fit(x, x, epochs=epochs, verbose=0, callbacks=[history])
    (panel,) = history_panels(history)
    assert panel.lines["training"].tolist() == history.history["loss"][2:]


def test_momentum_and_weight_decay_have_panels_like_the_rate():
    logs = {"loss": [2.0, 1.0], "momentum": [0.9, 0.8], "weight_decay": [0.1, 0.2]}
    panels = history_panels(run(2, **logs))
    assert [(panel.title, panel.stairs) for panel in panels] == [
        ("loss", False), ("momentum", True), ("weight decay", True)
    ]  # fmt: skip
    assert panels[1].lines["applied"].tolist() == [0.9, 0.8]


def test_no_metric_at_all_is_refused():
    with pytest.raises(ValueError, match="plot_history: metrics must name at least one"):
        history_panels(run(1, loss=[1.0]), [])


def test_of_several_fits_only_what_every_epoch_logged_has_a_place():
    logs = {"loss": [5.0, 4.0, 3.0, 2.0, 1.0], "val_loss": [6.0, 7.0, 8.0], "rare": [1.0]}
    (panel,) = history_panels(SimpleNamespace(epoch=[0, 1, 2], history=logs))
    assert (panel.title, list(panel.lines)) == ("loss", ["training"])
    assert panel.lines["training"].tolist() == [3.0, 2.0, 1.0]
    with pytest.raises(ValueError, match="plot_history: metrics must be in the history"):
        history_panels(SimpleNamespace(epoch=[0, 1, 2], history=logs), ["rare"])


def test_a_last_fit_without_an_epoch_has_nothing_to_draw():
    with pytest.raises(ValueError, match="plot_history: there must be an epoch to draw"):
        history_panels(SimpleNamespace(epoch=[], history={"loss": [1.0]}))
    with pytest.raises(ValueError, match="plot_history: there must be an epoch to draw"):
        history_panels(keras.callbacks.History())


def test_values_of_a_list_of_epochs_are_spread_evenly():
    values = {"loss": np.arange(10.0), "val_loss": np.arange(4.0)}
    (panel,) = history_panels(run(10, **values))
    places = panel.epochs[np.isfinite(panel.lines["validation"])]
    assert len(places) == 4
    assert places[-1] == 10
    assert set(np.diff(places)) <= {2, 3}


def rate_axis(*rates):
    """Return the axis of the learning rate of a run with these rates."""
    return plot_history(run(len(rates), loss=[1.0] * len(rates), learning_rate=list(rates)))[-1]


@pytest.mark.parametrize("end", [0.0, 1e-15, 1e-9])
def test_the_rate_has_the_decades_that_matter_and_zero(end):
    ax = rate_axis(0.1, 0.01, 0.001, end)
    ax.figure.canvas.draw()
    place = ax.yaxis.get_transform().transform
    tenth, hundredth, zero = place([0.1, 0.01, 0.0])
    assert tenth - hundredth == pytest.approx(place(0.01) - place(0.001))  # decades are equal
    assert place(end) == pytest.approx(zero, abs=1e-3)
    assert ax.get_ylim()[0] == 0.0
    assert 0.0 in ax.get_yticks()


@pytest.mark.parametrize(
    ("rates", "scale"),
    [
        ((0.1, 0.01), "log"),
        ((0.1, 0.09), "linear"),
        ((0.1, 0.1, 0.0), "linear"),
        ((0.0,), "linear"),
    ],
)
def test_the_scale_of_the_rate(rates, scale):
    assert rate_axis(*rates).get_yscale() == scale


def test_a_legend_stands_once():
    axes = plot_history(FULL, callbacks=PLATEAU)
    named = [text.get_text() for ax in axes if ax.get_legend() for text in ax.get_legend().texts]
    assert sorted(named) == ["rescue", "stop", "training", "validation"]


@pytest.mark.parametrize("epochs", [1, 500])
def test_one_epoch_and_many_without_validation(epochs):
    losses = np.linspace(1.0, 0.5, epochs).tolist()
    ax, rate = plot_history(run(epochs, loss=losses, learning_rate=[0.1] * epochs))
    ax.figure.canvas.draw()
    assert all(tick == int(tick) for tick in rate.get_xticks())
    assert (ax.lines[0].get_marker() in ("None", None)) == (epochs == 500)
