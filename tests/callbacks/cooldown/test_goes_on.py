"""`Cooldown` from fit to fit, from optimizer to optimizer, and for some of several optimizers."""

import keras
import numpy as np
import pytest
from support.drives import Spy, data, displacement, fit, network

from keras_lr import schedules
from keras_lr.callbacks import Cooldown, LRScheduler, WeightAverage
from keras_lr.callbacks.cooldown import descent

ONES = np.ones((8, 1), "float32"), np.ones((8, 1), "float32")  # eight batches of one sample
COSINE = schedules.Cosine(0.2, 0.0, steps=64)


def sgd(accumulation=None, rate=0.1):
    accumulation = None if accumulation == 1 else accumulation
    return keras.optimizers.SGD(rate, gradient_accumulation_steps=accumulation)


def cooled(rates, begin, length):
    """Return rates of updates that come down from one of them on."""
    way = [rates[begin] * (1 - k / length) for k in range(length)]
    return [*rates[:begin], *way]


def loop(model, make, epochs=6, **arguments):
    """Train in fits of one epoch until the model stops; return the rates and the way."""
    spy = Spy()
    for epoch in range(epochs):
        callbacks = [*make(epoch), spy]
        model.fit(*ONES, 1, epoch + 1, 0, callbacks, initial_epoch=epoch, **arguments)
        if model.stop_training:
            break
    way = -float(np.asarray(keras.ops.convert_to_numpy(model.weights[0].value)).item())
    return spy.rates, way


KINDS = {
    "held": (lambda: sgd(), list),
    "scheduled": (lambda: sgd(rate=COSINE), list),
    "driven": (lambda: sgd(), lambda: [LRScheduler(COSINE)]),
}


@pytest.mark.parametrize("begins", ["at_step", "at_epoch", "begin"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_of_fits_comes_down_in_all_of_them_together(kind, begins):
    optimizer, drivers = KINDS[kind]
    begin = {"at_step": 13, "at_epoch": 16, "begin": 8}[begins]
    moment = {"at_step": {"at_step": 13}, "at_epoch": {"at_epoch": 2}, "begin": {}}[begins]
    cooldown, driver = Cooldown(12, **moment), drivers()

    def callbacks(epoch):
        if begins == "begin" and epoch == 1:
            cooldown.begin()
        return [*driver, cooldown]

    rates, way = loop(displacement(optimizer()), callbacks)
    own = COSINE.values(range(begin + 1)) if kind != "held" else [0.1] * (begin + 1)
    expected = cooled(list(own), begin, 12)
    assert rates == pytest.approx(expected, rel=1e-5)
    assert way == pytest.approx(sum(expected), rel=1e-5)


def test_so_does_one_that_makes_the_callback_anew():
    rates, _ = loop(displacement(sgd()), lambda epoch: [Cooldown(12, at_step=5)])
    assert rates == pytest.approx(cooled([0.1] * 6, 5, 12))


def test_a_loop_that_does_not_stop_is_told_so_before_it_trains():
    model, cooldown = displacement(sgd()), Cooldown(4, at_step=5)
    for epoch in range(2):
        model.fit(*ONES, 1, epoch + 1, 0, [cooldown], initial_epoch=epoch)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"was over before this fit.*stop_training is True"):
        model.fit(*ONES, 1, 3, 0, [cooldown], initial_epoch=2)
    assert model.get_weights() == before
    with pytest.warns(UserWarning, match="was over before this fit"):
        model.fit(*ONES, 1, 5, 0, [cooldown], initial_epoch=2)


def test_patience_and_time_are_those_of_the_whole_loop(monkeypatch):
    flat = Cooldown(4, monitor="loss", patience=2, mode="max", min_delta=1e9)
    rates, _ = loop(displacement(sgd()), lambda epoch: [flat])
    assert flat.reason == "stalled"
    assert len(rates) == 3 * 8 + 4

    times = iter(range(10**6))
    monkeypatch.setattr(descent, "monotonic", lambda: next(times))
    timed = Cooldown(4, within=150)
    rates, _ = loop(displacement(sgd()), lambda epoch: [timed], epochs=40)
    assert timed.reason == "within"
    assert 16 < len(rates) < 150


def test_a_fit_of_one_epoch_alone_reaches_zero_where_it_is_told_to_begin():
    cooldown, spy = Cooldown(100), Spy()
    begins = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: cooldown.begin() if batch == 4 else None
    )
    fit(displacement(sgd()), ONES, begins, cooldown, spy, batch_size=1, epochs=1)
    assert spy.rates == pytest.approx(cooled([0.1] * 5, 4, 4))


class Recompiles(keras.callbacks.Callback):
    """Compiles with another accumulation when an epoch begins."""

    def __init__(self, epoch, accumulation):
        super().__init__()
        self.at, self.accumulation = epoch, accumulation

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            self.model.compile(sgd(self.accumulation), self.model.loss, jit_compile=False)


@pytest.mark.parametrize("accumulations", [(1, 4), (4, 1), (2, 4)])
@pytest.mark.parametrize("when", [1, 3])
@pytest.mark.parametrize("drivers", [list, lambda: [LRScheduler(schedules.Constant(0.1))]])
def test_a_length_in_epochs_is_one_of_the_optimizer_that_there_is(accumulations, when, drivers):
    """Of four epochs the last two come down, compiled anew before or in the middle of these."""
    before, after = accumulations
    cooldown, spy = Cooldown(epochs=2, at_epoch=2), Spy()
    fit(
        displacement(sgd(before)),
        ONES,
        *[*drivers(), Recompiles(when, after), cooldown, spy],
        batch_size=1,
        epochs=4,
    )
    assert cooldown.begun_at == (2 * 8 // before if when == 3 else 8 // before + 8 // after)
    first = [before, after][when == 1]
    way = [0.1 * (1 - k * first / 16) for k in range(8 // first)]
    way += [0.05 * (1 - k * after / 8) for k in range(8 // after)]
    expected = [rate for rate in way[: 8 // first] for _ in range(first)]
    expected += [rate for rate in way[8 // first :] for _ in range(after)]
    assert spy.rates == pytest.approx([0.1] * 16 + expected, rel=1e-5)


def test_a_length_in_updates_is_cut_to_those_that_are_left():
    spy = Spy()
    fit(
        displacement(sgd()),
        ONES,
        *[Recompiles(3, 4), Cooldown(16, at_epoch=2), spy],
        batch_size=1,
        epochs=4,
    )
    expected = [0.1 * (1 - k / 16) for k in range(8)] + [0.05] * 4 + [0.025] * 4
    assert spy.rates == pytest.approx([0.1] * 16 + expected, rel=1e-5)


def test_the_time_of_an_update_is_that_of_its_batches(monkeypatch):
    times = iter(range(10**6))
    monkeypatch.setattr(descent, "monotonic", lambda: next(times))
    cooldown = Cooldown(8, within=600)
    parts = [Recompiles(1, 4), cooldown]
    model = displacement(sgd())
    fit(model, ONES, *parts, batch_size=1, epochs=60)
    plain = Cooldown(8, within=600)
    times = iter(range(10**6))
    fit(displacement(sgd(4)), ONES, plain, batch_size=1, epochs=60)
    assert cooldown.reason == plain.reason == "within"
    # Eight updates take four times as many batches as before: it begins as early as with them.
    begun, expected = cooldown.begun_at - 8 + 2, plain.begun_at
    assert abs(begun - expected) <= 1


needs_several = pytest.mark.needs("optimizers.MultiOptimizer")


def two():
    body, head = (
        keras.optimizers.SGD(0.1, name="body"),
        keras.optimizers.SGD(0.2, name="head"),
    )
    several = keras.optimizers.MultiOptimizer(lambda v: body if v.name == "kernel" else head)
    return network(several), data()


@needs_several
@pytest.mark.parametrize("names", ["head", ["body", "head"], None])
def test_some_of_several_optimizers(names):
    model, given = two()
    history = fit(model, given, Cooldown(18, at_step=0, optimizers=names), LRScheduler())
    last = 1 / 18
    expected = {"body": 0.1 * (last if names != "head" else 1), "head": 0.2 * last}
    for name, rate in expected.items():
        assert history[f"learning_rate_{name}"][-1] == pytest.approx(rate, rel=1e-5)
    rates = [float(keras.ops.convert_to_numpy(each.learning_rate)) for each in leaves(model)]
    assert rates == pytest.approx([0.1, 0.2])


@needs_several
def test_those_that_a_driver_leaves_alone_come_down_too():
    """Nothing moves any more when the rates of both have come down."""
    model, given = two()
    driver = LRScheduler(schedules.Constant(0.4), optimizers="head")
    seen = []
    rates = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(applied(model))
    )
    fit(model, given, driver, Cooldown(6, at_step=4), rates)
    expected = np.outer([1.0] * 4 + [1 - k / 6 for k in range(6)], [0.1, 0.4])
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def leaves(model):
    return list(model.optimizer.optimizers)


def applied(model):
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
    return [float(keras.ops.convert_to_numpy(each._learning_rate.value)) for each in leaves(model)]


@needs_several
def test_a_choice_that_a_driver_does_not_leave_is_refused():
    model, given = two()
    driver = LRScheduler(schedules.Constant(0.1))
    with pytest.raises(ValueError, match=r"Cooldown: optimizers cannot be chosen where"):
        fit(model, given, driver, Cooldown(6, at_step=4, optimizers="head"))
    with pytest.raises(ValueError, match="Cooldown: optimizers must be one of"):
        fit(model, given, Cooldown(6, at_step=4, optimizers="tail"))
    with pytest.raises(TypeError, match="Cooldown: optimizers must be names or optimizers"):
        Cooldown(6, optimizers=3)


def test_a_loop_of_fits_with_a_backup_gives_no_false_warning(tmp_path, recwarn):
    """What a fit leaves in the callback is newer than the backup, which its end has removed."""
    model = displacement(sgd())
    cooldown = Cooldown(12, at_step=5, backup_dir=tmp_path)
    average = WeightAverage(0.9, backup_dir=tmp_path)
    loop(model, lambda epoch: [cooldown, average])
    assert not [each for each in recwarn if "saved state" in str(each.message)]
