"""Makes the README's picture: `python benchmarks/pictures/make.py`."""

import pathlib

import keras
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import keras_lr as klr


def main():
    """Draw the README's range test, on the README's model and data."""
    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    result = klr.lr_find(model, x / 16, y, probe=256)
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    result.plot(ax=ax)
    figure.savefig(pathlib.Path(__file__).parent / "range_test.png", dpi=110)


if __name__ == "__main__":
    main()
