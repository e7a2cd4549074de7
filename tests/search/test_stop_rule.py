"""The stop rules on simulated losses: noise never stops a run, a true divergence soon does."""

import math

import numpy as np
import pytest

from keras_lr.search.range_test.loss_watch import LossWatch
from keras_lr.search.stop_rule import TrialWatch, ended_above, stays_above

RUNS, STEPS, STARTS = 400, 100, 8


def autocorrelated(generator, shape, correlation, deviation):
    """Normal noise in which neighbours are alike, along the last axis, from its stationary law."""
    noise = generator.normal(size=shape) * deviation
    for index in range(1, shape[-1]):
        fresh = math.sqrt(1 - correlation**2) * noise[..., index]
        noise[..., index] = correlation * noise[..., index - 1] + fresh
    return noise


def rare(share, high, low=0.01):
    """Batches of which a share holds the rare class."""
    return lambda g, shape: np.where(g.uniform(size=shape) < share, high, low)


LOSSES = {
    "uniform": lambda g, shape: g.uniform(size=shape),
    "exponential": lambda g, shape: g.exponential(size=shape),
    "lognormal": lambda g, shape: np.exp(g.normal(size=shape)),
    "lognormal, sigma 3": lambda g, shape: np.exp(3 * g.normal(size=shape)),
    "pareto without a mean": lambda g, shape: g.pareto(0.7, size=shape) + 1,
    "rare class in 2 %": rare(0.02, 1e6),
    "rare class in 10 %": rare(0.1, 100.0),
    "rare class in 20 %": rare(0.2, 1000.0),
    "common class in 20 %": rare(0.8, 100.0),
    "weighted positives": lambda g, shape: 0.35 + 2.0 * g.poisson(0.16, size=shape),
    "two rare classes": lambda g, shape: g.choice([0.01, 50.0, 1e4], p=[0.7, 0.2, 0.1], size=shape),
    "negative": lambda g, shape: g.standard_t(2, size=shape) - 3,
    "autocorrelated": lambda g, shape: 1 + autocorrelated(g, shape, 0.9, 0.25),
    "autocorrelated logarithm": lambda g, shape: np.exp(autocorrelated(g, shape, 0.97, 0.3)),
}
LIGHT = ("uniform", "exponential", "autocorrelated", "common class in 20 %")


def drawn(name, count=RUNS, steps=STEPS):
    return LOSSES[name](np.random.default_rng(7), (count, steps + STARTS))


def stop_of_a_sweep(losses, smoothing=0.98):
    """Return after how many steps a range test stops; infinity if it does not."""
    watch = LossWatch(smoothing, 4.0)
    stops = (step for step, loss in enumerate(losses) if watch.update(float(loss)))
    return next(stops, math.inf)


def stop_of_a_trial(losses, start_losses):
    """Return after how many steps a trial stops; infinity if it does not."""
    watch = TrialWatch([float(loss) for loss in start_losses])
    stops = (step for step, loss in enumerate(losses) if watch.is_diverged(float(loss)))
    return next(stops, math.inf)


@pytest.mark.parametrize("steps", [60, 100])
@pytest.mark.parametrize("name", LOSSES)
def test_a_constant_mean_stops_fewer_than_one_run_in_a_hundred(name, steps):
    runs = drawn(name, steps=steps)
    sweeps = [stop_of_a_sweep(run[STARTS:]) < math.inf for run in runs]
    trials = [stop_of_a_trial(run[STARTS:], run[:STARTS]) < math.inf for run in runs]
    assert np.mean(sweeps) < 0.01
    assert np.mean(trials) < 0.01


@pytest.mark.parametrize("growth", [2.0, 10.0])
@pytest.mark.parametrize("name", [*LIGHT, "lognormal"])
def test_exponential_growth_is_caught_soon_after_it_has_passed_the_bound(name, growth):
    onset = 35
    factors = growth ** np.maximum(np.arange(STEPS) - onset, 0.0)
    limit = math.log(1000, growth) + 7  # to be a thousand times as high, and a few steps
    runs = drawn(name, 50)
    stops = [stop_of_a_sweep(run[STARTS:] * factors) - onset for run in runs]
    assert np.quantile(stops, 0.9) <= limit
    stops = [stop_of_a_trial(run[STARTS:] * factors, run[:STARTS]) - onset for run in runs]
    assert np.quantile(stops, 0.9) <= limit


@pytest.mark.parametrize("name", LIGHT)
def test_a_jump_to_a_hundred_times_that_stays_is_caught_within_a_few_steps(name):
    onset = 35
    factors = np.where(np.arange(STEPS) < onset, 1.0, 100.0)
    runs = drawn(name, 50)
    stops = [stop_of_a_sweep(run[STARTS:] * factors) - onset for run in runs]
    assert np.median(stops) <= 5
    stops = [stop_of_a_trial(run[STARTS:] * factors, run[:STARTS]) - onset for run in runs]
    assert np.median(stops) <= 5


def test_growth_from_the_first_step_is_caught_with_start_losses():
    assert stop_of_a_trial(10.0 ** np.arange(30), np.ones(STARTS)) <= 9


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_diverged_at_once(loss):
    watch = TrialWatch([1.0])
    assert not watch.is_diverged(1.0)
    assert watch.is_diverged(loss)


def test_without_start_losses_the_first_loss_is_the_scale():
    watch = TrialWatch()
    assert not any(watch.is_diverged(loss) for loss in [2.0] * 30 + [39.0] * 10)
    watch = TrialWatch()
    assert any(watch.is_diverged(loss) for loss in [2.0] * 30 + [41.0] * 3)


@pytest.mark.parametrize(("before", "needed"), [(11, 5), (16, 4), (27, 3), (60, 3)])
def test_how_many_high_losses_it_takes(before, needed):
    for count in range(1, 8):
        assert stays_above([1.0] * before + [9.0] * count, 4.0, 1.0) == (count >= needed)


@pytest.mark.parametrize("steps", [8, 10, 12, 14])
@pytest.mark.parametrize("name", LOSSES)
def test_short_runs_are_not_stopped_by_noise(name, steps):
    runs = drawn(name, steps=steps)
    assert np.mean([stop_of_a_sweep(run[STARTS:]) < math.inf for run in runs]) < 0.01


@pytest.mark.parametrize("steps", [10, 12, 14])
@pytest.mark.parametrize("growth", [10.0, 100.0])
def test_a_short_range_test_stops_where_its_loss_explodes(steps, growth):
    onset = steps // 2
    losses = np.ones(steps) * growth ** np.maximum(np.arange(steps) - onset, 0.0)
    assert stop_of_a_sweep(losses) <= onset + 5


def test_a_loss_that_came_back_once_must_be_passed_for_good():
    seen = [1.0] * 30 + [50.0] + [1.0] * 5
    assert not stays_above([*seen, *[90.0] * 9], 4.0, 1.0)
    assert stays_above([*seen, *[150.0] * 3], 4.0, 1.0)


def test_an_explosion_that_jumps_about_is_caught_where_it_stays():
    losses = [1.6e11, 1e23, 1.1e12, 9e11, 2.6e28, *[6e17] * 30]
    assert stop_of_a_sweep(losses) <= 17


def test_an_end_is_compared_batch_by_batch_with_the_start():
    start = [0.1] * 7 + [30.0]
    assert not ended_above([0.05] * 7 + [90.0], start, 2.0)  # one rare batch
    assert not ended_above([0.3] * 8, start, 2.0)  # the rare class learned, the mean far lower
    assert ended_above([0.3] * 7 + [90.0], start, 2.0)
    assert ended_above([0.1, math.nan], [0.1, 0.1], 2.0)
    assert not ended_above([-1.0, -1.0], [-2.0, -2.0], 2.0)
    assert ended_above([0.5, 0.5], [-0.2, -0.2], 2.0)
