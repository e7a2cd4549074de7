"""Fine-tuning: `fine_tune` and the two stages of Keras' own guide, with as many updates.

Two networks that the script trains first, for each seed anew, and then gives another task with few
labels: a convolutional one with batch normalisation, that knows the digits 0 to 4 and learns 5 to
9 from 240 images; and a transformer that has learned to predict the next symbol of a generated
language, and learns from 320 texts to tell its six dialects apart. All ways train with Adam in
batches of 16 for as many epochs, searches included:

- `fine_tune` with what it does by default, with validation data and without;
- the guide "Transfer learning & fine-tuning" of keras.io: the head at 1e-3 with the body frozen,
  then everything at 1e-5, the body in inference mode throughout. Its own notebook gives the head
  two epochs of three; so here, and with one epoch as `fine_tune` does;
- everything at 1e-3, and `klr.fit`.

Validation data is a quarter as large as the training data, and only this library's ways look at it,
to choose among averages of the weights. Judged is the loss on test data that nothing has seen. Run
`python benchmarks/fine_tune.py`, which prints its table and writes `fine_tune.json` and
`fine_tune.md` beside itself; needs scikit-learn. With `--table` it only makes the Markdown anew.

What it showed is written at the end of `fine_tune.md`, and kept there when the table is made anew.
"""

import functools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

import keras_lr as klr

SEEDS = 5
BATCH = 16
SYMBOLS, LENGTH, DIALECTS = 24, 24, 6
_DRAWS = 4000


def crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --- digits: a convolutional network ------------------------------------------------------------


@functools.cache
def digits(low, high):
    """Return images of some of the digits, and their classes from 0 on."""
    x, y = load_digits(return_X_y=True)
    chosen = (y >= low) & (y <= high)
    return (x[chosen] / 16).astype("float32").reshape(-1, 8, 8, 1), (y[chosen] - low).astype(
        "int32"
    )


def convolutions():
    parts = [keras.Input((8, 8, 1))]
    for filters in (16, 32, 64):
        convolution = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        parts += [convolution, layers.BatchNormalization(), layers.Activation("relu")]
    return keras.Sequential([*parts, layers.GlobalAveragePooling2D()], name="body")


def pretrained_on_digits(seed):
    body = convolutions()
    model = keras.Sequential([body, layers.Dense(5)])
    model.compile(keras.optimizers.Adam(1e-3), crossentropy())
    model.fit(*digits(0, 4), batch_size=32, epochs=15, verbose=0)
    return body


# --- dialects: a transformer --------------------------------------------------------------------


@functools.cache
def grammars():
    """Return the probabilities of the next symbol in each dialect, which share most of them."""
    random = np.random.default_rng(7)
    shared = random.normal(size=(SYMBOLS, SYMBOLS))
    scores = 1.2 * shared + 1.2 * random.normal(size=(DIALECTS, SYMBOLS, SYMBOLS))
    return np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)


def texts(count, seed):
    """Return texts of a symbol after the other, and their dialects."""
    random = np.random.default_rng(seed)
    dialects = random.integers(0, DIALECTS, count)
    written = [random.integers(0, SYMBOLS, count)]
    for _ in range(LENGTH):
        following = np.cumsum(grammars()[dialects, written[-1]], 1)
        written.append((following < random.random((count, 1))).sum(1).clip(0, SYMBOLS - 1))
    return np.stack(written, 1).astype("int32"), dialects.astype("int32")


class Tokens(layers.Layer):
    """Embeddings of symbols and of their places."""

    def __init__(self, width, **arguments):
        super().__init__(**arguments)
        self.symbols = layers.Embedding(SYMBOLS, width)
        self.places = layers.Embedding(LENGTH, width)

    def build(self, shape):
        self.symbols.build(shape)
        self.places.build(shape)

    def call(self, inputs):
        return self.symbols(inputs) + self.places(ops.arange(LENGTH))


class Block(layers.Layer):
    """A block of a transformer that sees what came before."""

    def __init__(self, width, **arguments):
        super().__init__(**arguments)
        self.attention = layers.MultiHeadAttention(4, width // 4)
        self.first, self.second = layers.LayerNormalization(), layers.LayerNormalization()
        self.up, self.down = layers.Dense(2 * width, "gelu"), layers.Dense(width)

    def build(self, shape):
        self.attention.build(shape, shape)
        for layer in (self.first, self.second, self.up):
            layer.build(shape)
        self.down.build((*shape[:-1], self.up.units))

    def call(self, inputs):
        normed = self.first(inputs)
        hidden = inputs + self.attention(normed, normed, use_causal_mask=True)
        return hidden + self.down(self.up(self.second(hidden)))


def transformer():
    blocks = [Block(32) for _ in range(3)]
    parts = [keras.Input((LENGTH,), dtype="int32"), Tokens(32), *blocks]
    return keras.Sequential([*parts, layers.LayerNormalization()], name="body")


def pooled():
    return keras.Sequential([transformer(), layers.GlobalAveragePooling1D()], name="body")


def pretrained_on_texts(seed):
    body = transformer()
    model = keras.Sequential([body, layers.Dense(SYMBOLS)])
    model.compile(keras.optimizers.Adam(3e-3), crossentropy())
    written, _ = texts(6000, 100 + seed)
    model.fit(written[:, :-1], written[:, 1:], batch_size=64, epochs=8, verbose=0)
    return body


# --- tasks and ways -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A pretrained body and what it is to learn.

    Attributes:
        pretrained: Returns a body that has been trained, from a seed.
        body: Returns one like it that has not.
        data: Returns inputs and classes, from a seed, in an order by chance.
        classes: How many there are.
        train: How many samples to train on; a quarter as many are for validation.
        epochs: Epochs for each way, searches included.
    """

    pretrained: Callable
    body: Callable
    data: Callable
    classes: int
    train: int
    epochs: int


def other_digits(seed):
    x, y = digits(5, 9)
    order = np.random.default_rng(seed).permutation(len(x))
    return x[order], y[order]


def labelled_texts(seed):
    written, dialects = texts(2400, 1000 + seed)
    return written[:, :-1], dialects


TASKS = {
    "digits": Task(pretrained_on_digits, convolutions, other_digits, 5, 240, 24),
    "dialects": Task(pretrained_on_texts, pooled, labelled_texts, DIALECTS, 320, 24),
}


def compiled(model, rate):
    model.compile(keras.optimizers.Adam(rate), crossentropy(), metrics=["accuracy"])
    return model


def plain(body, head, rate=1e-3):
    return compiled(keras.Sequential([body, head]), rate)


def by_the_guide(body, head, train, validation, epochs, first):
    """Train as the guide does: the head for some epochs, then everything."""
    inputs = keras.Input(body.input_shape[1:], dtype=body.inputs[0].dtype)
    model = keras.Model(inputs, head(body(inputs, training=False)))
    body.trainable = False
    compiled(model, 1e-3).fit(*train, batch_size=BATCH, epochs=first, verbose=0)
    body.trainable = True
    compiled(model, 1e-5).fit(*train, batch_size=BATCH, epochs=epochs - first, verbose=0)
    return model


def constant(body, head, train, validation, epochs):
    model = plain(body, head)
    model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def of_the_library(function, **arguments):
    def way(body, head, train, validation, epochs):
        model = plain(body, head)
        given = {"batch_size": BATCH, "epochs": epochs, "validation_data": validation, "verbose": 0}
        function(model, *train, **{**given, **arguments})
        return model

    return way


OURS = "fine_tune"
WAYS = {
    OURS: of_the_library(klr.fine_tune),
    "fine_tune, no validation data": of_the_library(klr.fine_tune, validation_data=None),
    "guide": lambda *given: by_the_guide(*given, first=2 * given[-1] // 3),
    "guide, head for one epoch": lambda *given: by_the_guide(*given, first=1),
    "all at 1e-3": constant,
    "klr.fit": of_the_library(klr.fit),
}


def runs_of(name, seed):
    """Return how each way does on a task with a seed."""
    task = TASKS[name]
    keras.utils.set_random_seed(seed)
    body = task.pretrained(seed)
    state = [np.array(each) for each in body.get_weights()]
    x, y = task.data(seed)
    ends = np.cumsum([task.train, task.train // 4])
    train, validation, test = (
        (x[chosen], y[chosen]) for chosen in (slice(0, ends[0]), slice(*ends), slice(ends[1], None))
    )
    runs = {}
    for way, trained in WAYS.items():
        keras.utils.set_random_seed(1000 + seed)
        body, head = task.body(), layers.Dense(task.classes, name="head")
        body.set_weights(state)
        begun = time.process_time()
        model = trained(body, head, train, validation, task.epochs)
        spent = time.process_time() - begun
        loss, accuracy = model.evaluate(*test, batch_size=256, verbose=0)
        runs[way] = {"loss": float(loss), "accuracy": float(accuracy), "cpu_seconds": spent}
        print(f"{name}, seed {seed}, {way}: {loss:.3f}, {100 * accuracy:.1f} %", flush=True)
    return runs


def compared(runs, way):
    """Return wins of `fine_tune` over a way, its ratio of losses, and points of accuracy."""
    logs = np.log([[run[name]["loss"] for name in (OURS, way)] for run in runs])
    points = 100 * np.array([[run[name]["accuracy"] for name in (OURS, way)] for run in runs])
    ratios, gains = logs[:, 0] - logs[:, 1], points[:, 0] - points[:, 1]
    drawn = np.random.default_rng(0).integers(0, len(runs), (_DRAWS, len(runs)))
    low, high = np.exp(np.quantile(ratios[drawn].mean(1), [0.025, 0.975]))
    worst, best = np.quantile(gains[drawn].mean(1), [0.025, 0.975])
    return (
        f"{(ratios < 0).sum()} of {len(runs)} | {np.exp(ratios.mean()):.2f} [{low:.2f}, {high:.2f}]"
        f" | {gains.mean():+.1f} [{worst:+.1f}, {best:+.1f}]"
    )


def table(found):
    """Return the results as Markdown."""
    lines = [
        f"Loss and accuracy on test data, mean ± sd over {found['seeds']} seeds; and `fine_tune` "
        "against each way, paired by seed: seeds with a lower loss, its loss over the other's "
        "(below 1, `fine_tune` is better), points of accuracy gained, with 95 % bootstrap "
        f"intervals over the seeds. Keras {found['keras']} on {found['backend']}.",
    ]
    for name, runs in found["runs"].items():
        heads = ("loss", "accuracy", "won", "ratio", "points", "CPU seconds")
        lines += ["", f"| {name} | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for way in WAYS:
            losses, accuracies, seconds = (
                np.array([run[way][key] for run in runs])
                for key in ("loss", "accuracy", "cpu_seconds")
            )
            cells = [
                way,
                f"{losses.mean():.3f} ± {losses.std():.3f}",
                f"{100 * accuracies.mean():.1f} ± {100 * accuracies.std():.1f} %",
                " | | " if way == OURS else compared(runs, way),
                f"{seconds.mean():.1f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    """Make the runs, or read them, and write the table above what was found."""
    results, findings = (Path(__file__).with_suffix(kind) for kind in (".json", ".md"))
    if "--table" not in sys.argv[1:]:
        runs = {name: [runs_of(name, seed) for seed in range(SEEDS)] for name in TASKS}
        made = {"keras": keras.__version__, "backend": keras.backend.backend(), "seeds": SEEDS}
        results.write_text(json.dumps({**made, "runs": runs}, indent=1) + "\n")
    text = table(json.loads(results.read_text()))
    print(text)
    heading = "\n## What it showed\n"
    found = findings.read_text().partition(heading)[2] if findings.exists() else ""
    findings.write_text(text + (heading + found if found else ""))


if __name__ == "__main__":
    main()
