"""The rules against other libraries' picks, closed forms, affine laws and pure noise."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lr.search import suggest
from keras_lr.search.range_test.curve import capped, exploded_from
from keras_lr.search.suggest import RULES, SuggestionError, smooth

FINDERS = json.loads((Path(__file__).parents[1] / "oracles" / "finders.json").read_text())
CASES = [
    pytest.param(
        np.geomspace(1e-7, 10.0, len(case["losses_times_1024"])),
        np.array(case["losses_times_1024"]) / 1024,
        case["index"],
        id=f"curve{number}",
    )
    for number, case in enumerate(FINDERS["cases"])
]
RATES = np.geomspace(1e-8, 100.0, 201)


def descent(rates=RATES, middle=1e-3, rise=1.0):
    """A logistic fall of 1.5 in log(lr) about `middle`, and a linear rise in lr."""
    return 2.0 - 1.5 / (1.0 + middle / rates) + rise * rates


@pytest.mark.parametrize(("rates", "losses", "picked"), CASES)
def test_index_rules_pick_what_fastai_picks(rates, losses, picked):
    assert suggest.valley_index(losses) == picked["valley"]
    assert suggest.slide_index(losses) == picked["slide"]
    assert suggest.steep_index(rates, losses) == picked["steep"]
    assert losses.argmin() == picked["minimum"]


@pytest.mark.parametrize(("rates", "losses", "picked"), CASES)
def test_the_steepest_slope_by_central_differences_is_torch_lr_finders(rates, losses, picked):
    slopes = np.gradient(losses, np.log(rates))
    assert slopes[picked["torch_lr_finder"]] == pytest.approx(slopes.min(), rel=1e-9)


def test_a_slope_by_lr_instead_of_log_lr_is_decades_too_low():
    rates, losses, picked = CASES[16].values  # 100 steps without noise
    assert rates[picked["lightning"]] < suggest.steep(rates, losses) / 100


def longest_by_trial(losses):
    """The lengths of the longest decreasing subsequences, by the quadratic definition."""
    lengths = []
    for index, loss in enumerate(losses):
        before = [lengths[j] for j in range(index) if losses[j] > loss]
        lengths.append(1 + max(before, default=0))
    return lengths


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_valley_index_follows_the_definition(losses):
    lengths = longest_by_trial(losses)
    length = max(lengths)
    expected = max(0, lengths.index(length) - length + length // 3 + length // 6)
    assert suggest.valley_index(np.array(losses, dtype=float)) == expected


def test_smooth_has_no_lag_and_leaves_a_line_in_place():
    line = 3.0 - 0.2 * np.log10(RATES)
    inside = slice(40, -40)  # five kernel widths from either end
    np.testing.assert_allclose(smooth(RATES, line)[inside], line[inside], rtol=1e-6)


def test_smooth_widens_a_normal_bump_by_pythagoras():
    positions = np.log10(RATES)
    bump = np.exp(-0.5 * ((positions + 3.0) / 0.4) ** 2)
    width = np.hypot(0.4, 0.25)
    expected = 0.4 / width * np.exp(-0.5 * ((positions + 3.0) / width) ** 2)
    np.testing.assert_allclose(smooth(RATES, bump), expected, atol=1e-9)


def test_steep_is_the_middle_of_a_logistic_fall():
    assert suggest.steep(RATES, descent(rise=0.0)) == pytest.approx(1e-3, rel=0.13)  # one step


def test_fall75_is_three_quarters_down_a_line():
    """A line in log(lr) from 1e-6 to 1e-2, level before and after."""
    line = np.interp(np.log10(RATES), [-6.0, -2.0], [2.0, 1.0])
    assert np.log10(suggest.fall75(RATES, line)) == pytest.approx(-3.0, abs=1e-3)


def test_minimum_is_a_tenth_of_the_lowest():
    parabola = 1.0 + 0.1 * (np.log10(RATES) + 2.0) ** 2
    assert suggest.minimum(RATES, parabola) == pytest.approx(1e-3, rel=1e-9)


def test_valley_lies_in_the_middle_of_the_fall():
    parabola = 1.0 + 0.1 * (np.log10(RATES) + 2.0) ** 2
    fallen_a_tenth = -2.0 - 6.0 * np.sqrt(0.9)
    middle = (fallen_a_tenth - 2.0) / 2
    assert np.log10(suggest.valley(RATES, parabola)) == pytest.approx(middle, abs=0.1)


def test_a_creeping_start_without_noise_does_not_pull_valley_down():
    """The logistic fall decreases at every step, even where nobody could see it."""
    far = np.geomspace(1e-12, 100.0, 281)
    near = np.geomspace(1e-6, 100.0, 161)
    assert suggest.valley(far, descent(far)) == pytest.approx(suggest.valley(near, descent(near)))


@pytest.mark.parametrize(("default", "expected"), [(1e-9, "low"), (2e-2, "high"), (2e-3, "own")])
def test_consensus_is_the_median_of_three(default, expected):
    valley, fall75 = suggest.valley(RATES, descent()), suggest.fall75(RATES, descent())
    answers = {"low": min(valley, fall75), "high": max(valley, fall75), "own": default}
    assert suggest.consensus(RATES, descent(), default=default) == answers[expected]


@pytest.mark.parametrize("default", [0.1, 1.0, 30.0])
def test_a_default_at_which_the_loss_has_risen_again_has_no_vote(default):
    others = [rule(RATES, descent()) for rule in (suggest.valley, suggest.fall75, suggest.minimum)]
    assert 10 * suggest.minimum(RATES, descent()) < default
    assert suggest.consensus(RATES, descent(), default=default) == min(others)


def exploding(onset, factor=1e3):
    """A fall that ends in an explosion at `onset`, after which batches say what they like."""
    losses = np.minimum(descent(rise=0.0), 2.0)
    after = int(np.searchsorted(RATES, onset))
    losses[after : after + 3] = [factor, 100 * factor, factor]
    losses[after + 3 :] = 1e-6
    return losses


@pytest.mark.parametrize("onset", [1e-3, 1e-2, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_what_a_loss_falls_to_after_an_explosion_is_not_believed(onset, noise):
    jitter = noise * np.random.default_rng(0).normal(size=len(RATES))
    for rule in ("valley", "fall75", "minimum", "steep", "consensus"):
        assert RULES[rule](RATES, exploding(onset) + jitter) < onset


def test_a_record_that_explodes_at_once_is_refused():
    losses = np.full(len(RATES), 1e-3)
    losses[:12] = [2.0, 2.1, 2.0, 2.0, 1.9, 2.1, 500.0, 1e5, 1e4, 1e3, 100.0, 1.0]
    with pytest.raises(SuggestionError, match="Lower min_lr"):
        suggest.consensus(RATES, losses, default=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_a_rare_class_are_no_explosion(seed):
    generator = np.random.default_rng(seed)
    rare = generator.uniform(size=len(RATES)) < 0.2
    losses = descent() * np.where(rare, 15.0, 1.0)
    assert exploded_from(losses[:150]) == 150


def test_consensus_without_a_default_is_the_geometric_mean():
    valley, fall75 = suggest.valley(RATES, descent()), suggest.fall75(RATES, descent())
    assert suggest.consensus(RATES, descent()) == pytest.approx(np.sqrt(valley * fall75))


@given(
    scale=st.floats(0.01, 100.0),
    offset=st.floats(-10.0, 10.0),
    decades=st.integers(-3, 3),
    seed=st.integers(0, 20),
)
@settings(max_examples=30, deadline=None)
def test_loss_units_do_not_matter_and_learning_rates_scale(scale, offset, decades, seed):
    """Every rule but `slide`, whose threshold is absolute as in fastai."""
    rates = RATES[::2]
    losses = descent(rates) + 0.05 * np.random.default_rng(seed).normal(size=len(rates))
    for name in RULES.keys() - {"slide"}:
        moved = RULES[name](rates * 10.0**decades, offset + scale * losses)
        assert moved == pytest.approx(RULES[name](rates, losses) * 10.0**decades, rel=1e-6)


@given(seed=st.integers(0, 1000), noise=st.floats(0.0, 0.15))
@settings(max_examples=30, deadline=None)
def test_every_answer_is_a_learning_rate_of_the_sweep(seed, noise):
    losses = descent() + noise * np.random.default_rng(seed).normal(size=len(RATES))
    answers = [rule(RATES, losses) for name, rule in RULES.items() if name != "slide"]
    assert all(RATES[0] / 10 <= answer <= RATES[-1] for answer in answers)


@pytest.mark.parametrize("explosion", [1e2, 1e8, 1e30, np.inf, np.nan])
@pytest.mark.parametrize("rule", RULES)
def test_how_the_sweep_explodes_does_not_matter(rule, explosion):
    """The loss explodes where it is back at its start, 2 decades above the lowest point."""
    tame, wild = descent(), descent()
    wild[RATES > 2.0] = explosion
    assert RULES[rule](RATES, wild) == pytest.approx(RULES[rule](RATES, tame), rel=1e-6)


def test_capped_keeps_the_descent():
    losses = descent()
    np.testing.assert_array_equal(capped(losses)[RATES < 1.0], losses[RATES < 1.0])
    assert capped(losses).max() <= 2.0 * 2.0 - losses.min()


REFUSED = {
    "flat": (np.full(201, 2.3), "it is flat"),
    "rising": (2.0 + RATES, "it only rises"),
    "rising in noise": (2.0 + 0.1 * np.sin(1e4 * RATES) + RATES, "batch to batch|only rises"),
    "NaN at once": (np.full(201, np.nan), "finite_losses=0"),
    "NaN soon": (np.where(np.arange(201) < 9, descent(), np.nan), "finite_losses=9"),
    "rounding": (2.3 + 1e-7 * descent(), "it is flat"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", REFUSED)
def test_a_record_that_says_nothing_is_refused(rule, case):
    losses, why = REFUSED[case]
    with pytest.raises(SuggestionError, match=why) as error:
        RULES[rule](RATES, losses)
    assert str(error.value).startswith(f"{rule}: ")
    assert "Received: " in str(error.value)


@pytest.mark.parametrize("rule", RULES)
def test_a_short_record_is_refused(rule):
    with pytest.raises(SuggestionError, match="at least 10 finite losses"):
        RULES[rule](RATES[:9], descent()[:9])


def test_slide_says_when_it_never_comes_to_rest():
    with pytest.raises(SuggestionError, match="level stretch"):
        suggest.slide(RATES[120:], descent()[120:])


NOISES = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.003),
    "uniform": (lambda rng, shape: rng.uniform(size=shape), 0.003),
    "log-normal": (lambda rng, shape: np.exp(rng.normal(size=shape)), 0.005),
    "heavy-tailed": (lambda rng, shape: rng.standard_t(3, size=shape), 0.015),
}


@pytest.mark.parametrize("steps", [10, 40, 100])
@pytest.mark.parametrize("kind", NOISES)
def test_pure_noise_is_refused(kind, steps):
    """Of 500 sweeps without any fall, at most this share gets an answer."""
    draw, allowed = NOISES[kind]
    rates = np.geomspace(1e-6, 100.0, steps)
    answered = 0
    for losses in draw(np.random.default_rng(0), (500, steps)):
        try:
            suggest.minimum(rates, 2.3 + 0.1 * losses)
        except SuggestionError:
            continue
        answered += 1
    assert answered / 500 <= allowed


def test_a_clear_fall_is_not_refused():
    """A fall ten times the noise of a batch is answered in every one of 200 sweeps."""
    rng = np.random.default_rng(0)
    rates = np.geomspace(1e-6, 100.0, 100)
    answers = [suggest.valley(rates, descent(rates) + rng.normal(0, 0.15, 100)) for _ in range(200)]
    assert np.quantile(np.abs(np.log10(answers) + 3.0), 0.95) < 1.0


@pytest.mark.parametrize(
    ("rates", "losses", "message"),
    [
        (RATES, descent()[:-1], "two vectors of one length"),
        (RATES[None], descent()[None], "two vectors of one length"),
        (RATES[::-1], descent(), "positive and increasing"),
        (np.where(RATES > 1, np.nan, RATES), descent(), "positive and increasing"),
        (RATES - 1.0, descent(), "positive and increasing"),
    ],
)
def test_what_is_no_record_is_no_refusal_but_an_error(rates, losses, message):
    with pytest.raises(ValueError, match=message) as error:
        suggest.valley(rates, losses)
    assert not isinstance(error.value, SuggestionError)


@pytest.mark.parametrize("default", [0.0, -1.0, np.nan, np.inf])
def test_consensus_refuses_an_impossible_default(default):
    with pytest.raises(ValueError, match="default must be"):
        suggest.consensus(RATES, descent(), default=default)
