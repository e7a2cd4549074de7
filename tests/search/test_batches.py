"""The batches of trials: the same for each, drawn by the seed; of datasets one epoch is held."""

import importlib.util
import itertools

import keras
import numpy as np
import pytest
from support.tiny import random_numbers

from keras_lr.search.data import TrainingData

X = np.arange(40, dtype="float32").reshape(20, 2)
WITHOUT_TORCH = importlib.util.find_spec("torch") is None


class Numbered(keras.utils.PyDataset):
    """Five batches, the last one incomplete; counts how many have been read."""

    read = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.read += 1
        size = 4 if index < 4 else 2
        return np.full((size, 1), index, "float32"), np.zeros((size, 1))


def numbers(batches):
    return [int(batch[0][0, 0]) for batch in batches]


@pytest.mark.parametrize("count", [3, 5, 13])
def test_of_a_dataset_every_epoch_has_all_batches_in_another_order(count):
    found = numbers(TrainingData("test", Numbered()).batches(count, 0))
    assert len(found) == count
    of_an_epoch = min(count, 5)
    for first in range(0, count - of_an_epoch + 1, of_an_epoch):
        assert sorted(found[first : first + of_an_epoch]) == list(range(of_an_epoch))


def test_a_seed_gives_an_order_whatever_was_read_before():
    data, fresh = TrainingData("test", Numbered()), TrainingData("test", Numbered())
    data.batches(1, 0)
    data.batches(13, 1)
    for count, seed in itertools.product((3, 13), (0, 1)):
        assert numbers(data.batches(count, seed)) == numbers(fresh.batches(count, seed))
    assert numbers(data.batches(13, 0)) != numbers(data.batches(13, 1))
    assert numbers(data.batches(13, 0)[4:9]) == numbers(data.batches(13, 0))[4:9]


def test_no_more_than_an_epoch_is_held():
    source = Numbered()
    data = TrainingData("test", source)
    batches = data.batches(1000, 0)
    assert len({id(batch[0]) for batch in batches}) == 5
    assert source.read <= 5
    data.batches(2000, 7)
    assert source.read <= 5


@pytest.mark.skipif(WITHOUT_TORCH, reason="needs torch")
def test_reading_a_shuffling_loader_moves_no_generator():
    import torch

    tensors = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(X))
    loader = torch.utils.data.DataLoader(tensors, batch_size=4, shuffle=True)
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    expected = random_numbers(), float(torch.rand(()))
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    data = TrainingData("test", loader)
    data.batches(12, 0)
    data.probe(8)
    assert (random_numbers(), float(torch.rand(()))) == expected


@pytest.mark.skipif(WITHOUT_TORCH, reason="needs torch")
def test_a_shuffling_loader_is_read_alike_in_every_call():
    import torch

    tensors = torch.utils.data.TensorDataset(torch.arange(40.0))
    loader = torch.utils.data.DataLoader(tensors, batch_size=4, shuffle=True)
    first, second = (TrainingData("test", loader).batches(10, 0) for _ in range(2))
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(keras.tree.flatten(left)[0]),
            keras.ops.convert_to_numpy(keras.tree.flatten(right)[0]),
        )


def test_data_without_a_batch_is_refused():
    class Empty(Numbered):
        def __len__(self):
            return 0

    with pytest.raises(ValueError, match="test: x must hold at least one batch"):
        TrainingData("test", Empty()).batches(3, 0)
