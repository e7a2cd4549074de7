"""The data of the tasks: bundled with scikit-learn, or generated. Nothing is downloaded.

Every function returns `(x_train, y_train, x_validation, y_validation)`. The known answers in
`truth.json` belong to exactly these numbers, so no seed and no order of draws may change.
"""

import ast
import functools
import importlib.util

import numpy as np
from numpy.random import RandomState
from scipy.interpolate import interp1d
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits, load_wine, make_friedman1

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split(x: np.ndarray, y: np.ndarray, share: float = 0.3) -> Arrays:
    order = RandomState(0).permutation(len(x))
    count = int(len(x) * share)
    validation, training = order[:count], order[count:]
    return x[training], y[training], x[validation], y[validation]


def standardise(x: np.ndarray) -> np.ndarray:
    return ((x - x.mean(0)) / (x.std(0) + 1e-8)).astype("float32")


@functools.cache
def digits(flat: bool = True, scale: float = 16.0) -> Arrays:
    x, y = load_digits(return_X_y=True)
    x = (x / scale).astype("float32")
    return split(x if flat else x.reshape(-1, 8, 8, 1), y.astype("int32"))


def digits_images() -> Arrays:
    return digits(flat=False)


def digits_not_normalised() -> Arrays:
    return digits(scale=1.0)


def digits_to_themselves() -> Arrays:
    x_train, _, x_validation, _ = digits()
    return x_train, x_train, x_validation, x_validation


@functools.cache
def wine() -> Arrays:
    x, y = load_wine(return_X_y=True)
    return split(standardise(x), y.astype("int32"), 0.4)


@functools.cache
def friedman() -> Arrays:
    x, y = make_friedman1(3000, 10, noise=1.0, random_state=1)
    return split(standardise(x), standardise(y[:, None]))


@functools.cache
def spirals(count: int = 2000, noise: float = 0.12) -> Arrays:
    random = RandomState(0)
    turn = np.sqrt(random.rand(count)) * 3 * np.pi
    y = random.randint(0, 2, count)
    arm = np.where(y == 1, 1.0, -1.0)
    x = np.stack([arm * turn * np.cos(turn), arm * turn * np.sin(turn)], 1) / (3 * np.pi) * 2
    x = x + noise * random.randn(count, 2) * 0.5
    return split(x.astype("float32"), y.astype("float32")[:, None])


@functools.cache
def teacher(features: int = 20, count: int = 4000, noise: float = 0.1) -> Arrays:
    """Regression on a random two-layer ReLU network."""
    random = RandomState(0)
    x = random.randn(count, features)
    hidden = random.randn(features, 16) / np.sqrt(features) * 1.5
    output = random.randn(16, 1) / 4
    y = np.maximum(x @ hidden, 0) @ output
    y = (y - y.mean()) / y.std() + noise * random.randn(count, 1)
    return split(x.astype("float32"), y.astype("float32"))


def teacher_long() -> Arrays:
    return teacher(24, 60000, 0.2)


@functools.cache
def ill_conditioned(features: int = 30, count: int = 2000) -> Arrays:
    """Linear regression, condition number 1e3 of the input covariance."""
    random = RandomState(0)
    scales = np.logspace(0, -1.5, features)
    basis, _ = np.linalg.qr(random.randn(features, features))
    x = random.randn(count, features) * scales @ basis
    weights = basis.T @ (random.randn(features, 1) / scales[:, None] ** 0.7)
    y = x @ weights / np.sqrt(features)
    y = y / y.std() + 0.05 * random.randn(count, 1)
    return split(x.astype("float32"), y.astype("float32"))


@functools.cache
def sines(count: int = 1500, length: int = 24) -> Arrays:
    """Next value of a sum of two sines."""
    random = RandomState(0)
    frequency = random.uniform(0.1, 0.5, (count, 1))
    phase = random.uniform(0, 6.28, (count, 1))
    amplitude = random.uniform(0.5, 1.5, (count, 1))
    second = random.uniform(0.5, 1.0, (count, 1))
    time = np.arange(length + 1)[None]
    series = amplitude * np.sin(frequency * time + phase) + 0.3 * np.sin(second * time)
    series = (series + 0.05 * random.randn(count, length + 1))[..., None].astype("float32")
    return split(series[:, :-1], series[:, 1:])


@functools.cache
def imbalanced(count: int = 6000, positive: float = 0.04) -> Arrays:
    random = RandomState(0)
    y = (random.rand(count) < positive).astype("float32")
    x = random.randn(count, 20)
    x[:, :5] += y[:, None] * 1.1
    x[:, 5] = x[:, 5] * (1 + 1.5 * y)
    return split(x.astype("float32"), y[:, None])


@functools.cache
def half_spaces(count: int = 3000, features: int = 40, labels: int = 12) -> Arrays:
    """Multi-label: overlapping half-spaces of a random non-linear map."""
    random = RandomState(3)
    x = random.randn(count, features)
    hidden = np.tanh(x @ random.randn(features, 24) / np.sqrt(features) * 1.5)
    score = hidden @ random.randn(24, labels) / 2 + 0.3 * random.randn(count, labels)
    return split(x.astype("float32"), (score > 0.4).astype("float32"))


_TEMPLATES = [
    [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
    [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
    [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
    [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
    [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
    [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
    [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
    [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
    [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
    [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
]


@functools.cache
def mnist1d(count: int = 4000) -> Arrays:
    """In the manner of MNIST-1D (Greydanus 2020); own generator, templates approximate."""
    random = RandomState(42)
    templates = np.array(_TEMPLATES, float)
    templates = templates - templates.mean(1, keepdims=True)
    templates /= templates.std(1, keepdims=True)
    templates -= templates[:, :1]
    labels = np.arange(count) % 10
    x = np.array([_signal(templates[label], random) for label in labels])
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    return split(x.astype("float32"), labels.astype("int32"), 0.2)


def _signal(template: np.ndarray, random: RandomState) -> np.ndarray:
    """One template, padded, scaled, shifted, blurred, sheared and sampled at 40 points."""
    signal = np.concatenate([template / 6.0, np.zeros(36 + random.randint(12))])
    signal = signal * (1 + 0.4 * (random.rand() - 0.5))
    signal = np.roll(signal, random.randint(48))
    signal = signal + 0.25 * gaussian_filter(random.randn(len(signal)), 2)
    last = len(signal) - 1
    signal = interp1d(np.arange(last + 1), signal)(np.linspace(0, last, 40))
    shear = 0.75 * np.linspace(-0.5, 0.5, 40) * (random.rand() - 0.5) * 2
    return signal - shear + 0.02 * random.randn(40)


_MODULES = [
    "argparse",
    "collections",
    "datetime",
    "decimal",
    "email.message",
    "functools",
    "heapq",
    "http.client",
    "inspect",
    "json",
    "logging",
    "os",
    "pathlib",
    "random",
    "re",
    "shutil",
    "socket",
    "statistics",
    "subprocess",
    "threading",
    "typing",
    "unittest.case",
    "urllib.request",
    "zipfile",
]


def _docstrings() -> list[str]:
    """Docstrings of a fixed list of standard-library modules, as their sources hold them."""
    found = []
    for module in _MODULES:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        with open(spec.origin, encoding="utf8") as source:
            tree = ast.parse(source.read())
        nodes = ast.walk(tree)
        owners = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module)]
        found += [text for owner in owners if (text := ast.get_docstring(owner))]
    return found


@functools.cache
def characters(length: int = 32, count: int = 6000) -> Arrays:
    """Next character of English text over 31 symbols: letters, space, line, digit, other."""
    text = "\n".join(_docstrings()).encode("ascii", "replace")
    raw = np.frombuffer(text, np.uint8).astype("int32")
    lower, upper = (raw >= 97) & (raw <= 122), (raw >= 65) & (raw <= 90)
    digit = (raw >= 48) & (raw <= 57)
    kinds, codes = [lower, upper, raw == 32, raw == 10, digit], [raw - 96, raw - 64, 27, 28, 29]
    symbols = np.select(kinds, codes, 30).astype("int64")
    random = RandomState(0)
    cut = int(len(symbols) * 0.85)
    training = random.randint(0, cut - length - 1, count)
    validation = random.randint(cut, len(symbols) - length - 1, 300)
    window = np.arange(length + 1)
    train, held_out = symbols[training[:, None] + window], symbols[validation[:, None] + window]
    return train[:, :-1], train[:, 1:], held_out[:, :-1], held_out[:, 1:]


@functools.cache
def ratings(users: int = 200, items: int = 150, count: int = 12000, rank: int = 4) -> Arrays:
    """Low-rank ratings of user-item pairs, users drawn by Zipf's law."""
    random = RandomState(0)
    taste, trait = random.randn(users, rank), random.randn(items, rank)
    user, item = random.zipf(1.5, count * 2) % users, random.randint(0, items, count * 2)
    user, item = user[:count], item[:count]
    y = (taste[user] * trait[item]).sum(1) / 2 + 0.2 * random.randn(count)
    return split(np.stack([user, item], 1).astype("int32"), y.astype("float32")[:, None], 0.15)
