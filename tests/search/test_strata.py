"""Samples drawn for a probe: shares of classes, rare ones, targets in order, whole batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lr.search.strata import choose_batches, draw, label_of

RARE = np.array([0] * 9950 + [1] * 50)


@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    count=st.integers(48, 300),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_every_class_is_drawn_and_weighs_its_share(sizes, count, weighted, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    drawn = draw(labels, count, seed, weighted=weighted)
    count = min(count, len(labels))
    assert len(set(drawn.places.tolist())) == len(drawn.places) == count
    for label, size in enumerate(sizes):
        mine = labels[drawn.places] == label
        assert mine.sum() >= min(size, 8 if weighted else 1) or count == len(labels)
        if weighted:
            assert drawn.weights[mine].sum() == pytest.approx(count * size / len(labels))
        else:
            assert (drawn.weights == 1).all()
            assert mine.sum() <= max(1, np.ceil(count * size / len(labels)))


@pytest.mark.parametrize("seed", range(10))
def test_a_rare_class_is_in_every_draw(seed):
    plain, weighted = (draw(RARE, 256, seed, weighted=flag) for flag in (False, True))
    assert 1 <= RARE[plain.places].sum() <= 2
    assert RARE[weighted.places].sum() == 8
    means = [np.average(RARE[d.places], weights=d.weights) for d in (plain, weighted)]
    np.testing.assert_allclose(means[1], 0.005)
    assert not (plain.places[:64] == np.sort(plain.places)[:64]).all()


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_drawn_at_equal_distances_of_their_order(seed):
    generator = np.random.default_rng(seed)
    prices = np.where(generator.uniform(size=5000) < 0.95, 0.0, generator.lognormal(size=5000))
    drawn = prices[draw(prices, 200, seed, weighted=False).places]
    for share in (0.25, 0.5, 0.9, 0.96, 0.99):
        assert np.mean(drawn <= np.quantile(prices, share)) == pytest.approx(
            np.mean(prices <= np.quantile(prices, share)), abs=0.01
        )


def test_labels_are_known_of_classes_one_hot_classes_and_single_numbers():
    classes = np.array([2, 0, 1])
    assert label_of(classes).tolist() == [2, 0, 1]
    assert label_of(classes[:, None].astype("float32")).tolist() == [2, 0, 1]
    assert label_of(np.eye(3)[classes]).tolist() == [2, 0, 1]
    assert label_of(np.ones((3, 2))) is None
    assert label_of(np.array(["a", "b"])) is None
    assert label_of(np.zeros((0, 1))) is None


def test_batches_are_chosen_that_hold_what_all_of_them_hold():
    labels = [np.zeros(32, int) for _ in range(60)]
    for rare in range(40, 60):
        labels[rare][:2] = 1
    chosen = choose_batches(labels, 8, seed=0)
    assert len(set(chosen)) == 8
    assert 4 <= sum(labels[index].sum() for index in chosen) <= 6  # a third of eight have two


def test_the_first_batches_are_taken_where_targets_are_unknown_or_all_are_needed():
    assert choose_batches([None] * 9, 3, seed=0) == [0, 1, 2]
    assert choose_batches([np.zeros(2)] * 2, 8, seed=0) == [0, 1]
